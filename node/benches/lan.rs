//! How fast and how quiet a LAN of nodes is: one table, from real `here` processes on virtual hosts.
//!
//! `cargo bench --bench lan` measures 3, 10 and 30 hosts; `-- --hosts 5,50` others (more than about 30 need
//! root, to raise the kernel's neighbour limits while it runs); `-- --quiet 60` is the length of the quiet
//! period in seconds; `-- --json FILE` also writes every sample; `-- --test` runs everything once and tiny,
//! as `cargo test --benches` does.
//!
//! *What is measured.* Times come from the `at` stamps of `here up --json`: all hosts share one clock, and
//! no polling is involved. Stamps have milliseconds, so each time is rounded up by as much. A time "by all"
//! is that of the last host. Requests go over the node's own socket, as the command line sends them, but
//! without the start of a process. Bytes are those of the host's network interface, Ethernet headers
//! included. The link has no delay, and all hosts share this machine's processors: read the times of many
//! hosts with that in mind. Processor time is that of a node's process, the kernel's work for it included;
//! for a change it is that of all nodes together.
//!
//! *Budgets* are those of the design, printed beside what was seen; exceeding one is not an error here.
//!
//! *Limits.* One measurement that does not come to its end within [`lab::PATIENCE`] ends the run with an
//! error.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(
    clippy::indexing_slicing,
    reason = "JSON documents are read by key, and what is missing reads as null"
)]

#[path = "../tests/lab/mod.rs"]
mod lab;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use hereabouts::storage::{Storage, sqlite::Database};
use hereabouts_protocol::{
    durable::{Change, Durability, StoredRecord},
    identity::{InboxAddress, Presentity, Realm},
    overlay::links::NEIGHBOURS,
    presence::{
        information::{EXTENSION_VALUE_BYTES_MAX, PresenceInformation},
        record::{FORMAT, PresenceRecord, RecordBody, Version},
        service::PRESENTITIES_MAX,
    },
    time::UnixTime,
};
use libp2p::identity::Keypair;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use lab::{Addresses, Host, Lab, Node, PATIENCE, Segment};

fn main() {
    let plan = Plan::of_arguments(std::env::args().skip(1));
    let most = plan.hosts.iter().copied().max().unwrap_or_default();
    let _raised = NeighbourLimits::raised_for(most);
    println!("{}", Row::TITLES);
    let mut measured = Vec::new();
    for &hosts in &plan.hosts {
        let Some(lab) = Lab::build() else { break };
        measured.extend(measure(&lab, hosts, &plan));
        plan.write(&measured);
    }
    plan.write(&measured);
}

/// What to measure.
struct Plan {
    hosts: Vec<usize>,
    quiet: Duration,
    changes: usize,
    leaves: usize,
    kills: usize,
    pulls: usize,
    splits: usize,
    starts: usize,
    json: Option<PathBuf>,
}

impl Plan {
    fn of_arguments(arguments: impl Iterator<Item = String>) -> Self {
        let mut plan = Self {
            hosts: vec![3, 10, 30],
            quiet: Duration::from_secs(60),
            changes: 100,
            leaves: 100,
            kills: 20,
            pulls: 10,
            splits: 5,
            starts: 10,
            json: None,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--test" => {
                    (plan.changes, plan.leaves, plan.kills, plan.pulls) = (2, 1, 1, 1);
                    (plan.splits, plan.starts) = (1, 1);
                    (plan.hosts, plan.quiet) = (vec![2], Duration::from_secs(1));
                }
                "--hosts" => {
                    let list = arguments.next().unwrap_or_default();
                    plan.hosts =
                        list.split(',').map(|number| number.parse().unwrap_or_else(|_| usage())).collect();
                }
                "--quiet" => {
                    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
                    plan.quiet = Duration::from_secs(seconds.unwrap_or_else(|| usage()));
                }
                "--json" => plan.json = Some(arguments.next().unwrap_or_else(|| usage()).into()),
                // Cargo adds it to every benchmark.
                "--bench" => {}
                _ => usage(),
            }
        }
        plan
    }

    /// Writes what there is so far to the file that was asked for, if one was.
    fn write(&self, measured: &[Value]) {
        if let Some(path) = &self.json {
            std::fs::write(path, json!(measured).to_string()).expect("the file can be written");
        }
    }
}

