//! `here-sim run`.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Args;
use hereabouts_simulations::{
    capsule::Capsule,
    report::{self, Outcome, Report},
    scenario::{NODES_MAX, NODES_MIN, Scenario},
    shipped,
    trace::Trace,
    world::{self, Options, Progress},
};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Exit, Misused, say, twice};

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) choice: Choice,
    /// The seed: with the build it decides everything.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Run it twice, in two processes, and compare all that happens; name the first event that differs.
    #[arg(long, conflicts_with = "trace")]
    twice: bool,
    /// Write a report to look at, one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the same content as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write every event, a line each; `-` is standard output, and nothing else then goes there.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Where a failed run leaves its capsule. [default: SCENARIO-SEED.capsule.json]
    #[arg(long, value_name = "FILE")]
    capsule: Option<PathBuf>,
    /// No progress bar, no summary, no capsule: for programs.
    #[arg(long, short)]
    pub(super) quiet: bool,
}

/// Which scenario, and how large.
#[derive(Debug, Clone, Args)]
pub(super) struct Choice {
    /// A scenario that ships, or a file that ends in .toml.
    pub(super) scenario: String,
    /// Another number of nodes than the scenario's.
    #[arg(long)]
    pub(super) nodes: Option<usize>,
    /// The small size that the scenario names for quick tests.
    #[arg(long)]
    pub(super) small: bool,
}

impl Choice {
    /// The scenario as chosen.
    pub(super) fn load(&self) -> Result<Scenario> {
        let scenario = shipped::load(&self.scenario)?;
        let scenario = if self.small { scenario.small() } else { scenario };
        match self.nodes {
            Some(nodes) if !(NODES_MIN..=NODES_MAX).contains(&nodes) => {
                Err(Misused(format!("{nodes} nodes: from {NODES_MIN} to {NODES_MAX} can be simulated"))
                    .into())
            }
            Some(nodes) => Ok(scenario.with_nodes(nodes)),
            None => Ok(scenario),
        }
    }
}

impl Run {
    pub(super) fn run(self) -> Result<Exit> {
        let scenario = self.choice.load()?;
        let report = if self.twice {
            match twice::run(&self.choice, self.seed)? {
                Some(report) => report,
                None => return Ok(Exit::Differs),
            }
        } else {
            let trace = self.open_trace()?;
            simulate(&scenario, self.seed, trace, !self.quiet)
        };
        self.write(&report)?;
        let tracing_to_output = self.trace.as_deref() == Some(Path::new("-"));
        if !self.quiet && !tracing_to_output {
            say(report::summary(&report));
        }
        self.judge(&scenario, &report)
    }

    fn open_trace(&self) -> Result<Trace> {
        let Some(path) = &self.trace else { return Ok(Trace::default()) };
        let text: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            Box::new(BufWriter::new(create(path)?))
        };
        Ok(Trace::with_text(text))
    }

    fn write(&self, report: &Report) -> Result<()> {
        if let Some(path) = &self.json {
            write_file(path, &serde_json::to_string(report)?)?;
        }
        if let Some(path) = &self.report {
            write_file(path, &report::html(report))?;
            if !self.quiet {
                eprintln!("report: {}", path.display());
            }
        }
        Ok(())
    }

    fn judge(&self, scenario: &Scenario, report: &Report) -> Result<Exit> {
        if world::ended_as_wanted(scenario, report) {
            if let Some(fails) = scenario.expect.fails {
                eprintln!("this scenario is to fail ({fails}), and did");
            }
            return Ok(Exit::Passed);
        }
        let exit = match report.outcome {
            Outcome::Safety => Exit::Safety,
            Outcome::Liveness => Exit::Liveness,
            Outcome::Passed => {
                eprintln!("this scenario is to fail, and passed: the oracles see nothing");
                Exit::Liveness
            }
        };
        if !self.quiet {
            let name = || PathBuf::from(format!("{}-{}.capsule.json", report.scenario, report.seed));
            let path = self.capsule.clone().unwrap_or_else(name);
            write_file(&path, &serde_json::to_string_pretty(&Capsule::of(scenario, report)?)?)?;
            eprintln!("capsule: {0}; `here-sim replay {0}` runs it again", path.display());
        }
        Ok(exit)
    }
}

/// Runs a scenario, with a bar that shows how far it is if somebody looks.
pub(super) fn simulate(scenario: &Scenario, seed: u64, trace: Trace, bar: bool) -> Report {
    let progress = Arc::new(Progress::default());
    let options = Options { seed, trace, progress: progress.clone() };
    if !bar || !io::stderr().is_terminal() {
        return world::run(scenario, &options);
    }
    thread::scope(|scope| {
        let run = scope.spawn(|| world::run(scenario, &options));
        let bar = ProgressBar::new(millis(scenario.join_limit + scenario.duration));
        let style = ProgressStyle::with_template("{prefix:8} {bar:30} {msg}  {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        while !run.is_finished() {
            let virtual_millis = progress.virtual_millis.load(Ordering::Relaxed);
            let disagreeing = progress.disagreeing.load(Ordering::Relaxed);
            let phase = match progress.phase.load(Ordering::Relaxed) {
                0 => "join",
                1 => "faults",
                2 => "heal",
                _ => "report",
            };
            bar.set_prefix(phase);
            bar.set_position(virtual_millis);
            let seconds = Duration::from_millis(virtual_millis).as_secs_f64();
            bar.set_message(format!("{seconds:.1} s virtual, {disagreeing} pairs disagree"));
            thread::sleep(Duration::from_millis(100));
        }
        bar.finish_and_clear();
        run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file as a whole.
pub(super) fn write_file(path: &Path, text: &str) -> Result<()> {
    create(path)?.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
