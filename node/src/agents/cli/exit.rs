//! Exit codes: what a script learns from `here` without reading its output.
//!
//! The numbers are a promise and never change their meaning. Zero is done; a refused or failed message has
//! a number for each reason of the INSTANT MESSAGE SERVICE, so that `here send … || case $? in …` works.

use std::process::ExitCode;

use hereabouts_protocol::message::instant_message::FailureReason;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; for `send`: delivered or queued.
    Done,
    /// Something else went wrong; the message says what.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// No node runs here, or (for `up`) one runs already.
    NoNode,
    /// The name is unknown or stands for several.
    UnknownName,
    /// They do not let this node see what it asked for, or have not decided yet.
    NotAllowed,
    /// The message was not delivered, for this reason.
    NotDelivered(FailureReason),
    /// Whether the message was delivered is not known.
    Indeterminate,
}

impl Exit {
    /// The number that the process ends with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NoNode => 3,
            Self::UnknownName => 4,
            Self::NotAllowed => 5,
            Self::NotDelivered(FailureReason::Closed) => 10,
            Self::NotDelivered(FailureReason::Denied) => 11,
            Self::NotDelivered(FailureReason::Unauthenticated) => 12,
            Self::NotDelivered(FailureReason::RateLimited) => 13,
            Self::NotDelivered(FailureReason::TooLarge) => 14,
            Self::NotDelivered(FailureReason::NoSuchInbox) => 15,
            Self::NotDelivered(FailureReason::InboxFull) => 16,
            Self::NotDelivered(FailureReason::UnsupportedType) => 17,
            Self::NotDelivered(FailureReason::Malformed) => 18,
            Self::NotDelivered(FailureReason::Expired) => 19,
            Self::NotDelivered(FailureReason::Unreachable) => 20,
            Self::Indeterminate => 21,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// The table that `here --help` ends with.
pub const HELP: &str = "\
Exit codes:
  0  done; for send: delivered or queued
  1  something else went wrong, the message says what
  2  the command line makes no sense
  3  no node runs here; for up: one runs already
  4  the name is unknown, or stands for several
  5  they do not let you see that, or have not decided yet
  send: 10 closed, 11 denied, 12 unauthenticated, 13 rate-limited, 14 too-large,
        15 no-such-inbox, 16 inbox-full, 17 unsupported-type, 18 malformed, 19 expired,
        20 unreachable, 21 indeterminate";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_way_to_end_has_a_number_of_its_own() {
        let plain = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::NoNode,
            Exit::UnknownName,
            Exit::NotAllowed,
            Exit::Indeterminate,
        ];
        let codes: BTreeSet<u8> =
            plain.into_iter().chain(FailureReason::ALL.map(Exit::NotDelivered)).map(Exit::code).collect();
        assert_eq!(codes.len(), plain.len() + FailureReason::ALL.len());
    }

    #[test]
    fn the_help_names_every_reason_with_its_number() {
        for reason in FailureReason::ALL {
            let entry = format!("{} {reason}", Exit::NotDelivered(reason).code());
            assert!(HELP.contains(&entry), "{entry} is not in the help");
        }
        assert!(HELP.contains("21 indeterminate"));
    }
}
