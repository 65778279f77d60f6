//! `here demo`: three nodes in this process, and a session between them.
//!
//! **Decides** which commands are run and in which order, and shows what they print. **Leaves** everything
//! they do to them: each line after a prompt goes through the same parser and the same functions as on the
//! command line, against a node in a directory of its own, and nothing that is shown is made up. Where one
//! step needs what another brought about, the demo waits for the line in which a node or a watcher says so.
//!
//! **Life**: Alice, Bob and Carol run `here up` on loopback, without mDNS, so they are given addresses.
//! They show themselves, send, refuse and leave; then Bob's node is ended as a power cut would end it, comes
//! back, and gets what waited for him. The directories are removed at the end, also after ctrl-c.
//!
//! **Limits**: each wait is given up after half a minute, with the line that was waited for.

mod terminal;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

#[cfg(test)]
pub(super) use self::terminal::words;
pub(super) use self::terminal::{Host, Terminal};
use super::cli::{
    Context,
    exit::Exit,
    failure::Failure,
    output::{FAINT, HEADING, Output},
};

/// Plays the session.
pub(super) async fn run(context: &Context) -> Result<Exit> {
    if context.output.json {
        return Err(
            Failure::new(Exit::Usage, "usage", "the demo is for people to read; leave out --json").into()
        );
    }
    let wishes = context.interrupt.listen()?;
    let directory = TempDir::with_prefix("here-demo-").context("cannot make a directory for the demo")?;
    tokio::select! {
        played = play(&context.output, &directory) => played.map(|()| Exit::Done),
        () = wishes.to_end() => Ok(Exit::Done),
        () = context.output.closed() => Ok(Exit::Done),
    }
}

async fn play(output: &Output, directory: &TempDir) -> Result<()> {
    let host = |prompt: &'static str| Host { prompt, home: directory.path().join(prompt) };
    let stage = Stage { output, alice: host("a"), bob: host("b"), carol: host("c") };
    stage.say(
        "Three nodes in this one process, on loopback. There is no mDNS here, so Bob and Carol are told\n\
         where Alice is. Each has a directory of its own, as a, b and c would on three machines.",
    )?;
    let (mut alice, bob, carol) = stage.start_nodes().await?;
    stage.presence().await?;
    let mut watcher = stage.start(&stage.alice, "here watch bob")?;
    stage.show(&watcher.line_with("Bob is").await?)?;
    stage.messages(&mut watcher).await?;
    stage.goodbye(&mut alice, carol).await?;
    stage.power_cut(&mut alice, bob, &mut watcher).await?;
    stage.end(alice, watcher).await
}

/// Where it plays.
struct Stage<'a> {
    output: &'a Output,
    alice: Host,
    bob: Host,
    carol: Host,
}

