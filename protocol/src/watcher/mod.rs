//! WATCHERS and their SUBSCRIPTIONS (RFC 2778 section 2.1).
pub mod subscription;
