//! `here up`: a node in the foreground, and what happens to it, line by line.

use std::path::PathBuf;

use anyhow::Result;
use futures::StreamExt;
use jiff::Zoned;
use serde::Serialize;

use super::{
    Context, arguments::UpArguments, commands::node::fields, events, exit::Exit, interrupt::Wishes,
    output::OutputClosed,
};
use hereabouts_protocol::presence::publication::Publishes;

use crate::{
    agents::daemon::{Daemon, Options},
    local_api::{
        documents::{DocumentTime, EventBody, EventDocument, NodeDocument},
        names::Directory,
    },
    mesh::events::EventCursor,
};

pub(super) async fn run(context: &Context, arguments: &UpArguments) -> Result<Exit> {
    let wishes = context.interrupt.listen()?;
    let daemon = Daemon::start(options(context.home()?, arguments)).await?;
    let narrated = tokio::select! {
        // First, so that the last events are told before the end is noticed.
        biased;
        narrated = narrate(context, &daemon) => narrated,
        () = daemon.ended() => Ok(()),
        () = wishes.to_end() => Ok(()),
        () = context.output.closed() => Ok(()),
    };
    leave(context, daemon, &wishes).await?;
    narrated?;
    Ok(Exit::Done)
}

fn options(home: PathBuf, arguments: &UpArguments) -> Options {
    Options {
        home,
        name: arguments.name.clone(),
        realm: arguments.realm.clone(),
        listen: arguments.listen.clone(),
        peers: arguments.peer.clone(),
        mdns: !arguments.no_mdns,
        keeps_inbox: !arguments.no_inbox,
        publishes: match &arguments.rhythm {
            _ if arguments.no_presence => Publishes::Nothing,
            Some(period) => Publishes::Rhythm(period.0),
            None => Publishes::Changes,
        },
    }
}

/// Says who the node is, then what happens, until the mesh ends.
async fn narrate(context: &Context, daemon: &Daemon) -> Result<()> {
    let output = &context.output;
    let node = daemon.document().await?;
    introduce(context, &node)?;
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
            output.document_line(&event)?;
        } else if !is_told && let Some(line) = events::line(&event, output, &Zoned::now()) {
            output.line(line)?;
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

fn introduce(context: &Context, node: &NodeDocument) -> Result<(), OutputClosed> {
    let output = &context.output;
    if output.json {
        return output.document_line(&UpDocument { event: "up", node });
    }
    fields(node, context).print(output)?;
    output.line("\nup: `here who` in another terminal shows who is there, ctrl-c leaves\n")
}

/// Says goodbye, unless a second wish to end comes before that is done.
async fn leave(context: &Context, daemon: Daemon, wishes: &Wishes) -> Result<()> {
    tokio::select! {
        left = daemon.leave() => {
            left?;
            if !context.output.json {
                let now = Zoned::now();
                // Nobody may be reading any more, and that may be why it leaves.
                let _ = context.output.line(events::at(now.timestamp(), "left", &context.output, &now));
            }
            Ok(())
        }
        () = wishes.to_end_at_once() => {
            context.output.notice("ended without saying goodbye");
            Ok(())
        }
    }
}
