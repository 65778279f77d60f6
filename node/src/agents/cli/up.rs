//! `here up`: a node in the foreground, or several of one PRINCIPAL, and what happens to them, line by line.

use std::path::PathBuf;

use anyhow::Result;
use futures::{StreamExt, future::join_all};
use hereabouts_protocol::{
    overlay::address::RELAYS_MAX,
    presence::{information::Token, publication::Publishes},
};
use jiff::Zoned;
use serde::Serialize;

use super::{
    Context,
    arguments::UpArguments,
    commands::node::fields,
    events,
    exit::Exit,
    failure::Failure,
    interrupt::Wishes,
    output::{FAINT, Output, OutputClosed},
};
use crate::{
    agents::daemon::{self, Daemon, Options},
    local_api::{
        documents::{DocumentTime, EventBody, EventDocument, NodeDocument},
        names::Directory,
    },
    mesh::events::EventCursor,
};

pub(super) async fn run(context: &Context, arguments: &UpArguments) -> Result<Exit> {
    if arguments.relayed_by.len() > RELAYS_MAX {
        let message = format!("a node is reached through {RELAYS_MAX} relays at the most");
        return Err(Failure::new(Exit::Usage, "usage", message).into());
    }
    let wishes = context.interrupt.listen()?;
    let homes = context.homes()?;
    if homes.len() > 1 && arguments.name.is_some() {
        let sentence = "--name is the name of one node: start each with its own once, it is remembered";
        return Err(Failure::new(Exit::Usage, "usage", sentence).into());
    }
    let mut nodes = Vec::new();
    for (own_name, home) in homes {
        match Daemon::start(options(home, own_name.as_ref(), arguments)).await {
            Ok(daemon) => nodes.push(OwnNode { own_name, daemon }),
            Err(error) => {
                // Those that run already leave as they came: together.
                let leaving = nodes.into_iter().map(|node: OwnNode| node.daemon.leave());
                join_all(leaving).await.into_iter().collect::<Result<()>>()?;
                return Err(error);
            }
        }
    }
    let several = nodes.len() > 1;
    let living = nodes.into_iter().map(|node| live(context, node, several, &wishes));
    join_all(living).await.into_iter().collect::<Result<()>>()?;
    Ok(Exit::Done)
}

/// One of the nodes of this process.
struct OwnNode {
    /// What it was named by with `--as`.
    own_name: Option<Token>,
    daemon: Daemon,
}

/// Tells what happens to a node, until it ends or is to.
async fn live(context: &Context, node: OwnNode, several: bool, wishes: &Wishes) -> Result<()> {
    let OwnNode { own_name, daemon } = node;
    let teller = Teller { output: &context.output, own_name, several };
    let narrated = tokio::select! {
        // First, so that the last events are told before the end is noticed.
        biased;
        narrated = narrate(context, &teller, &daemon) => narrated,
        () = daemon.ended() => Ok(()),
        () = wishes.to_end() => Ok(()),
        () = context.output.closed() => Ok(()),
    };
    leave(&teller, daemon, wishes).await?;
    narrated
}

fn options(home: PathBuf, own_name: Option<&Token>, arguments: &UpArguments) -> Options {
    let machine = daemon::usual_name();
    Options {
        home,
        name: arguments.name.clone(),
        // Two nodes of one machine are to be told apart.
        first_name: own_name
            .map_or_else(|| machine.clone(), |own| daemon::fitting(format!("{own}@{machine}"))),
        realm: arguments.realm.clone(),
        listen: arguments.listen.clone(),
        peers: arguments.peer.clone(),
        relay: arguments.relay,
        relayed_by: arguments.relayed_by.clone(),
        relayed_only: arguments.relayed_only,
        mdns: !arguments.no_mdns,
        keeps_inbox: !arguments.no_inbox,
        serves_cache: !arguments.no_cache,
        publishes: match &arguments.rhythm {
            _ if arguments.no_presence => Publishes::Nothing,
            Some(period) => Publishes::Rhythm(period.0),
            None => Publishes::Changes,
        },
    }
}

/// Says what happens to one node, and of which it speaks.
struct Teller<'a> {
    output: &'a Output,
    own_name: Option<Token>,
    /// Whether there are others in this process.
    several: bool,
}

impl Teller<'_> {
    fn line(&self, line: &str) -> Result<(), OutputClosed> {
        match self.own_name.as_ref().filter(|_| self.several && !line.is_empty()) {
            Some(name) => self.output.line(format!("{}  {line}", self.output.paint(FAINT, name))),
            None => self.output.line(line),
        }
    }

    fn document(&self, document: &impl Serialize) -> Result<(), OutputClosed> {
        let own_name = self.own_name.as_ref().map(Token::as_str);
        self.output.document_line(&Told { own_name, document })
    }
}

/// A line of `here up --json`.
#[derive(Debug, Serialize)]
struct Told<'a, Document> {
    /// Which node it is about, if it was named with `--as`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    own_name: Option<&'a str>,
    #[serde(flatten)]
    document: &'a Document,
}

/// Says who the node is, then what happens, until the mesh ends.
async fn narrate(context: &Context, teller: &Teller<'_>, daemon: &Daemon) -> Result<()> {
    let output = &context.output;
    let node = daemon.document().await?;
    introduce(context, teller, &node)?;
    let mut happening = daemon.mesh().events(Some(EventCursor { incarnation: node.incarnation, number: 0 }));
    for trouble in daemon.troubles() {
        output.notice(trouble);
    }
    while let Some(logged) = happening.next().await {
        // The last events are told after the mesh has ended, without names.
        let nobody = |_| Directory::new(daemon.mesh().realm.clone(), &[], &[]);
        let directory = Directory::read(daemon.mesh()).await.unwrap_or_else(nobody);
        let event = EventDocument::new(&logged, &directory, DocumentTime::now().0);
        let is_told =
            matches!(&event.body, EventBody::Listening { address } if node.listen.contains(address));
        if output.json {
            teller.document(&event)?;
        } else if !is_told && let Some(line) = events::line(&event, output, &Zoned::now()) {
            teller.line(&line)?;
        }
    }
    Ok(())
}

/// The first line of `here up --json`.
#[derive(Debug, Serialize)]
struct UpDocument<'a> {
    event: &'static str,
    #[serde(flatten)]
    node: &'a NodeDocument,
}

fn introduce(context: &Context, teller: &Teller<'_>, node: &NodeDocument) -> Result<(), OutputClosed> {
    let output = &context.output;
    if output.json {
        return teller.document(&UpDocument { event: "up", node });
    }
    let mut fields = fields(node, context);
    if let Some(name) = &teller.own_name {
        fields.add("as", name.as_str());
    }
    fields.print(output)?;
    if teller.several {
        return output.line("");
    }
    output.line("\nup: `here who` in another terminal shows who is there, ctrl-c leaves\n")
}

/// Says goodbye, unless a second wish to end comes before that is done.
async fn leave(teller: &Teller<'_>, daemon: Daemon, wishes: &Wishes) -> Result<()> {
    let output = teller.output;
    tokio::select! {
        left = daemon.leave() => {
            left?;
            if !output.json {
                let now = Zoned::now();
                // Nobody may be reading any more, and that may be why it leaves.
                let _ = teller.line(&events::at(now.timestamp(), "left", output, &now));
            }
            Ok(())
        }
        () = wishes.to_end_at_once() => {
            output.notice("ended without saying goodbye");
            Ok(())
        }
    }
}
