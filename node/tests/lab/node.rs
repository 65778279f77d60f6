//! One `here up` process and the other `here` commands run against it.
//!
//! Decides how a node is started, killed, asked and waited for; leaves what is right and wrong to the
//! tests. The program is the one that Cargo has built for them, and is spoken to as people do: command line
//! in, JSON out.
//!
//! Life cycle: [`Node::new`] makes a state directory, [`Node::launch`] starts the process, [`Node::ready`]
//! waits until it says that it is up; then [`Node::kill9`], [`Node::signal`] or [`Node::down`] end it and
//! it may be launched again, with the same state.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Host, PATIENCE,
    process::{Lines, Running, run_to_end},
};

/// Where a node runs.
#[derive(Clone, Debug)]
pub enum Place {
    /// On a host of a laboratory.
    Host(Host),
    /// On this machine, on a free TCP port of the loopback interface, without multicast.
    Loopback,
}

impl Place {
    fn command(&self, program: &str) -> Command {
        match self {
            Self::Host(host) => host.command(program),
            Self::Loopback => Command::new(program),
        }
    }
}

impl From<&Host> for Place {
    fn from(host: &Host) -> Self {
        Self::Host(host.clone())
    }
}

/// A node: its state directory and, when it runs, its process.
#[derive(Debug)]
pub struct Node {
    name: String,
    client: Client,
    arguments: Vec<String>,
    log: Option<String>,
    directory: TempDir,
    running: Option<Running>,
    up: Value,
}

impl Node {
    /// A node that does not run yet, which will be called `name` and have `arguments` added to `here up`.
    ///
    /// # Panics
    ///
    /// If no temporary directory can be made.
    pub fn new(place: impl Into<Place>, name: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        Self {
            name: name.to_owned(),
            client: Client { place: place.into(), home: directory.path().join("home") },
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            log: None,
            directory,
            running: None,
            up: Value::Null,
        }
    }

    /// A node that runs.
    ///
    /// # Panics
    ///
    /// If it does not say that it is up within [`PATIENCE`].
    pub fn start(place: impl Into<Place>, name: &str, arguments: &[&str]) -> Self {
        let mut node = Self::new(place, name, arguments);
        node.launch();
        node.ready();
        node
    }

    /// Starts the process, and does not wait for it.
    ///
    /// # Panics
    ///
    /// If it runs already, or cannot be started.
    pub fn launch(&mut self) {
        let command = self.up_command(HERE, &[]);
        self.run(command);
    }

    /// Starts a process that becomes `here up` only at [`Node::open_gate`], so that many nodes can start at
    /// once.
    ///
    /// # Panics
    ///
    /// If it runs already, or cannot be started.
    pub fn launch_behind_gate(&mut self) {
        let mut command = self.up_command("sh", &["-c", r#"read -r _ && exec "$@" </dev/null"#, "sh", HERE]);
        command.stdin(Stdio::piped());
        self.run(command);
    }

    /// Lets a node launched behind a gate start.
    ///
    /// # Panics
    ///
    /// If it was not launched so.
    pub fn open_gate(&mut self) {
        let mut gate = self.running_mut().stdin().expect("the node was launched behind a gate");
        gate.write_all(b"\n").expect("the shell waits for a line");
    }

    /// Waits until the process says that it is up.
    ///
    /// # Panics
    ///
    /// If it does not within [`PATIENCE`].
    pub fn ready(&mut self) {
        let up = self.lines().wait_for(0, PATIENCE, |line| line["event"] == "up");
        self.up = up.unwrap_or_else(|| panic!("{} is not up", self.name));
    }

    /// The name given at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The PRESENTITY's id.
    ///
    /// # Panics
    ///
    /// If the node has never been ready, as for the next two.
    pub fn id(&self) -> &str {
        self.up["id"].as_str().expect("`up` tells the id")
    }

    /// The short form of the id.
    pub fn short_id(&self) -> &str {
        self.up["short_id"].as_str().expect("`up` tells the short id")
    }

    /// The first line of `here up --json`.
    pub fn up(&self) -> &Value {
        assert!(!self.up.is_null(), "{} was never up", self.name);
        &self.up
    }

    /// What runs commands against this node, also while another thread kills and restarts it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The state directory.
    pub fn home(&self) -> &Path {
        &self.client.home
    }

    /// The process id of the running node.
    ///
    /// # Panics
    ///
    /// If it does not run, as for all that follow, except commands.
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// The lines of `here up --json`: its events.
    pub fn lines(&self) -> &Lines {
        self.running().lines()
    }

    /// Sends a signal to the process and does not wait for what it does.
    pub fn signal(&self, signal: Signal) {
        self.running().signal(signal);
    }

    /// `kill -9`, and waits for the end of the process.
    pub fn kill9(&mut self) {
        self.running.take().expect("the node runs").kill();
    }

    /// Waits for the end of the process, which is about to end for another reason.
    pub fn wait_end(&mut self) -> ExitStatus {
        self.running.take().expect("the node runs").wait()
    }

    /// Ends the node with `here down`.
    pub fn down(&mut self) {
        self.json(&["down"]);
        assert!(self.wait_end().success(), "{} ended with an error after `here down`", self.name);
    }

    /// Starts the node again after its end, with the same state directory, and waits until it is up.
    pub fn restart(&mut self) {
        self.launch();
        self.ready();
    }

    /// Replaces what is added to `here up` from the next start on.
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    }

    /// What it writes to standard error from the next start on, as `HERE_LOG` has it.
    pub fn set_log(&mut self, directives: &str) {
        self.log = Some(directives.to_owned());
    }

    /// What it has written there.
    pub fn complaints(&self) -> String {
        self.running().complaints()
    }

    /// [`Client::cli`].
    ///
    /// # Panics
    ///
    /// As there.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.client.cli(arguments)
    }

