//! Terminals of the demo: where its commands run, and what they print.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Result, anyhow, bail};
use futures::future::BoxFuture;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::agents::cli::{
    self,
    arguments::Arguments,
    exit::Exit,
    interrupt::{Interrupt, Interrupter},
    output::Output,
};

/// One of the demo's machines: a node's directory, and commands that are run against it.
#[derive(Debug, Clone)]
pub(in crate::agents) struct Host {
    /// What stands before the `$`.
    pub(in crate::agents) prompt: &'static str,
    /// The directory of its node.
    pub(in crate::agents) home: PathBuf,
}

impl Host {
    /// Runs a command to its end; what it printed, and how it ended.
    pub(in crate::agents) async fn run(&self, line: &str) -> Result<(String, Exit)> {
        let printed = Printed::default();
        let (_never, interrupt) = Interrupter::new();
        let exit = command(self, line, printed.clone(), interrupt)?.await;
        Ok((printed.text(), exit))
    }

    /// Starts a command that goes on.
    pub(in crate::agents) fn start(&self, line: &str) -> Result<Terminal> {
        let printed = Printed::default();
        let (interrupter, interrupt) = Interrupter::new();
        let command = tokio::spawn(command(self, line, printed.clone(), interrupt)?);
        Ok(Terminal {
            line: line.to_owned(),
            command,
            interrupter,
            lines_seen: 0,
            printed: printed.0.subscribe(),
        })
    }
}

/// A command that goes on, and its output. Dropped, the command is killed.
#[derive(Debug)]
pub(in crate::agents) struct Terminal {
    line: String,
    command: JoinHandle<Exit>,
    interrupter: Interrupter,
    lines_seen: usize,
    printed: watch::Receiver<String>,
}

impl Terminal {
    /// Waits for a line that contains `text` and was not waited for before. Returns that line.
    pub(in crate::agents) async fn line_with(&mut self, text: &str) -> Result<String> {
        let seen = self.lines_seen;
        let find = |printed: &String| {
            let complete = &printed[..printed.rfind('\n').map_or(0, |end| end + 1)];
            let mut lines = complete.lines().enumerate().skip(seen);
            lines.find(|(_, line)| line.contains(text)).map(|(index, line)| (index, line.to_owned()))
        };
        // An error means that the command has ended; what it printed may still hold the line.
        let _ = timeout(WAIT_MAX, self.printed.wait_for(|printed| find(printed).is_some())).await.map(drop);
        let all = self.printed.borrow().clone();
        let Some((index, line)) = find(&all) else {
            bail!(
                "`{}` did not print \"{text}\" within {} s; it printed:\n{all}",
                self.line,
                WAIT_MAX.as_secs()
            );
        };
        self.lines_seen = index + 1;
        Ok(line)
    }

    /// All that was printed so far.
    pub(in crate::agents) fn printed(&self) -> String {
        self.printed.borrow().clone()
    }

    /// Ctrl-c: asks the command to end, and waits for it.
    pub(in crate::agents) async fn interrupt(self) -> Result<Exit> {
        self.interrupter.interrupt();
        self.ended().await
    }

    /// Waits for the command to end by itself.
    pub(in crate::agents) async fn ended(mut self) -> Result<Exit> {
        match timeout(WAIT_MAX, &mut self.command).await {
            Ok(exit) => Ok(exit?),
            Err(_) => Err(anyhow!("`{}` did not end within {} s", self.line, WAIT_MAX.as_secs())),
        }
    }

    /// Ends the command wherever it is, without another instruction of it being run.
    pub(in crate::agents) async fn kill(mut self) {
        self.command.abort();
        // It says that it was aborted, as it was meant to be.
        let _ = (&mut self.command).await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.command.abort();
    }
}

/// The future of a command, boxed, since one of the commands is the demo itself.
fn command(
    host: &Host,
    line: &str,
    printed: Printed,
    interrupt: Interrupt,
) -> Result<BoxFuture<'static, Exit>> {
    let mut words = words(line);
    words.insert(1, format!("--home={}", host.home.display()));
    let arguments: Arguments = clap::Parser::try_parse_from(words)?;
    let output = Output::into_writer(printed, arguments.global.json);
    Ok(Box::pin(cli::run(arguments, output, interrupt)))
}

/// The words of a command line, where double quotes hold one together.
pub(in crate::agents) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// A writer that keeps what is written and tells who waits for it.
#[derive(Debug, Clone, Default)]
struct Printed(watch::Sender<String>);

impl Printed {
    fn text(&self) -> String {
        self.0.borrow().clone()
    }
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Commands print whole lines, so no character is cut in two.
        self.0.send_modify(|printed| printed.push_str(&String::from_utf8_lossy(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long something may take that takes a second at most on a machine that is not overloaded.
pub(in crate::agents) const WAIT_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(
            words("here send bob \"Canteen at twelve?\""),
            ["here", "send", "bob", "Canteen at twelve?"]
        );
        assert_eq!(words("here set open --note \"\""), ["here", "set", "open", "--note", ""]);
    }
}
