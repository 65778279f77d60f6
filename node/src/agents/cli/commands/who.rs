//! `here who`: everybody known, one line each.

use anyhow::Result;
use jiff::Zoned;

use crate::{
    agents::cli::{
        Context,
        exit::Exit,
        output::{FAINT, NAME},
        sanitise,
        table::{Table, plain, styled},
        words,
    },
    local_api::documents::PresentityDocument,
};

pub(in crate::agents::cli) async fn run(context: &Context) -> Result<Exit> {
    let document = context.client()?.presentities().await?;
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

fn name(presentity: &PresentityDocument) -> String {
    let name = words::name(presentity);
    if presentity.is_self { format!("{name} (you)") } else { name }
}