    /// The JSON document that `here ARGUMENTS --json` prints.
    ///
    /// # Panics
    ///
    /// If the exit code is not 0.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(arguments);
        assert!(output.code == Some(0), "{}: here {arguments:?}: {output:?}", self.name);
        output.json
    }

    /// Starts a command that goes on, such as `here watch`.
    pub fn follow(&self, arguments: &[&str]) -> Running {
        let mut command = self.client.command(arguments);
        command.stdin(Stdio::null());
        Running::spawn(command, &self.directory.path().join("commands.log"))
    }

    /// Waits for an event from line `mark` on. [`Lines::count`] of [`Node::lines`] gives marks.
    ///
    /// # Panics
    ///
    /// If it does not come within [`PATIENCE`].
    pub fn wait_event(&self, mark: usize, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let found = self.lines().wait_for(mark, PATIENCE, is_it);
        found.unwrap_or_else(|| panic!("{}: not within {PATIENCE:?}: {what}", self.name))
    }

    /// Waits until `here who` satisfies a condition, and returns that document. It is asked again at each
    /// event of the node, and now and then without one.
    ///
    /// # Panics
    ///
    /// If it does not within [`PATIENCE`].
    pub fn wait_who(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        self.wait_json(&["who", "--no-fetch"], what, is_so)
    }

    /// Waits until the document that a command prints satisfies a condition, as [`Node::wait_who`].
    ///
    /// # Panics
    ///
    /// If it does not within [`PATIENCE`].
    pub fn wait_json(&self, arguments: &[&str], what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mark = self.lines().count();
            let document = self.json(arguments);
            if is_so(&document) {
                return document;
            }
            let name = &self.name;
            assert!(Instant::now() < deadline, "{name}: not within {PATIENCE:?}: {what}; last: {document:#}");
            self.lines().wait_beyond(mark, ASK_AGAIN);
        }
    }

    /// Waits until this node shows `other` as `state` (`present`, `left` or `lost`), and returns that
    /// PRESENTITY.
    ///
    /// # Panics
    ///
    /// If it does not within [`PATIENCE`].
    pub fn wait_contact(&self, other: &Self, state: &str) -> Value {
        let what = format!("{} is shown as {state}", other.name);
        let who = self.wait_who(&what, |who| contact_state(who, other.id()) == Some(state));
        entry(&who, other.id()).cloned().expect("it was there just now")
    }

    fn up_command(&self, program: &str, before: &[&str]) -> Command {
        let mut command = self.client.place.command(program);
        clean_environment(&mut command);
        command.args(before).args(["up", "--json", "--name", &self.name, "--home"]).arg(&self.client.home);
        if matches!(self.client.place, Place::Loopback) {
            command.args(["--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]);
        }
        if let Some(directives) = &self.log {
            command.env("HERE_LOG", directives);
        }
        command.args(&self.arguments).stdin(Stdio::null());
        command
    }

    fn run(&mut self, command: Command) {
        assert!(self.running.is_none(), "{} runs already", self.name);
        self.running = Some(Running::spawn(command, &self.directory.path().join("up.log")));
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    fn running_mut(&mut self) -> &mut Running {
        self.running.as_mut().expect("the node runs")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let Some(running) = &self.running else { return };
        let mut events = running.lines().all();
        events.retain(|event| event["event"] != "listening");
        let first = events.len().saturating_sub(TAIL_LINES);
        let complaints = running.complaints();
        let tail: Vec<&str> = complaints.lines().rev().take(TAIL_LINES).collect();
        eprintln!("---- {}: {} events, the last of them:", self.name, events.len());
        events.iter().skip(first).for_each(|event| eprintln!("{}", in_brief(event)));
        eprintln!("---- {}: end of its standard error:", self.name);
        tail.iter().rev().for_each(|line| eprintln!("{line}"));
    }
}

/// Runs `here` commands against one state directory.
#[derive(Clone, Debug)]
pub struct Client {
    place: Place,
    home: PathBuf,
}

impl Client {
    /// Runs `here --json ARGUMENTS`.
    ///
    /// # Panics
    ///
    /// If the command does not end within [`PATIENCE`].
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_with_input(arguments, None)
    }

    /// Runs `here --json ARGUMENTS` with a standard input.
    ///
    /// # Panics
    ///
    /// If the command does not end within [`PATIENCE`].
    pub fn cli_with_input(&self, arguments: &[&str], input: Option<&str>) -> Output {
        let (status, stdout, stderr) = run_to_end(self.command(arguments), input, PATIENCE);
        let json = serde_json::from_str(&stdout).unwrap_or(Value::Null);
        Output { code: status.code(), stdout, stderr, json }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.place.command(HERE);
        clean_environment(&mut command);
        command.args(["--json", "--home"]).arg(&self.home).args(arguments);
        command
    }
}

/// How a `here` command ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Standard output as one JSON document; null if it is none.
    pub json: Value,
}

