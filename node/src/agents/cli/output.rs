//! Where commands write: one door to standard output and standard error.
//!
//! Every command gets an [`Output`] and writes through nothing else, so that the demo and the tests run the
//! same commands and read what they say. Colour appears on a terminal only, never with `NO_COLOR` or
//! `TERM=dumb`, and never carries a meaning that the words do not. A reader that went away (`here who | head
//! -1`) shows as [`OutputClosed`], which ends a command without a complaint. What came from others is made
//! safe by [`sanitise`] where it is put into words; documents are made safe here.

use std::{
    fmt::{self, Display},
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use tokio::{io::Interest, net::unix::pipe};

use super::sanitise;

/// The two streams of a command, and how to write to them. Clones write to the same streams.
#[derive(Debug, Clone)]
pub struct Output {
    out: Stream,
    err: Stream,
    is_standard: bool,
    /// Whether documents are printed instead of text.
    pub json: bool,
}

impl Output {
    /// Standard output and standard error of this process.
    pub fn standard(json: bool) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        Self {
            out: Stream {
                terminal: out.is_terminal(),
                colour: AutoStream::choice(&out) != ColorChoice::Never,
                writer: Arc::new(Mutex::new(out)),
            },
            err: Stream {
                terminal: err.is_terminal(),
                colour: standard_error_shows_colour(),
                writer: Arc::new(Mutex::new(err)),
            },
            is_standard: true,
            json,
        }
    }

    /// Both streams go to `writer`, as into a pipe.
    pub fn into_writer(writer: impl Write + Send + 'static, json: bool) -> Self {
        let stream = Stream { terminal: false, colour: false, writer: Arc::new(Mutex::new(writer)) };
        Self { out: stream.clone(), err: stream, is_standard: false, json }
    }

    /// Whether a person reads standard output as it comes.
    pub fn is_terminal(&self) -> bool {
        self.out.terminal
    }

    /// `text` in a style if standard output shows colours, and as it is otherwise.
    pub fn paint(&self, style: Style, text: impl Display) -> String {
        self.out.paint(style, text)
    }

    /// Prints a line, or several, to standard output.
    ///
    /// # Errors
    /// [`OutputClosed`].
    pub fn line(&self, text: impl Display) -> Result<(), OutputClosed> {
        self.out.line(&text.to_string()).map_err(|source| OutputClosed { source })
    }

    /// Prints a document of a standard format: as it is, but without tricks where a person reads it.
    ///
    /// # Errors
    /// [`OutputClosed`].
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), OutputClosed> {
        if self.out.terminal {
            return self.line(sanitise::text(&String::from_utf8_lossy(bytes)));
        }
        self.out.write(bytes).map_err(|source| OutputClosed { source })
    }

    /// Prints a document on a line of its own, or spread over lines if a person reads it.
    ///
    /// # Errors
    /// [`OutputClosed`].
    pub fn document(&self, document: &impl Serialize) -> Result<(), OutputClosed> {
        if !self.out.terminal {
            return self.document_line(document);
        }
        self.line(json(serde_json::to_string_pretty(document)))
    }

    /// Prints one document of a sequence on a line of its own, whoever reads it.
    ///
    /// # Errors
    /// [`OutputClosed`].
    pub fn document_line(&self, document: &impl Serialize) -> Result<(), OutputClosed> {
        self.line(json(serde_json::to_string(document)))
    }

    /// Tells the person something beside the output, on standard error: a failure, or why it takes long.
    pub fn notice(&self, text: impl Display) {
        // If standard error is gone there is nobody left to tell.
        let _ = self.err.line(&format!("{} {text}", self.err.paint(WARNING, "here:")));
    }

    /// Waits until nobody reads standard output any more; for ever if that cannot be told.
    ///
    /// A pipe tells it before anything is written, so `here watch bob | grep -m1 open` ends when `grep`
    /// does and not at the next change.
    pub async fn closed(&self) {
        if self.is_standard
            && let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned()
            // Unchecked, since checking would make standard output non-blocking for all who share it.
            && let Ok(stdout) = pipe::Sender::from_owned_fd_unchecked(stdout)
            && stdout.ready(Interest::ERROR).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}

/// A document as it may be shown anywhere.
fn json(document: serde_json::Result<String>) -> String {
    sanitise::json(&document.expect("documents have string keys and serializers that do not fail"))
}

#[derive(Clone)]
struct Stream {
    terminal: bool,
    colour: bool,
    writer: Arc<Mutex<dyn Write + Send>>,
}

impl Stream {
    fn paint(&self, style: Style, text: impl Display) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    fn line(&self, text: &str) -> io::Result<()> {
        self.write(&[text.as_bytes(), b"\n"].concat())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        // A panic while writing leaves at worst a part.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(bytes)?;
        writer.flush()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("terminal", &self.terminal).field("colour", &self.colour).finish()
    }
}

/// Whether standard error is a terminal that shows colours, and wants to.
pub fn standard_error_shows_colour() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Standard output takes nothing any more: its reader is gone, or the disk it goes to is full.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the output: {source}")]
pub struct OutputClosed {
    source: io::Error,
}

impl OutputClosed {
    /// Whether the reader simply has enough, as `head` does, which is no failure.
    pub fn is_reader_gone(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Headings.
pub const HEADING: Style = Style::new().bold();
/// Names of people.
pub const NAME: Style = Style::new().bold();
/// OPEN, and deliveries.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// CLOSED, and failures.
pub const WARNING: Style = AnsiColor::Red.on_default();
/// What is over, unsure or of minor interest.
pub const FAINT: Style = Style::new().dimmed();

#[cfg(test)]
pub(in crate::agents) mod tests {
    use super::*;

    /// A writer that keeps what is written.
    #[derive(Debug, Clone, Default)]
    pub(in crate::agents) struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        pub(in crate::agents) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pipe_gets_no_colour_and_one_line_a_document() {
        let written = Written::default();
        let output = Output::into_writer(written.clone(), true);
        output.line(output.paint(WARNING, "closed")).unwrap();
        output.document(&serde_json::json!({ "name": "a\u{202e}b" })).unwrap();
        assert_eq!(written.text(), "closed\n{\"name\":\"a\\u202eb\"}\n");
    }

    #[test]
    fn a_terminal_that_wants_colour_gets_it_and_readable_documents() {
        let written = Written::default();
        let mut output = Output::into_writer(written.clone(), true);
        output.out.terminal = true;
        output.out.colour = true;
        output.line(output.paint(GOOD, "open")).unwrap();
        output.document(&serde_json::json!({ "a": 1 })).unwrap();
        assert_eq!(written.text(), "\u{1b}[32mopen\u{1b}[0m\n{\n  \"a\": 1\n}\n");
    }

    #[test]
    fn a_reader_that_has_enough_is_told_from_a_failure() {
        let output = Output::into_writer(Gone, false);
        assert!(output.line("x").unwrap_err().is_reader_gone());
    }
}
