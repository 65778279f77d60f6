//! `here-sim replay`.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use hereabouts_simulations::{build, capsule::Capsule, report, trace::Trace};

use super::{
    Exit,
    run::{simulate, write_file},
    say,
};

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// What a failed run left.
    capsule: PathBuf,
    /// Write a report to look at, one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Replay {
    pub(super) fn run(self) -> Result<Exit> {
        let path = self.capsule.display();
        let text = fs::read_to_string(&self.capsule).with_context(|| format!("cannot read {path}"))?;
        let (capsule, scenario) = Capsule::read(&text).with_context(|| format!("{path}"))?;
        let build = build::build();
        if build != capsule.build {
            eprintln!(
                "note: the capsule is of commit {}, lock file {}; this is {}, {}, so the run may differ",
                capsule.build.commit, capsule.build.lock_hash, build.commit, build.lock_hash
            );
        }
        let report = simulate(&scenario, capsule.seed, Trace::default(), true);
        say(report::summary(&report));
        if let Some(path) = &self.report {
            write_file(path, &report::html(&report))?;
        }
        let same = report.trace_hash == capsule.trace_hash;
        say(if same { "the same run as in the capsule" } else { "not the run of the capsule" });
        Ok(if same { Exit::Passed } else { Exit::Differs })
    }
}