fn usage() -> ! {
    println!("usage: cargo bench --bench lan -- [--hosts 3,10,30] [--quiet SECONDS] [--json FILE] [--test]");
    std::process::exit(2)
}

/// All measurements with one number of hosts, each printed as it is there; and all of them as JSON.
fn measure(lab: &Lab, count: usize, plan: &Plan) -> Vec<Value> {
    let segment = lab.segment();
    let hosts: Vec<Host> = (0..count).map(|_| lab.host(&[&segment], Addresses::V4)).collect();
    let mut rows = Vec::new();
    let mut row = |what, unit, budget, samples: Vec<f64>| {
        let row = Row { hosts: count, what, unit, budget };
        rows.push(json!({"hosts": count, "what": what, "unit": unit, "samples": samples}));
        row.print(samples);
    };
    let first = hosts.first().expect("there is a host");
    let (times, work): (Vec<f64>, Vec<f64>) = (0..plan.starts).map(|_| lone_start(first)).unzip();
    row("lone start until it listens", "ms", "-", times);
    row("CPU of a lone start", "ms", "-", work);
    row("resident memory, full table", "MB", "-", vec![memory_of_full_table(first)]);

    let mut nodes: Vec<Node> = hosts
        .iter()
        .enumerate()
        .map(|(index, host)| Node::new(host, &format!("Host {index}"), &[]))
        .collect();
    row("start to mutual sight", "ms", "500 / 2000", mutual_sight(&mut nodes));
    row("CPU to mutual sight", "ms", "-", nodes.iter().map(processor_milliseconds).collect());
    let (changes, work) = (0..plan.changes).map(|number| change_seen_by_all(&nodes, number)).unzip();
    row("change seen by all", "ms", "- / 20", changes);
    row("CPU of a change, all nodes", "ms", "-", work);
    let (idle, work) = idle_a_second(&hosts, &nodes, plan.quiet);
    row("idle, sent by each host", "B/s", "400 / 400", idle);
    row("CPU while idle, each node", "ms/s", "-", work);
    let memory = nodes.iter().map(|node| resident_megabytes(node.pid())).collect();
    row("resident memory of each node", "MB", "20 / 20", memory);
    let leaves = (0..plan.leaves).map(|number| leave_seen_by_all(&mut nodes, number)).collect();
    row("clean leave seen by all", "ms", "- / 1000", leaves);
    // Of one who was lost three times lately a node says no more that it is.
    let kills = (0..plan.kills.min(2 * count)).map(|number| kill_seen_by_all(&mut nodes, number)).collect();
    row("kill -9 seen by all", "ms", "- / 2000", kills);
    let (pulls, returns) = (0..plan.pulls.min(count))
        .map(|number| {
            // For some seconds the word of one who was cut off, and accused everybody, counts less.
            start_anew(&mut nodes);
            cable_pulled(&hosts, &nodes, number)
        })
        .unzip();
    row("pulled cable seen by all", "ms", "- / 6000", pulls);
    row("return after that seen by all", "ms", "- / 5000", returns);
    let other = lab.segment();
    let agreed = (0..plan.splits).map(|number| {
        start_anew(&mut nodes);
        halves_agree(&hosts, &nodes, [&segment, &other], number)
    });
    row("two halves agree again", "ms", "- / 5000", agreed.collect());
    rows
}

/// Starts a node that is alone. Milliseconds until it listens, and of processor time until it is up.
fn lone_start(host: &Host) -> (f64, f64) {
    let mut node = Node::new(host, "Host 0", &[]);
    node.launch_behind_gate();
    let start = SystemTime::now();
    node.open_gate();
    let listening = node.wait_event(0, "it listens", |event| event["event"] == "listening");
    node.ready();
    let work = processor_milliseconds(&node);
    node.kill9();
    (milliseconds_since(start, &listening), work)
}

