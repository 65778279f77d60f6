//! How honest the simulator is: the LAN benchmark's real hosts beside the scenario `lan-party` with as many.
//!
//! `cargo bench -p hereabouts-simulations --bench honesty` runs the LAN benchmark (`--bench lan` of the node)
//! with 10 hosts [`Plan::rounds`] times as a child, simulates the same with several seeds, and prints one
//! table. `-- --rounds 5`, `-- --seeds 9` and `-- --quiet 60` (seconds of idleness) change how much of it;
//! `-- --real FILE` takes what an earlier run of the LAN benchmark wrote with `--json FILE`; `-- --test` runs
//! both once and tiny. Where network namespaces are not permitted, only the simulated half is shown.
//!
//! *The same workload.* All nodes start at once; a lone change at a time, of any node, as many as there; a
//! node after the other leaves and comes back. Simulated times are read as the real ones are: stamped with
//! whole milliseconds and rounded up.
//!
//! *The same machine.* The real hosts share the processors of this machine. So do the simulated ones here
//! ([`Hardware`]): as many; each start takes the processor time that a lone real start takes, each sync
//! of a disk a share of what that start waits, and each poll of a task [`poll_time`], so that a change costs
//! the processors what it really costs. These three are measured, round by round; all else is predicted.
//!
//! *Tolerance.* A row agrees if neither p50 nor p99 is further off than its factor. If one does not, the exit
//! code is 1. With `--test` there are too few samples to judge.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what this program is for")]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    path::PathBuf,
    process::{Command, ExitCode},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use hereabouts_simulations::{
    report::Outcome,
    scenario::{Amount, Fault, FaultKind, Scenario, Skew},
    shipped,
    trace::Trace,
    virtual_machine::self_test,
    world::{self, Hardware, Options},
};
use serde::Deserialize;

fn main() -> Result<ExitCode> {
    self_test::run()?;
    let plan = Plan::of_arguments(std::env::args().skip(1))?;
    let real = Real::measure(&plan)?;
    let machines = match &real {
        Some(real) => real.rounds.iter().map(|round| round.machine(&plan)).collect::<Result<Vec<_>>>()?,
        None => vec![Machine {
            hosts: plan.hosts,
            fsync: shipped::load("lan-party")?.disk.fsync,
            hardware: Hardware { shared_processors: processors(), poll: POLL_TIME, ..Hardware::default() },
        }],
    };
    let (mut shared, mut own) = (Simulated::default(), Simulated::default());
    for machine in machines {
        println!("{machine}");
        shared.add(&plan, machine)?;
        own.add(&plan, machine.with(Hardware { shared_processors: None, ..machine.hardware }))?;
    }
    Ok(print(&plan, real.as_ref(), &shared, &own))
}

/// What the hosts are on.
#[derive(Clone, Copy)]
struct Machine {
    hosts: usize,
    fsync: Duration,
    hardware: Hardware,
}

impl Machine {
    fn with(self, hardware: Hardware) -> Self {
        Self { hardware, ..self }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { hosts, fsync, hardware } = self;
        let processors = hardware.shared_processors.unwrap_or(*hosts);
        let [sync, start, poll] = [*fsync, hardware.start_work, hardware.poll].map(|time| time.as_secs_f64());
        write!(
            f,
            "simulated: {hosts} hosts, {processors} processors; a sync takes {:.2} ms, a start works \
             {:.1} ms, \
             a poll {:.0} \u{b5}s",
            sync * 1e3,
            start * 1e3,
            poll * 1e6
        )
    }
}

/// How much is measured.
struct Plan {
    hosts: usize,
    rounds: usize,
    quiet: u64,
    seeds: u64,
    changes: usize,
    leaves: usize,
    real: Option<PathBuf>,
    test: bool,
}

impl Plan {
    fn of_arguments(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let (rounds, quiet, seeds) = (3, 120, 5);
        let mut plan =
            Self { hosts: 10, rounds, quiet, seeds, changes: 100, leaves: 100, real: None, test: false };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().context("an argument lacks its value");
            match argument.as_str() {
                "--test" => {
                    plan = Self { hosts: 2, seeds: 1, changes: 2, leaves: 2, test: true, ..plan };
                }
                "--rounds" => plan.rounds = value()?.parse()?,
                "--quiet" => plan.quiet = value()?.parse()?,
                "--seeds" => plan.seeds = value()?.parse()?,
                "--real" => plan.real = Some(value()?.into()),
                // Cargo adds it to every benchmark.
                "--bench" => {}
                _ => {
                    bail!("usage: honesty [--rounds N] [--quiet SECONDS] [--seeds N] [--real FILE] [--test]")
                }
            }
        }
        Ok(plan)
    }
}

