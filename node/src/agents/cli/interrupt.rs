//! The wish to end: ctrl-c and its relatives, for commands that go on until they are told.
//!
//! SIGINT, SIGTERM and SIGHUP (the terminal is gone) all ask for a clean end; SIGHUP does not where it was
//! ignored from the start, as under `nohup`. Commands that answer at once leave the signals alone, so that
//! those end them as they end any program. Where a command runs inside the
//! demo or a test, the wish comes from an [`Interrupter`] instead.

use std::{fs, io};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// Where a command learns that it is to end.
#[derive(Debug, Clone)]
pub enum Interrupt {
    /// From the signals of this process.
    Signals,
    /// From an [`Interrupter`].
    From(watch::Receiver<u32>),
}

/// Asks commands of this process to end.
#[derive(Debug)]
pub struct Interrupter(watch::Sender<u32>);

impl Interrupter {
    /// An interrupter and what it interrupts.
    pub fn new() -> (Self, Interrupt) {
        let (sender, receiver) = watch::channel(0);
        (Self(sender), Interrupt::From(receiver))
    }

    /// Asks to end; once more, to end at once.
    pub fn interrupt(&self) {
        self.0.send_modify(|wishes| *wishes += 1);
    }
}

impl Interrupt {
    /// Begins to listen. From here on signals do not end the process by themselves.
    ///
    /// # Errors
    /// If the signals cannot be listened to.
    pub fn listen(&self) -> io::Result<Wishes> {
        let receiver = match self {
            Self::From(receiver) => receiver.clone(),
            Self::Signals => listen_to_signals()?,
        };
        Ok(Wishes { receiver })
    }
}

/// The wishes to end that came since the command began to listen.
#[derive(Debug, Clone)]
pub struct Wishes {
    receiver: watch::Receiver<u32>,
}

impl Wishes {
    /// Waits for the first wish: end cleanly.
    pub async fn to_end(&self) {
        self.reached(1).await;
    }

    /// Waits for the second wish: end at once.
    pub async fn to_end_at_once(&self) {
        self.reached(2).await;
    }

    async fn reached(&self, wishes: u32) {
        if self.receiver.clone().wait_for(|seen| *seen >= wishes).await.is_err() {
            // Whoever could wish is gone.
            std::future::pending::<()>().await;
        }
    }
}

fn listen_to_signals() -> io::Result<watch::Receiver<u32>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = match is_ignored(SignalKind::hangup()) {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    let (interrupter, receiver) = watch::channel(0);
    tokio::spawn(async move {
        while !interrupter.is_closed() {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = received(&mut hangup) => {}
                () = interrupter.closed() => return,
            }
            interrupter.send_modify(|wishes| *wishes += 1);
        }
    });
    Ok(receiver)
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether whoever started this process wanted it not to be told of a signal.
fn is_ignored(signal: SignalKind) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| is_in_ignored_mask(signal, &status))
}

/// Looks into the mask of proc(5), where the lowest bit is for signal 1.
fn is_in_ignored_mask(signal: SignalKind, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn the_second_wish_is_the_urgent_one() {
        let (interrupter, interrupt) = Interrupter::new();
        let wishes = interrupt.listen().unwrap();
        assert!(wishes.to_end().now_or_never().is_none());
        interrupter.interrupt();
        assert!(wishes.to_end().now_or_never().is_some());
        assert!(wishes.to_end_at_once().now_or_never().is_none());
        interrupter.interrupt();
        assert!(wishes.to_end_at_once().now_or_never().is_some());
    }

    #[test]
    fn the_mask_of_ignored_signals_is_read_from_its_lowest_bit() {
        let status = |mask: &str| format!("Name:\there\nSigBlk:\tffffffffffffffff\nSigIgn:\t{mask}\n");
        assert!(is_in_ignored_mask(SignalKind::hangup(), &status("0000000000001001")));
        assert!(!is_in_ignored_mask(SignalKind::hangup(), &status("0000000000001002")));
        assert!(is_in_ignored_mask(SignalKind::interrupt(), &status("0000000000001002")));
        assert!(!is_in_ignored_mask(SignalKind::hangup(), "Name:\there\n"));
    }

    #[test]
    fn a_lost_interrupter_interrupts_nobody() {
        let (interrupter, interrupt) = Interrupter::new();
        let wishes = interrupt.listen().unwrap();
        drop(interrupter);
        assert!(wishes.to_end().now_or_never().is_none());
    }
}
