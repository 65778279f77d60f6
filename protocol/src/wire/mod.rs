//! How statements become bytes: the codec and every frame. Nothing outside this module knows the encoding.
pub mod codec;
pub mod frames;
pub(crate) mod signed;