/// Resident memory of a node that knows as many presentities as it may, each by a record of the largest size.
fn memory_of_full_table(host: &Host) -> f64 {
    let mut node = Node::start(host, "Full", &[]);
    node.down();
    let (database, _) = Database::open(&node.home().join("node.db")).expect("the store of an ended node");
    let records = (0..PRESENTITIES_MAX).map(|number| Change::Record(large_record(number)));
    let commit = database.commit(records.collect(), Durability::Durable);
    futures::executor::block_on(commit).expect("there is room on the disk");
    drop(database);
    node.restart();
    let known = node.json(&["who"])["presentities"].as_array().map_or(0, Vec::len);
    assert!(known >= PRESENTITIES_MAX, "{known} are known");
    let memory = resident_megabytes(node.pid());
    node.kill9();
    memory
}

/// A record that lacks a few bytes of the limit.
fn large_record(number: usize) -> StoredRecord {
    let mut seed = [1; 32];
    for (place, byte) in seed.iter_mut().zip(number.to_be_bytes()) {
        *place = byte;
    }
    let key = Keypair::ed25519_from_bytes(seed).expect("any 32 bytes are a key's");
    let presentity = Presentity::from_public_key(&key.public()).expect("an Ed25519 key");
    let realm = Realm::default();
    let inbox = InboxAddress { node: presentity, realm: realm.clone() };
    let version = Version { incarnation: 1, sequence: 1 };
    let filled = |bytes| RecordBody {
        format: FORMAT,
        realm: realm.clone(),
        presentity,
        version,
        lease_seconds: 3600,
        departing: false,
        addresses: Vec::new(),
        public: Some(PresenceInformation::open("somebody", &inbox)),
        sealed_views: Vec::new(),
        extensions: [
            ("filling".to_owned(), vec![0; EXTENSION_VALUE_BYTES_MAX]),
            ("more".to_owned(), vec![0; bytes]),
        ]
        .into(),
    };
    let sizes = (0..EXTENSION_VALUE_BYTES_MAX).rev().step_by(16);
    let record = sizes.into_iter().find_map(|bytes| PresenceRecord::sign(filled(bytes), &key).ok());
    let bytes = record.expect("a record without filling fits").bytes().to_vec();
    StoredRecord { presentity, version, bytes, heard_at: UnixTime::from_millis(0) }
}

/// Starts all nodes at once. For each, milliseconds from then until it has seen all others appear.
fn mutual_sight(nodes: &mut [Node]) -> Vec<f64> {
    nodes.iter_mut().for_each(Node::launch_behind_gate);
    let start = SystemTime::now();
    nodes.iter_mut().for_each(Node::open_gate);
    nodes.iter_mut().for_each(Node::ready);
    let nodes = &*nodes;
    let seen_all = nodes.iter().map(|node| {
        let others = nodes.iter().filter(|other| other.id() != node.id());
        let times = others.map(|other| {
            let appeared = node.wait_event(0, "everybody appears", |event| {
                is_about(event, other, &["appeared", "returned"])
                    && event["presentity"]["contact"]["state"] == "present"
            });
            milliseconds_since(start, &appeared)
        });
        times.fold(0.0, f64::max)
    });
    seen_all.collect()
}

/// Ends all nodes and starts them again, so that none remembers who was lost how often.
fn start_anew(nodes: &mut [Node]) {
    nodes.iter_mut().for_each(Node::down);
    mutual_sight(nodes);
}

