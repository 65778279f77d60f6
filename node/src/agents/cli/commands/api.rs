//! `here api`: the description of the local API, which is part of the program and needs no node.

use anyhow::Result;

use crate::{
    agents::cli::{Context, exit::Exit},
    local_api::openapi::openapi,
};

pub(in crate::agents::cli) fn run(context: &Context) -> Result<Exit> {
    context.output.document(&openapi())?;
    Ok(Exit::Done)
}
