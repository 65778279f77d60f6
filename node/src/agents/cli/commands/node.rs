//! `here id` and `here down`: the node itself.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    agents::{
        cli::{Context, exit::Exit, failure::Failure, fields::Fields, output::NAME, sanitise},
        daemon::LEAVE_TIME_MAX,
    },
    local_api::documents::NodeDocument,
    storage::home::{Home, HomeError},
};

pub(in crate::agents::cli) async fn id(context: &Context) -> Result<Exit> {
    let node = context.client()?.node().await?;
    if context.output.json {
        context.output.document(&node)?;
    } else {
        let mut fields = fields(&node, context);
        fields.add("presence", sanitise::line(&node.uri));
        fields.add("inbox", sanitise::line(&node.inbox_address));
        fields.add("process", format!("{} (start {} of this node)", node.pid, node.incarnation));
        fields.add("links", node.connected.to_string());
        fields.print(&context.output)?;
    }
    Ok(Exit::Done)
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
