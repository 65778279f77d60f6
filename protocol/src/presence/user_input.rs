//! User input: whether the PRINCIPAL uses the device, and since when not.
//!
//! RPID's `user-input` (RFC 4480 section 3.16), of the document or of one tuple. It says nothing of STATUS:
//! an idle device's inbox takes messages. Whoever sets it decides how much of it is said; when the last
//! input was is told only if it is given, as the RFC demands.
//!
//! On the wire it is the extension [`NAME`], so that nodes which do not know it keep it and pass it on. What
//! bears that name and is no user input stays an extension.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::information::Extensions;
use crate::{time::UnixTime, wire::codec};

/// Whether somebody uses a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInput {
    /// Whether there is input.
    pub state: InputState,
    /// After how many seconds without input it counts as idle.
    pub idle_threshold_seconds: Option<NonZeroU32>,
    /// When the last input was.
    pub last_input: Option<UnixTime>,
}

impl UserInput {
    /// Takes it out of what came over the wire.
    pub(super) fn take(extensions: &mut Extensions) -> Option<Self> {
        let read = extensions.get(NAME).and_then(|value| Self::of_value(value))?;
        extensions.remove(NAME);
        Some(read)
    }

    /// The value of the extension.
    pub(super) fn value(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// What an extension of this name says, if that is user input.
    pub(super) fn of_value(value: &[u8]) -> Option<Self> {
        codec::decode(value, VALUE_BYTES_MAX).ok()
    }
}

/// The two values that RPID has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputState {
    /// The device is in use.
    Active,
    /// It has not been used for a while.
    Idle,
}

impl InputState {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
        }
    }
}

/// How much of it a watcher is given (RFC 5025 section 3.3.2.13), least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserInputGrant {
    /// Nothing.
    Withheld,
    /// Active or idle.
    Bare,
    /// And after what time without input it counts as idle.
    Thresholds,
    /// And when the last input was.
    Full,
}

impl UserInputGrant {
    /// What is given of `input`.
    pub fn of(self, input: UserInput) -> Option<UserInput> {
        let UserInput { state, idle_threshold_seconds, last_input } = input;
        (self >= Self::Bare).then_some(UserInput {
            state,
            idle_threshold_seconds: idle_threshold_seconds.filter(|_| self >= Self::Thresholds),
            last_input: last_input.filter(|_| self >= Self::Full),
        })
    }
}

/// The extension's name.
pub const NAME: &str = "user-input";
/// A state, four bytes and a time, with their marks.
const VALUE_BYTES_MAX: usize = 32;
