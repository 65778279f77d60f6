//! Segments, hosts and cables, made of Linux namespaces.
//!
//! Decides addresses and names, and how a program is run on a host; leaves what runs there to `node` and to
//! the tests. One network namespace is the switch room and holds a bridge for each segment; each host is
//! another one, owned by the same user namespace, joined to a bridge by a pair of virtual Ethernet devices.
//! Bridges flood multicast as a plain switch does (no snooping) and forward from the first moment (no
//! spanning tree). Duplicate address detection is off, so an address can be used as soon as it is there.
//!
//! Life cycle: [`Lab::build`], [`Lab::segment`], [`Lab::host`], then cut and mend cables at will. A
//! namespace lives as long as its holder process; holders die with their `Lab` or `Host`, or with this
//! process.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use super::preflight::lab_is_possible;

/// The switch room: makes segments and hosts. Cheap to clone; it lives as long as any clone or any of its
/// hosts.
#[derive(Clone, Debug)]
pub struct Lab(Arc<SwitchRoom>);

impl Lab {
    /// An empty switch room, or `None`, with a printed reason, where this machine forbids it.
    ///
    /// # Panics
    ///
    /// If the machine forbids it while `HERE_REQUIRE_LAB=1` is set, and if it allows it but fails all the
    /// same.
    pub fn build() -> Option<Self> {
        if !lab_is_possible() {
            return None;
        }
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--net"]);
        let holder = Holder::start(unshare);
        Some(Self(Arc::new(SwitchRoom { holder, segments: AtomicU32::new(0), ports: AtomicU32::new(0) })))
    }

    /// The most common laboratory: `N` hosts on one segment. `None` as for [`Lab::build`].
    pub fn with_hosts<const N: usize>(addresses: Addresses) -> Option<[Host; N]> {
        let lab = Self::build()?;
        let segment = lab.segment();
        Some(std::array::from_fn(|_| lab.host(&[&segment], addresses)))
    }

    /// A new network segment, with nothing on it.
    ///
    /// # Panics
    ///
    /// Beyond [`SEGMENTS_MAX`], or if `ip` fails.
    pub fn segment(&self) -> Segment {
        let number = self.0.segments.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(number <= SEGMENTS_MAX, "a laboratory has at most {SEGMENTS_MAX} segments");
        self.0.holder.configure(&format!(
            "link add br{number} type bridge mcast_snooping 0 stp_state 0\n\
             link set br{number} addrgenmode none\n\
             link set br{number} up\n"
        ));
        Segment { number, hosts: AtomicU32::new(0) }
    }

    /// A new host with one interface (`eth0`, `eth1`, …) on each of `segments`, all up and ready for use.
    ///
    /// # Panics
    ///
    /// Beyond [`HOSTS_PER_SEGMENT_MAX`], if the kernel's neighbour table is too small for another host, or
    /// if a command fails.
    pub fn host(&self, segments: &[&Segment], addresses: Addresses) -> Host {
        let mut unshare = self.0.holder.enter();
        unshare.args(["unshare", "--net"]);
        let holder = Holder::start(unshare);
        let mut of_host = String::from("link set lo up\n");
        let mut ports = Vec::new();
        for (index, segment) in segments.iter().enumerate() {
            let host = segment.hosts.fetch_add(1, Ordering::Relaxed) + 1;
            assert!(host <= HOSTS_PER_SEGMENT_MAX, "a segment has at most {HOSTS_PER_SEGMENT_MAX} hosts");
            neighbour_table_holds(host);
            let port = format!("port{}", self.0.ports.fetch_add(1, Ordering::Relaxed));
            let (bridge, pid) = (segment.number, holder.pid());
            self.0.holder.configure(&format!(
                "link add {port} type veth peer name eth{index} netns {pid}\n\
                 link set {port} addrgenmode none\n\
                 link set {port} master br{bridge}\n\
                 link set {port} up\n"
            ));
            of_host.push_str(&addresses.configuration(index, segment.number, host));
            ports.push(port);
        }
        holder.configure(&of_host);
        Host(Arc::new(HostParts { holder, ports, switch_room: Arc::clone(&self.0) }))
    }
}

/// One Ethernet segment: what one host sends to all, every other host on it hears.
#[derive(Debug)]
pub struct Segment {
    number: u32,
    hosts: AtomicU32,
}

/// Which addresses the interfaces of a host have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// `10.77.segment.host/24`, and a link-local IPv6 address, as any ordinary host.
    V4,
    /// `fd77::segment:0:0:0:host/64` and link-local; no IPv4.
    V6,
    /// Link-local IPv6 only: a segment without a router and without any configuration.
    V6LinkLocal,
}

impl Addresses {
    fn configuration(self, index: usize, segment: u32, host: u32) -> String {
        let more = match self {
            Self::V4 => format!("addr add 10.77.{segment}.{host}/24 brd + dev eth{index}\n"),
            Self::V6 => format!("addr add fd77:0:0:{segment}::{host:x}/64 dev eth{index} nodad\n"),
            Self::V6LinkLocal => String::new(),
        };
        // The kernel's own link-local address would be tentative for a second or two; ours is usable at
        // once.
        format!(
            "link set eth{index} addrgenmode none\n\
             addr add fe80::{segment:x}:{host:x}/64 dev eth{index} nodad\n\
             {more}\
             link set eth{index} up\n"
        )
    }
}