/// What the LAN benchmark measured, round by round.
struct Real {
    rounds: Vec<Round>,
}

struct Round {
    hosts: usize,
    samples: BTreeMap<String, Vec<f64>>,
}

/// A line of it.
#[derive(Deserialize)]
struct Line {
    hosts: usize,
    what: String,
    samples: Vec<f64>,
}

impl Real {
    /// Runs it; nothing if it cannot run here.
    fn measure(plan: &Plan) -> Result<Option<Self>> {
        let directory = tempfile::tempdir()?;
        let file = plan.real.clone().unwrap_or_else(|| directory.path().join("lan.json"));
        if plan.real.is_none() {
            // Cargo names itself to what it runs.
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["bench", "--package", "hereabouts", "--bench", "lan", "--locked"]);
            if cfg!(debug_assertions) {
                cargo.args(["--profile", "dev"]);
            }
            cargo.arg("--").arg("--json").arg(&file);
            if plan.test {
                cargo.arg("--test");
            } else {
                let hosts = vec![plan.hosts.to_string(); plan.rounds].join(",");
                cargo.args(["--hosts", &hosts, "--quiet", &plan.quiet.to_string()]);
            }
            ensure!(cargo.status().context("cannot run cargo")?.success(), "the LAN benchmark failed");
        }
        let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let lines: Vec<Line> = serde_json::from_slice(&text)?;
        let mut rounds: Vec<Round> = Vec::new();
        for Line { hosts, what, samples } in lines {
            match rounds.last_mut().filter(|round| !round.samples.contains_key(&what)) {
                Some(round) => drop(round.samples.insert(what, samples)),
                None => rounds.push(Round { hosts, samples: BTreeMap::from([(what, samples)]) }),
            }
        }
        if rounds.is_empty() {
            eprintln!("no real hosts: network namespaces are not permitted here");
            return Ok(None);
        }
        Ok(Some(Self { rounds }))
    }

    /// All samples of something.
    fn of(&self, what: &str) -> Vec<f64> {
        self.rounds.iter().flat_map(|round| round.of(what)).copied().collect()
    }
}

impl Round {
    fn of(&self, what: &str) -> &[f64] {
        self.samples.get(what).map_or(&[], Vec::as_slice)
    }

    /// This machine, as it shows in the costs that are not compared.
    fn machine(&self, plan: &Plan) -> Result<Machine> {
        let milliseconds = |what: &str| quantile(self.of(what), 50).max(0.0) / 1e3;
        let work = Duration::from_secs_f64(milliseconds(LONE_WORK));
        let until_listening = Duration::from_secs_f64(milliseconds(LONE_START));
        let hardware = Hardware { shared_processors: processors(), start_work: work, ..Hardware::default() };
        let fsync = until_listening.saturating_sub(work) / START_SYNCS;
        let machine = Machine { hosts: self.hosts, fsync, hardware };
        let poll = poll_time(plan, machine, mean(self.of(CHANGE_WORK)))?;
        Ok(machine.with(Hardware { poll, ..hardware }))
    }
}

/// What a poll takes, so that a change takes `change` milliseconds of processor time at all hosts together.
fn poll_time(plan: &Plan, machine: Machine, change: f64) -> Result<Duration> {
    let mut poll = POLL_TIME;
    // How long a poll takes has some influence on how many there are.
    for _ in 0..3 {
        let few = Plan { seeds: 1, real: None, ..*plan };
        let mut simulated = Simulated::default();
        simulated.add(&few, machine.with(Hardware { poll, ..machine.hardware }))?;
        let polls = mean(&simulated.change_polls).max(1.0);
        poll = Duration::from_secs_f64((change / 1e3 / polls).clamp(0.0, 0.01));
    }
    Ok(poll)
}

fn processors() -> Option<usize> {
    Some(std::thread::available_parallelism().map_or(1, usize::from))
}

