//! Runs in processes of their own, several at a time: what `sweep` and `study` are made of.

use std::{
    env, fs,
    num::NonZeroUsize,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use hereabouts_simulations::report::Report;
use indicatif::{ProgressBar, ProgressStyle};

use super::run::Choice;

/// Makes every run, at most so many at a time, each in a process of its own, with a bar that shows how far it
/// is. Each report is given to `done` as soon as it is there, with the number of its run; the result has them
/// in the order of the runs.
pub(super) fn run_all(
    runs: &[(Choice, u64)],
    at_a_time: NonZeroUsize,
    done: impl Fn(usize, &Report) -> Result<()> + Sync,
) -> Result<Vec<Report>> {
    let folder = tempfile::tempdir().context("cannot make a folder for the reports")?;
    let bar = ProgressBar::new(u64::try_from(runs.len()).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} runs  {elapsed}, {eta} to go");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let next = AtomicUsize::new(0);
    let ended = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_a_time.get().min(runs.len()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some((choice, seed)) = runs.get(number) else { return };
                    let run = run_one(choice, *seed, &folder.path().join(format!("{number}.json")));
                    let run = run.and_then(|run| done(number, &run).map(|()| run));
                    ended.lock().unwrap_or_else(PoisonError::into_inner).push((number, run));
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.sort_by_key(|(number, _)| *number);
    ended.into_iter().map(|(_, run)| run).collect()
}

fn run_one(choice: &Choice, seed: u64, json: &Path) -> Result<Report> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["run", "--quiet", "--seed", &seed.to_string(), &choice.scenario, "--json"]).arg(json);
    if choice.small {
        command.arg("--small");
    }
    if let Some(nodes) = choice.nodes {
        command.args(["--nodes", &nodes.to_string()]);
    }
    let output = command.stdin(Stdio::null()).output()?;
    let text = fs::read_to_string(json).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("seed {seed} broke off ({}): {}", output.status, said.trim())
    })?;
    Ok(serde_json::from_str(&text)?)
}
