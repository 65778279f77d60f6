//! The command line `here`.
//!
//! **Decides** what a person reads and what a script can rely on: words, columns, JSON documents, exit codes.
//! **Leaves** everything about presence and messages to the node, which it asks through the local API
//! ([`crate::local_api::client`]); only `here up` and `here demo` run nodes, through [`super::daemon`].
//!
//! **Life**: [`arguments`] says what may be written, [`run`] does it, one file a command under `commands`,
//! and [`failure`] says what went wrong. Commands write through [`output`] and nothing else, and end when
//! [`interrupt`] says so, if they would otherwise go on.
//!
//! **Safety**: text from others reaches a terminal through [`sanitise`] only.
//!
//! **Limits**: a message read from standard input is read up to its limit of 16 KiB; the rest is of the node.

pub mod arguments;
pub mod exit;
pub mod interrupt;
pub mod output;
pub mod sanitise;
pub mod times;

mod commands;
mod events;
pub(super) mod failure;
mod fields;
mod help;
mod live;
mod table;
mod up;
mod words;

use std::{collections::BTreeSet, ffi::OsString, path::PathBuf};

use anyhow::Result;
use clap::Parser;
use hereabouts_protocol::presence::information::Token;
use serde_json::json;

use self::{
    arguments::{Arguments, Command, Global, ListArguments},
    exit::Exit,
    failure::Failure,
    interrupt::Interrupt,
    output::Output,
};
use super::demo;
use crate::{
    local_api::client::Client,
    storage::home::{self, Home, HomeError},
};

/// Reads a command line. If it makes no sense, or only asks for help or the version, that is answered here
/// and the process is to end.
///
/// # Errors
/// How the process is to end.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Arguments, Exit> {
    let line: Vec<_> = line.into_iter().collect();
    let error = match Arguments::try_parse_from(&line) {
        Ok(arguments) => return Ok(arguments),
        Err(error) => error,
    };
    if !error.use_stderr() {
        // Help that nobody reads to its end is no failure.
        let _ = error.print();
        return Err(Exit::Done);
    }
    if line.iter().any(|word| word == "--json") {
        let text = error.to_string();
        let sentence = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let failure = Failure::new(Exit::Usage, "usage", sentence);
        return Err(failure::report(&failure.into(), &Output::standard(true)));
    }
    let _ = error.print();
    Err(Exit::Usage)
}

/// Does what the command line says and reports what goes wrong. `interrupt` ends commands that go on.
pub async fn run(arguments: Arguments, output: Output, interrupt: Interrupt) -> Exit {
    let Global { home, own_names, .. } = arguments.global;
    let context = Context { home, own_names, output: output.clone(), interrupt };
    let ended = dispatch(&arguments.command, &context).await;
    ended.unwrap_or_else(|error| failure::report(&error, &output))
}

async fn dispatch(command: &Command, context: &Context) -> Result<Exit> {
    match command {
        Command::Up(arguments) => up::run(context, arguments).await,
        Command::Down => commands::node::down(context).await,
        Command::Id(arguments) => commands::node::id(context, arguments).await,
        Command::Who(ListArguments { why: None, no_fetch }) => commands::who::run(context, !no_fetch).await,
        Command::Who(ListArguments { why: Some(who), .. }) => commands::who::why(context, who).await,
        Command::Set(arguments) => commands::set::run(context, arguments).await,
        Command::Delegates(arguments) => commands::delegates::run(context, arguments).await,
        Command::Watch(arguments) => commands::watch::run(context, &arguments.who).await,
        Command::Fetch(arguments) => commands::fetch::run(context, arguments).await,
        Command::Poll(arguments) => commands::poll::run(context, arguments).await,
        Command::Send(arguments) => commands::send::run(context, arguments).await,
        Command::Inbox(arguments) => commands::inbox::run(context, arguments).await,
        Command::Outbox(arguments) => commands::outbox::run(context, arguments).await,
        Command::Contact(arguments) => commands::contact::run(context, arguments).await,
        Command::Delivery(arguments) => commands::delivery::run(context, arguments).await,
        Command::Access(arguments) => commands::access::run(context, arguments).await,
        Command::Requests(arguments) => commands::requests::run(context, arguments).await,
        Command::Watchers(arguments) => commands::watchers::run(context, arguments).await,
        Command::Visibility(arguments) => commands::visibility::run(context, arguments).await,
        Command::Subscriptions => commands::subscriptions::run(context).await,
        Command::Api => commands::api::run(context),
        Command::Demo => demo::run(context).await,
    }
}

/// What a command works with.
#[derive(Debug)]
pub(super) struct Context {
    /// The directory of the node, if it is not the usual one.
    pub(super) home: Option<PathBuf>,
    /// Which of the nodes of that directory; the one of the directory itself if none is named.
    pub(super) own_names: Vec<Token>,
    /// Where it writes.
    pub(super) output: Output,
    /// What ends it, if it goes on.
    pub(super) interrupt: Interrupt,
}

impl Context {
    /// The directory that everything of this PRINCIPAL is in.
    fn base(&self) -> Result<PathBuf, HomeError> {
        self.home.clone().map_or_else(Home::default_dir, Ok)
    }

    /// The directories of the nodes that are meant.
    fn homes(&self) -> Result<Vec<(Option<Token>, PathBuf)>, HomeError> {
        let base = self.base()?;
        if self.own_names.is_empty() {
            return Ok(vec![(None, base)]);
        }
        let names: BTreeSet<_> = self.own_names.iter().cloned().collect();
        let below = names.into_iter().map(|name| (Some(name.clone()), home::own_dir(&base, &name)));
        Ok(below.collect())
    }

    /// The directory of the one node that is meant.
    fn home(&self) -> Result<PathBuf> {
        match self.homes()?.as_slice() {
            [(_, home)] => Ok(home.clone()),
            _ => {
                let sentence = "only `here up` takes --as more than once; name one of them";
                Err(Failure::new(Exit::Usage, "usage", sentence).into())
            }
        }
    }

    fn client(&self) -> Result<Client> {
        Ok(Client::new(home::socket_path(&self.home()?)?))
    }

    /// Says that something was done that has no document.
    fn done(&self, what: &str) -> Result<Exit> {
        if self.output.json {
            self.output.document(&json!({ "done": what }))?;
        } else {
            self.output.line(what)?;
        }
        Ok(Exit::Done)
    }
}