/// What was simulated, over all seeds.
#[derive(Default)]
struct Simulated {
    sight: Vec<f64>,
    sight_work: Vec<f64>,
    change: Vec<f64>,
    change_polls: Vec<f64>,
    idle: Vec<f64>,
    idle_work: Vec<f64>,
    leave: Vec<f64>,
}

impl Simulated {
    /// Runs all seeds on a machine.
    fn add(&mut self, plan: &Plan, machine: Machine) -> Result<()> {
        for seed in 1..=plan.seeds {
            let (scenario, hardware) = (changes(plan, machine)?, machine.hardware);
            self.take_joining_and_changes(&hardware, &simulate(&scenario, hardware, seed)?);
            let told = simulate(&leaves(plan, machine)?, hardware, seed)?;
            self.leave.extend(told.seen_by_all("left", "shows as left ", &told.presentities()));
            let (nodes, changes, leaves) = (self.sight.len(), self.change.len(), self.leave.len());
            ensure!(nodes > 0 && changes > 0 && leaves > 0, "the trace does not tell what is looked for");
        }
        Ok(())
    }

    fn take_joining_and_changes(&mut self, hardware: &Hardware, told: &Told) {
        let presentities = told.presentities();
        let sights: Vec<u64> = presentities.values().map(|(_, sight)| *sight).collect();
        self.sight.extend(sights.iter().map(|at| stamped(0, *at)));
        let last = sights.iter().copied().max().unwrap_or(0);
        let hosts = presentities.len().max(1) as f64;
        let handshakes = told.connected.iter().filter(|at| **at <= last).count() as f64;
        let work = told.polls(0, last) * hardware.poll.as_secs_f64()
            + handshakes * hardware.handshake.as_secs_f64()
            + hosts * hardware.start_work.as_secs_f64();
        self.sight_work.push(work * 1e3 / hosts);
        let idle = told.lines.iter().filter(|line| line.what.starts_with(IDLE));
        if let Some(line) = idle.clone().next() {
            let polls = told.polls(line.at.saturating_sub(IDLE_WINDOW * SECOND), line.at);
            self.idle_work.push(polls * hardware.poll.as_secs_f64() * 1e3 / IDLE_WINDOW as f64 / hosts);
        }
        let sent =
            idle.filter_map(|line| line.what.strip_prefix(IDLE)?.split_once(' ')?.0.parse::<f64>().ok());
        self.idle.extend(sent);
        self.change.extend(told.seen_by_all(CHANGES, "shows ", &presentities));
        let begun = told.lines.iter().filter(|line| line.what == CHANGES);
        self.change_polls.extend(begun.map(|line| told.polls(line.at, line.at + AFTERMATH)));
    }
}

/// `lan-party` as the LAN benchmark has it: all start at once, then one change at a time.
fn changes(plan: &Plan, machine: Machine) -> Result<Scenario> {
    let mut scenario = shipped::load("lan-party")?.with_nodes(machine.hosts);
    scenario.disk.fsync = machine.fsync;
    scenario.join.within = Duration::ZERO;
    scenario.workload.changes = plan.changes;
    scenario.workload.messages = 0;
    scenario.duration = CHANGE_INTERVAL * u32::try_from(plan.changes)?;
    // Only measured: the bounds are another matter.
    scenario.expect.idle_bytes_per_second = Some(f64::MAX);
    scenario.expect.joined_within = None;
    scenario.expect.change_p99 = None;
    Ok(scenario)
}

/// The same, but for nodes that leave and come back in place of the changes.
fn leaves(plan: &Plan, machine: Machine) -> Result<Scenario> {
    let (mut scenario, hosts) = (changes(plan, machine)?, machine.hosts);
    let rounds = plan.leaves.div_ceil(hosts);
    let of_all = LEAVE_INTERVAL * u32::try_from(hosts)?;
    scenario.workload.changes = 0;
    scenario.expect.idle_bytes_per_second = None;
    scenario.duration = of_all * u32::try_from(rounds)? + LEAVE_INTERVAL;
    let round = |number: usize| {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        Fault {
            kind: FaultKind::Restart,
            at: of_all * number + LEAVE_INTERVAL,
            lasts: Some(AWAY),
            every: Some(LEAVE_INTERVAL),
            amount: Amount::Count(hosts),
            keep_disk: true,
            factor: 1.0,
            loss: 0.0,
            skew: Skew { ahead: true, by: Duration::ZERO },
        }
    };
    scenario.faults = (0..rounds).map(round).collect();
    Ok(scenario)
}

