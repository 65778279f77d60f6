//! `here visibility`: who may see whom this node watches.

use anyhow::Result;

use crate::{
    agents::cli::{
        Context,
        arguments::{VisibilityAction, VisibilityArguments},
        exit::Exit,
        words,
    },
    local_api::documents::{SetVisibility, VisibilityDocument},
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &VisibilityArguments) -> Result<Exit> {
    let client = context.client()?;
    let visibility = match &arguments.action {
        None | Some(VisibilityAction::Show) => client.visibility().await?,
        Some(VisibilityAction::Hide { from }) => {
            let wanted = SetVisibility { visible: !from.is_empty(), hidden_from: from.clone() };
            client.set_visibility(&wanted).await?
        }
        Some(VisibilityAction::Unhide) => {
            client.set_visibility(&SetVisibility { visible: true, hidden_from: Vec::new() }).await?
        }
    };
    if context.output.json {
        context.output.document(&visibility)?;
    } else {
        context.output.line(sentence(&visibility))?;
    }
    Ok(Exit::Done)
}

fn sentence(visibility: &VisibilityDocument) -> String {
    let names: Vec<_> = visibility.hidden_from.iter().map(words::person).collect();
    match (visibility.visible, names.as_slice()) {
        (false, _) => "only those you watch see it, and may refuse you for that".to_owned(),
        (true, []) => "whoever may see the watchers of somebody you watch sees you among them".to_owned(),
        (true, names) => format!("whom you watch is hidden from {}", names.join(", ")),
    }
}
