//! WATCHERS: their SUBSCRIPTIONS, the keys they hold, and who they are (RFC 2778 section 2.1).
pub mod keyring;
pub mod notifications;
pub mod subscribers;
pub mod subscription;
pub mod watcher_information;
pub mod watches;
pub mod winfo;