/// Runs a scenario. What was told.
fn simulate(scenario: &Scenario, hardware: Hardware, seed: u64) -> Result<Told> {
    let text = Text::default();
    let trace = Trace::with_text(Box::new(text.clone()));
    let report = world::run_on(hardware, scenario, &Options { seed, trace, ..Options::default() });
    ensure!(report.outcome == Outcome::Passed, "seed {seed} failed: {:?}", report.failures);
    let text = std::mem::take(&mut *text.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Told::read(&String::from_utf8(text)?))
}

/// A trace in memory.
#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a trace tells. Times in nanoseconds.
#[derive(Default)]
struct Told {
    lines: Vec<Said>,
    /// When, and how many polls until then.
    steps: Vec<(u64, u64)>,
    connected: Vec<u64>,
}

/// Something that a host told.
struct Said {
    at: u64,
    host: u32,
    what: String,
}

impl Told {
    fn read(text: &str) -> Self {
        let mut told = Self::default();
        for line in text.lines() {
            told.read_line(line);
        }
        told
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let (time, rest) = line.split_once(' ')?;
        let at = time.replace('.', "").parse().ok()?;
        if let Some(polls) = rest.strip_prefix("step, ") {
            self.steps.push((at, polls.strip_suffix(" polls")?.parse().ok()?));
        } else if rest.contains(" connected with ") {
            self.connected.push(at);
        } else {
            let (host, what) = rest.split_once(": ")?;
            self.lines.push(Said { at, host: host.parse().ok()?, what: what.to_owned() });
        }
        Some(())
    }

    fn polls(&self, from: u64, until: u64) -> f64 {
        let at = |time: u64| {
            let place = self.steps.partition_point(|(at, _)| *at <= time);
            place.checked_sub(1).and_then(|place| self.steps.get(place)).map_or(0, |(_, polls)| *polls)
        };
        at(until).saturating_sub(at(from)) as f64
    }

    /// Of each host its presentity, which all others show and it does not, and when it first showed all.
    fn presentities(&self) -> BTreeMap<u32, (String, u64)> {
        let mut shown = BTreeMap::<u32, BTreeMap<&str, u64>>::new();
        for line in &self.lines {
            if let Some(presentity) = presentity(&line.what, "shows ") {
                shown.entry(line.host).or_default().entry(presentity).or_insert(line.at);
            }
        }
        let all: BTreeSet<&str> = shown.values().flat_map(BTreeMap::keys).copied().collect();
        let of = |(host, shown): (u32, BTreeMap<&str, u64>)| {
            let own = all.iter().find(|presentity| !shown.contains_key(**presentity))?;
            Some((host, ((*own).to_owned(), shown.values().copied().max()?)))
        };
        shown.into_iter().filter_map(of).collect()
    }

    /// Milliseconds from each time that a host tells `begins` until the last of the others tells `follows`.
    fn seen_by_all(
        &self,
        begins: &str,
        follows: &str,
        presentities: &BTreeMap<u32, (String, u64)>,
    ) -> Vec<f64> {
        let mut times = Vec::new();
        for (place, line) in self.lines.iter().enumerate().filter(|(_, line)| line.what == begins) {
            let Some((of, _)) = presentities.get(&line.host) else { continue };
            let rest = self.lines.iter().skip(place);
            let those = rest.filter(|line| presentity(&line.what, follows) == Some(of));
            let others = presentities.len() - 1;
            let mut seen = BTreeSet::new();
            let last =
                those.take_while(|line| seen.insert(line.host)).take(others).map(|line| line.at).last();
            times.extend(last.map(|last| stamped(line.at, last)));
        }
        times
    }
}

/// Of whom a host shows what, if this is how.
fn presentity<'line>(what: &'line str, how: &str) -> Option<&'line str> {
    // `node 3 1.2`, the last being a version.
    let (of, version) = what.strip_prefix(how)?.rsplit_once(' ')?;
    let number = of.strip_prefix("node ")?;
    (number.parse::<usize>().is_ok() && version.contains('.')).then_some(of)
}

