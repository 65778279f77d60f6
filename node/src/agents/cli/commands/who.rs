//! `here who`: everybody known, one line each, or why one of them is shown as they are.

use anyhow::Result;
use jiff::Zoned;

use crate::{
    agents::cli::{
        Context,
        exit::Exit,
        fields::Fields,
        output::{FAINT, NAME},
        sanitise,
        table::{Table, plain, styled},
        times::{age, moment, since},
        words,
    },
    local_api::documents::PresentityDocument,
};

pub(in crate::agents::cli) async fn run(context: &Context, fetch: bool) -> Result<Exit> {
    let document = context.client()?.presentities(fetch).await?;
    let output = &context.output;
    if output.json {
        output.document(&document)?;
        return Ok(Exit::Done);
    }
    let now = Zoned::now();
    let mut table = Table::new(["NAME", "STATUS", "NOTE", "SEEN", "ID"]);
    for presentity in &document.presentities {
        table.row([
            styled(NAME, name(presentity)),
            styled(words::style(presentity), words::status(presentity, &now)),
            plain(words::note(presentity).unwrap_or_default()),
            styled(FAINT, words::freshness(presentity, &now)),
            styled(FAINT, sanitise::line(&presentity.short_id)),
        ]);
    }
    table.print(output)?;
    if document.presentities.iter().all(|presentity| presentity.is_self) {
        output.notice("nobody else has been seen yet; `here up` on another machine of this LAN makes two");
    }
    Ok(Exit::Done)
}

pub(in crate::agents::cli) async fn why(context: &Context, who: &str) -> Result<Exit> {
    let client = context.client()?;
    let presentity = client.presentity(who).await?;
    if context.output.json {
        context.output.document(&presentity)?;
        return Ok(Exit::Done);
    }
    let others = client.presentities(false).await?.presentities;
    reasons(&presentity, &others, context, &Zoned::now()).print(&context.output)?;
    Ok(Exit::Done)
}

fn reasons(
    presentity: &PresentityDocument,
    others: &[PresentityDocument],
    context: &Context,
    now: &Zoned,
) -> Fields {
    let at = |time| moment(words::timestamp(time), now);
    let mut fields = Fields::default();
    fields.add("name", context.output.paint(NAME, name(presentity)));
    let contact = presentity.contact;
    fields.add("contact", format!("{} since {}", words::contact_state(contact.state), at(contact.since)));
    fields.add("because", words::evidence(contact.evidence));
    let heard = age(since(words::timestamp(presentity.heard_at), now));
    let version = presentity.version;
    fields
        .add("record", format!("heard {heard}: start {}, record {}", version.incarnation, version.sequence));
    for (number, accused) in presentity.accused.iter().enumerate() {
        let accuser = others.iter().find(|other| other.id == accused.by);
        let by = match accuser {
            Some(accuser) if accuser.is_self => "this node".to_owned(),
            Some(accuser) => words::name(accuser),
            None => sanitise::line(&accused.by),
        };
        let label = if number == 0 { "accused" } else { "" };
        let grounds = words::grounds(accused.grounds);
        fields.add(label, format!("by {by} since {}: {grounds}", at(accused.since)));
    }
    fields
}

fn name(presentity: &PresentityDocument) -> String {
    let name = words::name(presentity);
    if presentity.is_self { format!("{name} (you)") } else { name }
}