/// Changes the presence of one node. Milliseconds until the last of the others has seen it, and of all nodes'
/// processor time.
fn change_seen_by_all(nodes: &[Node], number: usize) -> (f64, f64) {
    let changing = number % nodes.len();
    let subject = nodes.get(changing).expect("the number is below the count");
    let note = format!("change {number}");
    let marks: Vec<usize> = nodes.iter().map(|node| node.lines().count()).collect();
    let work = || nodes.iter().map(processor_milliseconds).sum::<f64>();
    let before = work();
    let body = json!({"basic": "open", "note": {"text": note}}).to_string();
    let start = SystemTime::now();
    put_presence(subject.home(), &body);
    let others = nodes.iter().zip(marks).filter(|(node, _)| node.id() != subject.id());
    let times = others.map(|(node, mark)| {
        let changed = node.wait_event(mark, "the change", |event| {
            is_about(event, subject, &["changed"]) && event["presentity"]["note"]["text"] == note.as_str()
        });
        milliseconds_since(start, &changed)
    });
    let last = times.fold(0.0, f64::max);
    // What is done after it was shown: it is stored, and passed on in vain.
    std::thread::sleep(AFTERMATH);
    (last, work() - before)
}

/// Ends one node with SIGTERM, and starts it again for the next time. Milliseconds until the last of the
/// others has seen it leave.
fn leave_seen_by_all(nodes: &mut [Node], number: usize) -> f64 {
    let leaving = number % nodes.len();
    let marks: Vec<usize> = nodes.iter().map(|node| node.lines().count()).collect();
    let start = SystemTime::now();
    let subject = nodes.get(leaving).expect("the number is below the count");
    subject.signal(Signal::SIGTERM);
    let others = || nodes.iter().zip(&marks).filter(|(node, _)| node.id() != subject.id());
    let times = others().map(|(node, &mark)| {
        let left = node.wait_event(mark, "the leave", |event| is_about(event, subject, &["left"]));
        milliseconds_since(start, &left)
    });
    let last = times.fold(0.0, f64::max);
    nodes.get_mut(leaving).expect("the number is below the count").wait_end();
    bring_back(nodes, leaving, &marks);
    last
}

/// Ends one node with SIGKILL, and starts it again for the next time. Milliseconds until the last of the
/// others shows it lost.
fn kill_seen_by_all(nodes: &mut [Node], number: usize) -> f64 {
    let killed = number % nodes.len();
    let marks: Vec<usize> = nodes.iter().map(|node| node.lines().count()).collect();
    let id = nodes.get(killed).map(|node| node.id().to_owned()).expect("the number is below the count");
    let start = SystemTime::now();
    nodes.get_mut(killed).expect("the number is below the count").kill9();
    let others = nodes.iter().zip(&marks).enumerate().filter(|(index, _)| *index != killed);
    let times = others.map(|(_, (node, &mark))| {
        let lost = |event: &Value| event["event"] == "lost" && event["presentity"]["id"] == id.as_str();
        milliseconds_since(start, &node.wait_event(mark, "the loss", lost))
    });
    let last = times.fold(0.0, f64::max);
    bring_back(nodes, killed, &marks);
    last
}

/// Starts a node again, and waits until it and all others see each other.
fn bring_back(nodes: &mut [Node], gone: usize, marks: &[usize]) {
    nodes.get_mut(gone).expect("the number is below the count").restart();
    let subject = nodes.get(gone).expect("the number is below the count");
    for (node, &mark) in nodes.iter().zip(marks).filter(|(node, _)| node.id() != subject.id()) {
        node.wait_event(mark, "the return", |event| is_about(event, subject, &["returned"]));
        subject.wait_event(0, "the others", |event| is_about(event, node, &["appeared", "returned"]));
    }
}

