//! The command line of `here-sim`.
//!
//! One simulation is one process: what must repeat to the last bit is run by a child (`--twice`), and what
//! can run side by side by several (`sweep`, `study`). Each ends with a code that says how it went, see
//! [`Exit`].

#![allow(clippy::print_stderr, reason = "a command line prints")]

mod children;
mod compare;
mod replay;
mod run;
mod study;
mod sweep;
mod twice;

use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use hereabouts_simulations::{shipped, study::StudyError, virtual_machine::self_test};

/// Simulates Hereabouts: the node's real mesh, thousands of nodes at a time, under virtual time, by seed.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the scenarios that ship, a line each.
    List,
    /// Runs a scenario and says how it ended.
    Run(run::Run),
    /// Runs a scenario in several sizes with several seeds, on all processors.
    Sweep(sweep::Sweep),
    /// Runs a study: a scenario with one thing changed at a time, in several sizes.
    Study(study::Study),
    /// Compares two reports or sweeps, metric by metric.
    Compare(compare::Compare),
    /// Runs again what a failure capsule holds.
    Replay(replay::Replay),
}

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Converged and safe; nothing worse; the same as in the capsule.
    Passed = 0,
    /// The simulator itself failed, or could not read or write a file.
    Internal = 1,
    /// The scenario or an argument is wrong.
    BadScenario = 2,
    /// Something that must never happen did.
    Safety = 3,
    /// Something that must happen did not in time.
    Liveness = 4,
    /// `compare`: something got worse.
    Worse = 5,
    /// `--twice`, `replay`: two runs differ that must not.
    Differs = 6,
}

const EXIT_CODES: &str = "Exit codes: 0 converged and safe, 1 internal error, 2 bad scenario or arguments, \
    3 safety violation, 4 liveness failure, 5 something got worse (compare), 6 two runs of one seed differ";

/// Runs the program.
pub(super) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let failed = error.use_stderr();
            // It is printed to where it belongs; there is nobody to tell if that fails.
            let _ = error.print();
            return if failed { Exit::BadScenario } else { Exit::Passed }.into();
        }
    };
    if let Err(leak) = self_test::run() {
        eprintln!("here-sim: {leak}; a run would not be repeatable, so none is made");
        return Exit::Internal.into();
    }
    let done = match arguments.command {
        Command::List => list(),
        Command::Run(run) => run.run(),
        Command::Sweep(sweep) => sweep.run(),
        Command::Study(study) => study.run(),
        Command::Compare(compare) => compare.run(),
        Command::Replay(replay) => replay.run(),
    };
    done.unwrap_or_else(|error| {
        let bad = error.chain().any(|cause| {
            cause.is::<shipped::LoadError>() || cause.is::<StudyError>() || cause.is::<Misused>()
        });
        eprintln!("here-sim: {error:#}");
        if bad { Exit::BadScenario } else { Exit::Internal }
    })
    .into()
}

/// Arguments that are each in order but not together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misused(String);

/// Prints a line of what was asked for. Who reads no more of it, as `head` does, has seen enough.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn list() -> anyhow::Result<Exit> {
    let scenarios = shipped::all()?;
    let width = scenarios.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    for scenario in scenarios {
        say(format_args!("{:width$}  {:>6} nodes  {}", scenario.name, scenario.nodes, scenario.summary));
    }
    Ok(Exit::Passed)
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
