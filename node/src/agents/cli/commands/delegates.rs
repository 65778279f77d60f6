//! `here delegates`: who else may set the own presence.

use anyhow::Result;

use crate::{
    agents::cli::{
        Context,
        arguments::{DelegatesAction, DelegatesArguments},
        exit::Exit,
        output::NAME,
        sanitise,
        table::{Table, plain, styled},
    },
    local_api::documents::{DelegatesDocument, PutDelegate},
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &DelegatesArguments) -> Result<Exit> {
    let client = context.client()?;
    let delegates = match &arguments.action {
        None | Some(DelegatesAction::List) => client.delegates().await?,
        Some(DelegatesAction::Allow { who, tuple }) => {
            let tuples = tuple.iter().map(ToString::to_string).collect();
            client.put_delegate(who, &PutDelegate { tuples }).await?
        }
        Some(DelegatesAction::Remove { who }) => client.remove_delegate(who).await?,
    };
    show(context, &delegates)
}

fn show(context: &Context, delegates: &DelegatesDocument) -> Result<Exit> {
    if context.output.json {
        context.output.document(delegates)?;
    } else if delegates.delegates.is_empty() {
        context
            .output
            .notice("nobody but you may set your presence; `here delegates allow WHO` lets somebody");
    } else {
        let mut table = Table::new(["WHO", "MAY SET", "ID"]);
        for delegate in &delegates.delegates {
            let tuples = delegate.tuples.join(", ");
            table.row([
                styled(NAME, sanitise::line(delegate.delegate.shown_name())),
                plain(if tuples.is_empty() { "everything".to_owned() } else { format!("tuples: {tuples}") }),
                plain(sanitise::line(&delegate.delegate.short_id)),
            ]);
        }
        table.print(&context.output)?;
    }
    Ok(Exit::Done)
}