/// Pulls the cable of one host, and plugs it in again when all see what that means. Milliseconds until the
/// last of the others shows its node lost, and from plugging it in until all show each other present.
fn cable_pulled(hosts: &[Host], nodes: &[Node], number: usize) -> (f64, f64) {
    if nodes.len() <= NEIGHBOURS {
        let others = u64::try_from(nodes.len() - 1).ok();
        for node in nodes {
            node.wait_json(&["id"], "it is linked with all", |id| id["connected"].as_u64() >= others);
        }
    }
    let pulled = number % nodes.len();
    let (host, subject) = hosts.iter().zip(nodes).nth(pulled).expect("the number is below the count");
    let others = || nodes.iter().filter(|node| node.id() != subject.id());
    // Of one pair, which sees which.
    let pairs = || others().flat_map(|node| [(node, subject), (subject, node)]);
    let marks = || pairs().map(|(node, _)| node.lines().count()).collect::<Vec<_>>();
    let last = |start, marks: &[usize], kind: &str, all: bool| {
        let times = pairs().zip(marks).filter(|((_, seen), _)| all || seen.id() == subject.id());
        let times = times.map(|((node, seen), &mark)| {
            let event = node.wait_event(mark, kind, |event| is_about(event, seen, &[kind]));
            milliseconds_since(start, &event)
        });
        times.fold(0.0, f64::max)
    };
    let before = marks();
    let start = SystemTime::now();
    host.cut_cable(0);
    let lost = last(start, &before, "lost", false);
    last(start, &before, "lost", true);
    let before = marks();
    let start = SystemTime::now();
    host.mend_cable(0);
    (lost, last(start, &before, "returned", true))
}

/// Plugs one half of the hosts into another switch, has every node change its presence when each half has
/// given up the other, and plugs them back. Milliseconds from then until all show all others present with
/// these changes.
fn halves_agree(hosts: &[Host], nodes: &[Node], [segment, other]: [&Segment; 2], number: usize) -> f64 {
    let half = hosts.len() / 2;
    let replug = |segment| hosts.iter().take(half).for_each(|host: &Host| host.replug(0, segment));
    let pairs = || nodes.iter().flat_map(|node| nodes.iter().map(move |seen| (node, seen)));
    let apart = |(node, seen): &(&Node, &Node)| {
        let is_in_half = |one: &Node| nodes.iter().take(half).any(|other| other.id() == one.id());
        is_in_half(node) != is_in_half(seen)
    };
    let marks: Vec<usize> = pairs().map(|(node, _)| node.lines().count()).collect();
    replug(other);
    for ((node, seen), mark) in pairs().zip(marks).filter(|(pair, _)| apart(pair)) {
        node.wait_event(mark, "the loss", |event| is_about(event, seen, &["lost"]));
    }
    let note = format!("split {number}");
    let marks: Vec<usize> = pairs().map(|(node, _)| node.lines().count()).collect();
    for node in nodes {
        put_presence(node.home(), &json!({"basic": "open", "note": {"text": note}}).to_string());
    }
    let start = SystemTime::now();
    replug(segment);
    let times =
        pairs().zip(marks).filter(|((node, seen), _)| node.id() != seen.id()).map(|((node, seen), mark)| {
            let agreed = node.wait_event(mark, "the change, and its presence", |event| {
                is_about(event, seen, &["changed", "returned"])
                    && event["presentity"]["note"]["text"] == note.as_str()
                    && event["presentity"]["contact"]["state"] == "present"
            });
            milliseconds_since(start, &agreed)
        });
    times.fold(0.0, f64::max)
}

/// Bytes that each host sends in a second, and milliseconds that its node takes of a processor, while nobody
/// does anything.
fn idle_a_second(hosts: &[Host], nodes: &[Node], quiet: Duration) -> (Vec<f64>, Vec<f64>) {
    // For some heartbeats after the last change its ids are still offered to those that may lack it.
    std::thread::sleep(SETTLE);
    // Bytes are far below 2^52.
    let spent = |(host, node): (&Host, &Node)| (host.bytes_sent() as f64, processor_milliseconds(node));
    let before: Vec<_> = hosts.iter().zip(nodes).map(spent).collect();
    std::thread::sleep(quiet);
    let after = hosts.iter().zip(nodes).map(spent);
    let seconds = quiet.as_secs_f64();
    let a_second = after.zip(before).map(|((bytes, work), (bytes_before, work_before))| {
        ((bytes - bytes_before) / seconds, (work - work_before) / seconds)
    });
    a_second.unzip()
}

