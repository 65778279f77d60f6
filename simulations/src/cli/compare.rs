//! `here-sim compare`.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use hereabouts_simulations::report::{self, Comparison};

use super::{Exit, say};

#[derive(Debug, Args)]
pub(super) struct Compare {
    /// The JSON of a run or sweep before.
    base: PathBuf,
    /// The JSON of a run or sweep after.
    head: PathBuf,
}

impl Compare {
    pub(super) fn run(self) -> Result<Exit> {
        let load = |path: &PathBuf| {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            report::load(&text).with_context(|| format!("{}", path.display()))
        };
        let comparison = Comparison::of(&load(&self.base)?, &load(&self.head)?);
        say(&comparison);
        Ok(if comparison.got_worse() { Exit::Worse } else { Exit::Passed })
    }
}
