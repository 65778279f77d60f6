//! `here id` and `here down`: the node itself.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    agents::{
        cli::{
            Context,
            arguments::IdArguments,
            exit::Exit,
            failure::Failure,
            fields::Fields,
            output::NAME,
            sanitise,
            table::{Table, plain},
        },
        daemon::LEAVE_TIME_MAX,
    },
    local_api::{
        client::{Client, ClientError},
        documents::NodeDocument,
    },
    storage::home::{self, Home, HomeError},
};

pub(in crate::agents::cli) async fn id(context: &Context, arguments: &IdArguments) -> Result<Exit> {
    if arguments.all {
        return all(context).await;
    }
    let node = context.client()?.node().await?;
    if context.output.json {
        context.output.document(&node)?;
    } else {
        let mut fields = fields(&node, context);
        fields.add("presence", sanitise::line(&node.uri));
        fields.add("inbox", sanitise::line(&node.inbox_address));
        for (index, relay) in node.relayed_by.iter().enumerate() {
            fields.add(if index == 0 { "reached by" } else { "" }, sanitise::line(relay));
        }
        let roles: Vec<_> = node.roles.iter().map(|role| role.word()).collect();
        fields.add("roles", roles.join(", "));
        fields.add("process", format!("{} (start {} of this node)", node.pid, node.incarnation));
        fields.add("links", node.connected.to_string());
        fields.print(&context.output)?;
    }
    Ok(Exit::Done)
}

/// All nodes of the PRINCIPAL in one directory.
async fn all(context: &Context) -> Result<Exit> {
    let base = context.base()?;
    let below = home::own_names(&base).with_context(|| format!("cannot read {}", base.display()))?;
    let named = below.into_iter().map(|name| (home::own_dir(&base, &name), Some(name)));
    let mut nodes = Vec::new();
    for (directory, own_name) in [(base.clone(), None)].into_iter().chain(named) {
        if home::is_home(&directory) {
            let node = match Client::new(home::socket_path(&directory)?).node().await {
                Err(ClientError::NotRunning { .. }) => None,
                asked => Some(asked?),
            };
            nodes.push(OwnNode { own_name: own_name.map(|name| name.to_string()), directory, node });
        }
    }
    if context.output.json {
        context.output.document(&json!({ "nodes": nodes }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["AS", "NAME", "RUNS", "MESSAGES", "ID"]);
    for OwnNode { own_name, node, .. } in &nodes {
        let shown = |field: fn(&NodeDocument) -> String| {
            plain(node.as_ref().map_or_else(|| "-".to_owned(), |node| sanitise::line(&field(node))))
        };
        table.row([
            plain(own_name.as_deref().unwrap_or("-")),
            shown(|node| node.name.clone()),
            plain(if node.is_some() { "yes" } else { "no" }),
            shown(|node| node.inbox_messages.to_string()),
            shown(|node| node.short_id.clone()),
        ]);
    }
    table.print(&context.output)?;
    Ok(Exit::Done)
}

/// One of them.
#[derive(Debug, Serialize)]
struct OwnNode {
    #[serde(rename = "as")]
    own_name: Option<String>,
    directory: PathBuf,
    /// What it says of itself, if it runs.
    node: Option<NodeDocument>,
}

pub(in crate::agents::cli) async fn down(context: &Context) -> Result<Exit> {
    let client = context.client()?;
    let node = client.node().await?;
    client.shut_down().await?;
    released(context, node.pid).await?;
    if context.output.json {
        context.output.document(&json!({ "stopped": { "id": node.id, "pid": node.pid } }))?;
    } else {
        context.output.line("stopped")?;
    }
    Ok(Exit::Done)
}

/// Waits until the process of the node has let go of its directory, so that another can take it.
async fn released(context: &Context, node: u32) -> Result<()> {
    let home = context.home()?;
    let is_held =
        || matches!(Home::open(&home), Err(HomeError::AlreadyRunning { pid: Some(pid), .. }) if pid == node);
    let waiting = async {
        while is_held() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    };
    timeout(LEAVE_TIME_MAX * 2, waiting).await.map_err(|_| {
        let message =
            format!("the node has left the mesh, but its process {node} has not ended; end it with kill");
        Failure::new(Exit::Failed, "not-ended", message).into()
    })
}

/// What a node says of itself when it starts.
pub(in crate::agents::cli) fn fields(node: &NodeDocument, context: &Context) -> Fields {
    let mut fields = Fields::default();
    let name = context.output.paint(NAME, sanitise::line(&node.name));
    fields.add("name", format!("{name} ({})", sanitise::line(&node.short_id)));
    fields.add("id", sanitise::line(&node.id));
    fields.add("realm", sanitise::line(&node.realm));
    for (index, address) in node.listen.iter().enumerate() {
        fields.add(if index == 0 { "listen" } else { "" }, sanitise::line(address));
    }
    if node.listen.is_empty() {
        fields.add("listen", "nowhere: others cannot connect, but this node can connect to them");
    }
    fields.add("socket", sanitise::line(&node.socket));
    fields
}

/// How soon the end of a process is noticed.
const ASK_AGAIN: Duration = Duration::from_millis(10);