/// Processor time that the threads of a node have had so far.
fn processor_milliseconds(node: &Node) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{}/task", node.pid())).expect("the node runs");
    let nanoseconds = threads.flatten().filter_map(|thread| {
        // The thread may have ended meanwhile.
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e6
}

/// Resident memory of a process, in units of 10^6 bytes.
fn resident_megabytes(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the node runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: f64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .expect("a process with memory has VmRSS, in kB");
    kibibytes * 1024.0 / 1e6
}

fn is_about(event: &Value, subject: &Node, kinds: &[&str]) -> bool {
    event["event"].as_str().is_some_and(|kind| kinds.contains(&kind))
        && event["presentity"]["id"] == subject.id()
}

fn milliseconds_since(start: SystemTime, event: &Value) -> f64 {
    let at: jiff::Timestamp =
        event["at"].as_str().and_then(|at| at.parse().ok()).expect("an event has its time");
    let since = SystemTime::from(at) + STAMP_RESOLUTION;
    // The clock may have been set back in between; that shows as zero.
    since.duration_since(start).unwrap_or_default().as_secs_f64() * 1e3
}

/// `PUT /v1/presence` on a node's socket.
fn put_presence(home: &Path, body: &str) {
    let mut stream = UnixStream::connect(home.join("here.sock")).expect("the node runs");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout that is not zero");
    let length = body.len();
    let request = format!(
        "PUT /v1/presence HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).expect("the node reads the request");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("the node answers and closes");
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

/// A line of the table.
struct Row {
    hosts: usize,
    what: &'static str,
    unit: &'static str,
    budget: &'static str,
}

impl Row {
    const TITLES: &'static str = "\
hosts | what                          | unit |      p50 |      p99 |      max | samples | budget p50 / p99
-----:|-------------------------------|------|---------:|---------:|---------:|--------:|-----------------";

    fn print(&self, mut samples: Vec<f64>) {
        samples.sort_by(f64::total_cmp);
        let quantile = |percent: usize| {
            // Nearest rank: the smallest sample that at least so many percent do not exceed.
            let rank = (samples.len() * percent).div_ceil(100).max(1);
            samples.get(rank - 1).copied().unwrap_or(f64::NAN)
        };
        let (hosts, what, unit, budget, count) =
            (self.hosts, self.what, self.unit, self.budget, samples.len());
        let [p50, p99, max] = [50, 99, 100].map(quantile);
        println!(
            "{hosts:5} | {what:29} | {unit:4} | {p50:8.1} | {p99:8.1} | {max:8.1} | {count:7} | {budget}"
        );
    }
}

/// The kernel's neighbour limits, raised for as long as this lives.
struct NeighbourLimits(Vec<(String, String)>);

impl NeighbourLimits {
    /// Makes room for all pairs of `hosts`, if that is needed and this process may; the laboratory says
    /// what is wrong if not.
    fn raised_for(hosts: usize) -> Self {
        let needed = hosts * hosts * 2;
        let mut old = Vec::new();
        for (family, limit) in
            ["ipv4", "ipv6"].into_iter().flat_map(|family| [(family, 1), (family, 2), (family, 3)])
        {
            let path = format!("/proc/sys/net/{family}/neigh/default/gc_thresh{limit}");
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let enough = text.trim().parse::<usize>().is_ok_and(|limit| limit >= needed);
            if !enough && std::fs::write(&path, needed.to_string()).is_ok() {
                old.push((path, text));
            }
        }
        Self(old)
    }
}

impl Drop for NeighbourLimits {
    fn drop(&mut self) {
        for (path, text) in &self.0 {
            // It could be written a moment ago.
            let _ = std::fs::write(path, text);
        }
    }
}

/// Gossip is offered for two heartbeats of a second and forgotten after four.
const SETTLE: Duration = Duration::from_secs(6);
/// How far the time of an event may be after its stamp, which leaves out what is below a millisecond.
const STAMP_RESOLUTION: Duration = Duration::from_millis(1);
/// From when a change is seen until the next one.
const AFTERMATH: Duration = Duration::from_millis(50);