/// The entry of the PRESENTITY `id` in a document of `here who`.
///
/// # Panics
///
/// If there is more than one.
pub fn entry<'who>(who: &'who Value, id: &str) -> Option<&'who Value> {
    let mut entries = who["presentities"].as_array().into_iter().flatten().filter(|entry| entry["id"] == id);
    let first = entries.next();
    assert!(entries.next().is_none(), "{id} is listed twice: {who:#}");
    first
}

/// The contact state of the PRESENTITY `id` in a document of `here who`, if it is listed.
///
/// # Panics
///
/// If it is listed twice.
pub fn contact_state<'who>(who: &'who Value, id: &str) -> Option<&'who str> {
    entry(who, id)?["contact"]["state"].as_str()
}

/// Starts nodes on hosts at the same time and waits until all are up.
///
/// # Panics
///
/// If one of them does not come up.
pub fn start_together(hosts_and_names: &[(&Host, &str)]) -> Vec<Node> {
    let mut nodes: Vec<Node> =
        hosts_and_names.iter().map(|(host, name)| Node::new(*host, name, &[])).collect();
    nodes.iter_mut().for_each(Node::launch);
    nodes.iter_mut().for_each(Node::ready);
    nodes
}

/// Alice, Bob and Carol on three hosts of one segment, who found each other; nothing where
/// there can be no hosts.
///
/// # Panics
///
/// If they do not come up or do not find each other.
pub fn on_a_segment() -> Option<[Node; 3]> {
    let [a, b, c] = super::Lab::with_hosts(super::Addresses::V4)?;
    let nodes = start_together(&[(&a, "Alice"), (&b, "Bob"), (&c, "Carol")]);
    have_all_sight(&nodes);
    Some(nodes.try_into().expect("three were started"))
}

/// Waits until each of `nodes` shows all others as present.
///
/// # Panics
///
/// If one does not in time.
pub fn have_all_sight(nodes: &[Node]) {
    for node in nodes {
        node.wait_who("all others are present", |who| {
            let mut others = nodes.iter().filter(|other| other.id() != node.id());
            others.all(|other| contact_state(who, other.id()) == Some("present"))
        });
    }
}

/// An event as a short line; what is about a PRESENTITY would fill a screen.
fn in_brief(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let presentity = &event["presentity"];
    if presentity.is_null() {
        return event.to_string();
    }
    let (contact, version) = (&presentity["contact"], &presentity["version"]);
    let status = &presentity["tuples"][0]["status"];
    format!(
        "{} {} {}: {} by {}, {status}, note {}, version {}.{}",
        text(&event["at"]),
        text(&event["event"]),
        text(&presentity["name"]),
        text(&contact["state"]),
        text(&contact["evidence"]),
        presentity["note"],
        version["incarnation"],
        version["sequence"]
    )
}

/// What the environment of whoever runs the tests must not change.
fn clean_environment(command: &mut Command) {
    command.env_remove("HERE_HOME").env_remove("XDG_STATE_HOME").env("NO_COLOR", "1");
}

/// The program under test.
const HERE: &str = env!("CARGO_BIN_EXE_here");

/// How long until a document is asked for again without an event.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Lines shown of each stream of a node that is dropped by a panic.
const TAIL_LINES: usize = 25;