impl Stage<'_> {
    async fn start_nodes(&self) -> Result<(Terminal, Terminal, Terminal)> {
        let mut alice = self.start(&self.alice, &format!("here up --name Alice {LOOPBACK}"))?;
        let address = alice.line_with("/ip4/127.0.0.1/tcp/").await?;
        let address = address.split_whitespace().next_back().context("the line has an address")?.to_owned();
        alice.line_with("up:").await?;
        self.show(alice.printed().trim_end())?;
        let with_alice = format!("{LOOPBACK} --peer {address}");
        let mut bob = self.start(&self.bob, &format!("here up --name Bob {with_alice}"))?;
        self.show(&format!("{}\n...", bob.line_with("name").await?))?;
        let mut carol = self.start(&self.carol, &format!("here up --name Carol {with_alice}"))?;
        self.show(&format!("{}\n...", carol.line_with("name").await?))?;
        // Alice told them of each other: they were given her address only.
        bob.line_with("Carol appeared").await?;
        carol.line_with("Bob appeared").await?;
        alice.line_with("Bob appeared").await?;
        Ok((alice, bob, carol))
    }

    async fn presence(&self) -> Result<()> {
        self.run(&self.alice, "here who").await?;
        self.run(&self.bob, "here set open away --note \"back in half an hour\" --until 30m").await?;
        self.run(&self.alice, "here fetch bob").await
    }

    async fn messages(&self, watcher: &mut Terminal) -> Result<()> {
        self.run(&self.alice, "here send bob \"Canteen at twelve?\"").await?;
        self.run(&self.bob, "here inbox").await?;
        self.run(&self.bob, "here set closed").await?;
        self.say("Alice's watch says:")?;
        self.show(&watcher.line_with("Bob is closed").await?)?;
        self.run_failing(&self.alice, "here send bob \"still there?\"").await
    }

    async fn goodbye(&self, alice: &mut Terminal, carol: Terminal) -> Result<()> {
        self.run(&self.carol, "here down").await?;
        carol.ended().await?;
        self.say("Alice's node says:")?;
        self.show(&alice.line_with("Carol left").await?)
    }

    async fn power_cut(&self, alice: &mut Terminal, bob: Terminal, watcher: &mut Terminal) -> Result<()> {
        self.run(&self.bob, "here set open").await?;
        self.say("Alice's watch says:")?;
        self.show(&watcher.line_with("Bob is open").await?)?;
        self.say("Now Bob's node is ended at once, without a goodbye, as by a power cut.")?;
        bob.kill().await;
        self.say("Alice's watch says:")?;
        self.show(&watcher.line_with("out of contact").await?)?;
        self.run(&self.alice, "here send bob \"are you back?\" --queue").await?;
        self.run(&self.alice, "here outbox").await?;
        self.run(&self.alice, "here who").await?;
        self.say("Bob's machine is on again. His node remembers its name, and where Alice is.")?;
        let mut bob = self.start(&self.bob, &format!("here up {LOOPBACK}"))?;
        self.show(&format!("{}\n...", bob.line_with("name").await?))?;
        self.say("Alice's watch and node say:")?;
        self.show(&watcher.line_with("Bob is back").await?)?;
        self.show(&alice.line_with("delivered").await?)?;
        self.run(&self.bob, "here inbox").await?;
        self.run(&self.bob, "here down").await?;
        bob.ended().await.map(drop)
    }

    async fn end(&self, alice: Terminal, watcher: Terminal) -> Result<()> {
        ensure!(watcher.interrupt().await? == Exit::Done, "the watch did not end well");
        ensure!(alice.interrupt().await? == Exit::Done, "Alice's node did not end well");
        self.say("That was it. `here up` runs a node of your own, `here help` explains the rest.")
    }

    /// Runs a command that must do what it is asked.
    async fn run(&self, host: &Host, line: &str) -> Result<()> {
        self.prompt(host, line)?;
        let (printed, exit) = host.run(line).await?;
        self.show(printed.trim_end())?;
        ensure!(exit == Exit::Done, "`{line}` ended with exit code {}", exit.code());
        Ok(())
    }

    /// Runs a command that must be refused, and shows its exit code.
    async fn run_failing(&self, host: &Host, line: &str) -> Result<()> {
        self.prompt(host, line)?;
        let (printed, exit) = host.run(line).await?;
        self.show(printed.trim_end())?;
        ensure!(exit != Exit::Done, "`{line}` should have been refused");
        self.prompt(host, "echo $?")?;
        self.show(&exit.code().to_string())
    }

    /// Starts a command that goes on in a terminal of its own.
    fn start(&self, host: &Host, line: &str) -> Result<Terminal> {
        self.prompt(host, line)?;
        host.start(line)
    }

    fn prompt(&self, host: &Host, line: &str) -> Result<()> {
        let prompt = self.output.paint(FAINT, format!("{}$", host.prompt));
        Ok(self.output.line(format!("\n{prompt} {}", self.output.paint(HEADING, line)))?)
    }

    fn show(&self, printed: &str) -> Result<()> {
        Ok(self.output.line(printed)?)
    }

    fn say(&self, text: &str) -> Result<()> {
        let lines: Vec<_> = text.lines().map(|line| self.output.paint(FAINT, format!("# {line}"))).collect();
        Ok(self.output.line(format!("\n{}", lines.join("\n")))?)
    }
}

/// How the demo's nodes are kept off the network.
const LOOPBACK: &str = "--no-mdns --listen /ip4/127.0.0.1/tcp/0";