/// Milliseconds from a time to an event, read as the LAN benchmark reads it.
fn stamped(from: u64, event: u64) -> f64 {
    let stamp = event / MILLISECOND * MILLISECOND + MILLISECOND;
    stamp.saturating_sub(from) as f64 / MILLISECOND as f64
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len().max(1) as f64
}

/// Nearest rank, as in the LAN benchmark.
fn quantile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Prints the table, and whether all of it agrees.
fn print(plan: &Plan, real: Option<&Real>, shared: &Simulated, own: &Simulated) -> ExitCode {
    println!("\n{TITLES}");
    let rows = [
        ("start to mutual sight, ms", "start to mutual sight", &shared.sight, Some(&own.sight), 1.5),
        ("processor time of that, ms a host", "CPU to mutual sight", &shared.sight_work, None, 1.5),
        ("change seen by all, ms", "change seen by all", &shared.change, Some(&own.change), 2.0),
        ("clean leave seen by all, ms", "clean leave seen by all", &shared.leave, Some(&own.leave), 2.0),
        ("idle, B/s sent by a host", "idle, sent by each host", &shared.idle, Some(&own.idle), 1.5),
        ("processor time idle, ms/s a host", "CPU while idle, each node", &shared.idle_work, None, 1.5),
    ];
    let mut all_agree = true;
    for (what, name, shared, own, tolerance) in rows {
        let quantiles = |samples: &[f64]| [quantile(samples, 50), quantile(samples, 99)];
        let simulated = quantiles(shared);
        let seen = real.map(|real| quantiles(&real.of(name)));
        let ratios = seen.map(|[p50, p99]| {
            let [simulated_p50, simulated_p99] = simulated;
            [simulated_p50 / p50, simulated_p99 / p99]
        });
        // A few samples say nothing.
        let ratios_to_judge = ratios.filter(|_| !plan.test);
        let agrees =
            ratios_to_judge.map(|ratios| ratios.iter().all(|r| (1.0 / tolerance..=tolerance).contains(r)));
        all_agree &= agrees.unwrap_or(true);
        println!(
            "{what:33} | {:>15} | {:>15} | {:>11} | {tolerance:>8}x | {:6} | {:>16}",
            pair(seen, 1 + usize::from(name.starts_with("CPU while"))),
            pair(Some(simulated), 1 + usize::from(name.starts_with("CPU while"))),
            pair(ratios, 2),
            agrees.map_or("-", |agrees| if agrees { "yes" } else { "NO" }),
            pair(own.map(|own| quantiles(own)), 1),
        );
    }
    ExitCode::from(u8::from(!all_agree))
}

/// p50 and p99, if there are such.
fn pair(quantiles: Option<[f64; 2]>, digits: usize) -> String {
    quantiles.map_or_else(|| "-".to_owned(), |[p50, p99]| format!("{p50:.digits$} / {p99:.digits$}"))
}

const TITLES: &str = "\
what, p50 / p99                   | real            | simulated       | ratio       | tolerance | agrees \
| a processor each
----------------------------------|----------------:|----------------:|------------:|----------:|--------\
|-----------------:";
/// Syncs of a new node's disk until it listens, counted with strace.
const START_SYNCS: u32 = 12;
const CHANGES: &str = "changes its status";
const IDLE: &str = "idle, sent ";
const LONE_START: &str = "lone start until it listens";
const LONE_WORK: &str = "CPU of a lone start";
const CHANGE_WORK: &str = "CPU of a change, all nodes";
/// What a poll takes where nothing real can be measured.
const POLL_TIME: Duration = Duration::from_micros(30);
/// Long enough that a change does not meet the one before.
const CHANGE_INTERVAL: Duration = Duration::from_secs(1);
/// Long enough that everybody is back.
const LEAVE_INTERVAL: Duration = Duration::from_secs(3);
const AWAY: Duration = Duration::from_millis(500);
/// As long as the LAN benchmark waits after a change for what it still costs, in nanoseconds.
const AFTERMATH: u64 = 50 * MILLISECOND;
/// What the simulator looks at as idleness, in seconds.
const IDLE_WINDOW: u64 = 120;
/// In nanoseconds.
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
