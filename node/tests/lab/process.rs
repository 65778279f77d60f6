//! Running programs whose output is read line by line, and waiting for what they print.
//!
//! Decides how a wait ends: at the line, at the end of the program's output, or at a bound. Leaves the
//! meaning of the lines to its callers. The lines of one program are all kept, for one test is short.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::PATIENCE;

/// A program that runs until it is told to end; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Lines,
    stderr: PathBuf,
}

impl Running {
    /// Starts `command` with its standard output read into [`Running::lines`] and its standard error
    /// appended to the file `stderr`.
    ///
    /// # Panics
    ///
    /// If the program or the file cannot be opened.
    pub fn spawn(mut command: Command, stderr: &Path) -> Self {
        let log =
            File::options().create(true).append(true).open(stderr).expect("the test's directory is writable");
        command.stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = child.stdout.take().expect("standard output is piped");
        Self { child, lines: Lines::read(stdout), stderr: stderr.to_owned() }
    }

    /// What the program has printed and will print.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// What the program has written to standard error, and its predecessors into the same file.
    pub fn complaints(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The other side of the program's standard input, once, if it was started with one.
    pub fn stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Sends a signal.
    ///
    /// # Panics
    ///
    /// If the process has been waited for already.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.pid()).expect("a process id fits"));
        nix::sys::signal::kill(pid, signal).expect("the process is there until it is waited for");
    }

    /// Waits until the program has closed its output, and for the process then.
    ///
    /// # Panics
    ///
    /// If it goes on for longer than [`PATIENCE`].
    pub fn wait(mut self) -> ExitStatus {
        assert!(self.lines.wait_end(PATIENCE), "the program does not end; it said {:?}", self.lines.all());
        self.child.wait().expect("a child can be waited for")
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // Both fail only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The lines a program prints, as JSON values (a line that is not JSON is a JSON string). Clones share
/// them.
#[derive(Clone, Debug)]
pub struct Lines(Arc<(Mutex<Printed>, Condvar)>);

#[derive(Debug, Default)]
struct Printed {
    lines: Vec<Value>,
    ended: bool,
}

impl Lines {
    fn read(stdout: ChildStdout) -> Self {
        let lines = Self(Arc::default());
        let of_thread = lines.clone();
        // Ends with the program: the pipe is closed then.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                of_thread.printed().lines.push(value);
                of_thread.0.1.notify_all();
            }
            of_thread.printed().ended = true;
            of_thread.0.1.notify_all();
        });
        lines
    }

    /// All lines until now.
    pub fn all(&self) -> Vec<Value> {
        self.printed().lines.clone()
    }

    /// How many lines there are until now: a mark from which to wait for further ones.
    pub fn count(&self) -> usize {
        self.printed().lines.len()
    }

    /// The first line from number `mark` on that `is_it`, waiting for it up to `bound`; `None` if the bound
    /// or the end of the program comes first.
    pub fn wait_for(&self, mark: usize, bound: Duration, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
        let deadline = Instant::now() + bound;
        let mut next = mark;
        let mut printed = self.printed();
        loop {
            let fresh = printed.lines.get(next..).unwrap_or_default();
            if let Some(line) = fresh.iter().find(|line| is_it(line)) {
                return Some(line.clone());
            }
            next = next.max(printed.lines.len());
            let left = deadline.saturating_duration_since(Instant::now());
            if printed.ended || left.is_zero() {
                return None;
            }
            printed = self.0.1.wait_timeout(printed, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until there are more than `count` lines, up to `bound`, or until the program ends. Whether
    /// there are.
    pub fn wait_beyond(&self, count: usize, bound: Duration) -> bool {
        self.wait_for(count, bound, |_| true).is_some()
    }

    /// Waits until the program has closed its output, up to `bound`. Whether it has.
    pub fn wait_end(&self, bound: Duration) -> bool {
        let printed = self.printed();
        let waited = self.0.1.wait_timeout_while(printed, bound, |printed| !printed.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    fn printed(&self) -> MutexGuard<'_, Printed> {
        // A poisoned lock means that a test thread panicked while it looked; the lines are whole all the
        // same.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a command to its end, with `input` as standard input. Its status, standard output and standard
/// error.
///
/// # Panics
///
/// If it cannot be started, or has not closed its output within `bound`; it is killed then.
pub fn run_to_end(
    mut command: Command,
    input: Option<&str>,
    bound: Duration,
) -> (ExitStatus, String, String) {
    let described = format!("{command:?}");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{described}: {error}"));
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that ends without reading its input closes the pipe; its status tells the rest.
        let _ = std::io::Write::write_all(&mut stdin, text.as_bytes());
    }
    let stdout = read_to_end(child.stdout.take().expect("standard output is piped"));
    let stderr = read_to_end(child.stderr.take().expect("standard error is piped"));
    let deadline = Instant::now() + bound;
    let mut texts =
        [stdout, stderr].map(|text| text.recv_timeout(deadline.saturating_duration_since(Instant::now())));
    if texts.iter().any(Result::is_err) {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{described} has not ended within {bound:?}");
    }
    let [stdout, stderr] = texts.each_mut().map(|text| text.as_mut().map(std::mem::take).unwrap_or_default());
    (child.wait().expect("a child can be waited for"), stdout, stderr)
}

fn read_to_end(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    // Ends with the program: the pipe is closed then.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        // The receiver has gone if the wait was given up.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
