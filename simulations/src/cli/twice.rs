//! `here-sim run --twice`: two processes, one seed, and every event of the one beside that of the other.

use std::{
    collections::VecDeque,
    env, fs,
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, bail};
use hereabouts_simulations::report::Report;

use super::{run::Choice, say};

/// The report of both runs, or nothing if they differ, which was said.
pub(super) fn run(choice: &Choice, seed: u64) -> Result<Option<Report>> {
    let folder = tempfile::tempdir().context("cannot make a folder for the report")?;
    let json = folder.path().join("report.json");
    let mut first = Traced::start(choice, seed, Some(&json))?;
    let mut second = Traced::start(choice, seed, None)?;
    let mut before = VecDeque::new();
    for number in 1_u64.. {
        match (first.next_line()?, second.next_line()?) {
            (None, None) => break,
            (one, other) if one != other => {
                say_difference(number, &before, one.as_deref(), other.as_deref());
                return Ok(None);
            }
            (line, _) => {
                if before.len() == LINES_BEFORE {
                    before.pop_front();
                }
                before.extend(line);
            }
        }
    }
    first.wait()?;
    second.wait()?;
    let text = fs::read_to_string(&json).context("a run left no report")?;
    let report: Report = serde_json::from_str(&text).context("a run left a damaged report")?;
    eprintln!("two runs, one trace: {} events, {}", report.trace_events, report.trace_hash);
    Ok(Some(report))
}

fn say_difference(number: u64, before: &VecDeque<String>, one: Option<&str>, other: Option<&str>) {
    say(format_args!("two runs of one seed differ at event {number}:"));
    for line in before {
        say(format_args!("  both    {line}"));
    }
    say(format_args!("  first   {}", one.unwrap_or("ended")));
    say(format_args!("  second  {}", other.unwrap_or("ended")));
}

struct Traced {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Traced {
    fn start(choice: &Choice, seed: u64, json: Option<&Path>) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["run", "--quiet", "--trace", "-", "--seed", &seed.to_string(), &choice.scenario]);
        if choice.small {
            command.arg("--small");
        }
        if let Some(nodes) = choice.nodes {
            command.args(["--nodes", &nodes.to_string()]);
        }
        if let Some(json) = json {
            command.arg("--json").arg(json);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("a child's output was asked for")?;
        Ok(Self { child, lines: BufReader::with_capacity(1 << 20, output).lines() })
    }

    fn next_line(&mut self) -> Result<Option<String>> {
        Ok(self.lines.next().transpose()?)
    }

    fn wait(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        // A run that fails its scenario is a run; one without a code was killed.
        if status.code().is_none_or(|code| code == 1 || code == 101) {
            bail!("a run broke off: {status}");
        }
        Ok(())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // It has ended, or nobody wants the rest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Events shown before the first that differs.
const LINES_BEFORE: usize = 5;
