//! `here contact`: petnames, the own names for others.

use anyhow::Result;

use crate::agents::cli::{
    Context,
    arguments::{ContactAction, ContactArguments},
    exit::Exit,
    output::{FAINT, NAME},
    sanitise,
    table::{Table, plain, styled},
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &ContactArguments) -> Result<Exit> {
    match &arguments.action {
        None | Some(ContactAction::List) => list(context).await,
        Some(ContactAction::Add { name, who }) => add(context, name, who).await,
        Some(ContactAction::Remove { name }) => {
            context.client()?.remove_contact(name).await?;
            context.done("removed")
        }
    }
}

async fn list(context: &Context) -> Result<Exit> {
    let contacts = context.client()?.contacts().await?;
    if context.output.json {
        context.output.document(&contacts)?;
    } else if contacts.contacts.is_empty() {
        context.output.notice("there are no petnames yet; `here contact add NAME WHO` makes one");
    } else {
        let mut table = Table::new(["PETNAME", "SHORT ID", "ID"]);
        for contact in &contacts.contacts {
            table.row([
                styled(NAME, sanitise::line(&contact.petname)),
                plain(sanitise::line(&contact.short_id)),
                styled(FAINT, sanitise::line(&contact.id)),
            ]);
        }
        table.print(&context.output)?;
    }
    Ok(Exit::Done)
}

async fn add(context: &Context, name: &str, who: &str) -> Result<Exit> {
    let contact = context.client()?.put_contact(name, who).await?;
    if context.output.json {
        context.output.document(&contact)?;
    } else {
        let name = context.output.paint(NAME, sanitise::line(&contact.petname));
        context.output.line(format!("{name} stands for {}", sanitise::line(&contact.id)))?;
    }
    Ok(Exit::Done)
}