/// One host. Cheap to clone; it lives as long as any clone.
#[derive(Clone, Debug)]
pub struct Host(Arc<HostParts>);

impl Host {
    /// A command that runs `program` on this host. The child's process id is the program's own, and it is
    /// killed if the thread that spawned it ends first.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.0.holder.enter();
        command.args(["setpriv", "--pdeathsig", "KILL", program]);
        command
    }

    /// Pulls the cable of interface number `index` (`eth0` is 0) out of the switch. The host keeps its
    /// addresses and sees its carrier go.
    ///
    /// # Panics
    ///
    /// If there is no such interface, or `ip` fails.
    pub fn cut_cable(&self, index: usize) {
        self.set_cable(index, "down");
    }

    /// Plugs the cable of interface number `index` in again.
    ///
    /// # Panics
    ///
    /// As [`Host::cut_cable`].
    pub fn mend_cable(&self, index: usize) {
        self.set_cable(index, "up");
    }

    /// Puts the cable of interface number `index` into the switch of another segment. The host keeps its
    /// addresses, and sees nothing of it: who was there is out of reach.
    ///
    /// # Panics
    ///
    /// As [`Host::cut_cable`].
    pub fn replug(&self, index: usize, segment: &Segment) {
        let port = self.port(index);
        self.0.switch_room.holder.configure(&format!("link set {port} master br{}\n", segment.number));
    }

    /// Bytes sent on `eth0` since the host was made, Ethernet headers included.
    ///
    /// # Panics
    ///
    /// If the host has no `eth0`.
    pub fn bytes_sent(&self) -> u64 {
        let path = format!("/proc/{}/net/dev", self.0.holder.pid());
        let table = std::fs::read_to_string(&path).expect("the holder of the host is alive");
        // `man 5 proc`: after the name and a colon, eight columns of receiving, then bytes sent.
        let line = table.lines().find_map(|line| line.trim_start().strip_prefix("eth0:"));
        let column = line.and_then(|line| line.split_whitespace().nth(8));
        column.and_then(|bytes| bytes.parse().ok()).expect("a host has eth0 with a count of bytes sent")
    }

    fn set_cable(&self, index: usize, state: &str) {
        let port = self.port(index);
        self.0.switch_room.holder.configure(&format!("link set {port} {state}\n"));
    }

    fn port(&self, index: usize) -> &str {
        self.0.ports.get(index).expect("the host has an interface of this number")
    }
}

#[derive(Debug)]
struct SwitchRoom {
    holder: Holder,
    segments: AtomicU32,
    ports: AtomicU32,
}

#[derive(Debug)]
struct HostParts {
    // First, so that the host goes before the switch room may.
    holder: Holder,
    ports: Vec<String>,
    switch_room: Arc<SwitchRoom>,
}

/// A process that does nothing but keep its namespaces alive.
#[derive(Debug)]
struct Holder(Child);

impl Holder {
    /// Runs a holder by way of `into_namespaces`, a command that changes namespaces and executes its
    /// arguments in place. When this returns, the holder is inside.
    fn start(mut into_namespaces: Command) -> Self {
        into_namespaces.args(["sh", "-c", "echo inside && exec cat"]);
        into_namespaces.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = into_namespaces.spawn().expect("the preflight has run this program");
        let stdout = child.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        // `cat` ends by itself when this process, the only writer of its input, ends in whatever way.
        let holder = Self(child);
        assert!(read.is_ok() && line == "inside\n", "no new namespace: {into_namespaces:?}");
        holder
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// A command that enters these namespaces and executes the arguments to be added, in place.
    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--preserve-credentials",
            "--user",
            "--net",
            "--target",
            &self.pid().to_string(),
            "--",
        ]);
        command
    }

    /// Runs lines of `ip` commands inside, all or up to the first that fails.
    fn configure(&self, lines: &str) {
        let mut command = self.enter();
        command.args(["ip", "-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the preflight has run nsenter and ip");
        let mut stdin = child.stdin.take().expect("standard input is piped");
        let written = stdin.write_all(lines.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("a child can be waited for");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(written.is_ok() && output.status.success(), "ip: {complaint}\nin this batch:\n{lines}");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Refuses a host that could overflow the neighbour table: with all pairs talking, each of `hosts` has an
/// entry for each other one, and beyond `gc_thresh3` the kernel drops entries and with them traffic. The
/// limit is one for the whole machine and visible in its first network namespace only, where this process
/// runs.
fn neighbour_table_holds(hosts: u32) {
    for family in ["ipv4", "ipv6"] {
        let path = format!("/proc/sys/net/{family}/neigh/default/gc_thresh3");
        let limit = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        let (limit, entries) = (limit.unwrap_or(u32::MAX), hosts * (hosts - 1));
        assert!(
            entries < limit,
            "{hosts} hosts on a segment need {entries} neighbour entries, and this machine has room for \
             {limit} in all; as root: echo {} > {path}",
            entries * 4
        );
    }
}

/// Segments in one laboratory; the number is an octet of the IPv4 addresses.
pub const SEGMENTS_MAX: u32 = 250;

/// Hosts on one segment; the number is the last octet of their IPv4 addresses.
pub const HOSTS_PER_SEGMENT_MAX: u32 = 250;
