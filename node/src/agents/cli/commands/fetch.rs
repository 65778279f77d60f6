//! `here fetch`: one presence document in full, asked from its own node.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Zoned;

use crate::{
    agents::cli::{
        Context,
        arguments::{FetchArguments, PresenceFormat},
        exit::Exit,
        fields::Fields,
        output::NAME,
        sanitise,
        times::{age, moment, since},
        words,
    },
    local_api::documents::{
        DocumentTime, FetchedDocument, NoteDocument, PresentityDocument, SourceWord, TupleDocument,
        UserInputDocument,
    },
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &FetchArguments) -> Result<Exit> {
    let client = context.client()?;
    let fetched = client.fetch(&arguments.who).await?;
    if let Some(PresenceFormat::Pidf) = arguments.format {
        context.output.bytes(&client.pidf(&fetched.presentity.id).await?)?;
    } else if context.output.json {
        context.output.document(&fetched)?;
    } else {
        fields(&fetched, context, &Zoned::now()).print(&context.output)?;
    }
    Ok(Exit::Done)
}

fn fields(fetched: &FetchedDocument, context: &Context, now: &Zoned) -> Fields {
    let presentity = &fetched.presentity;
    let output = &context.output;
    let mut fields = Fields::default();
    fields.add("name", output.paint(NAME, words::name(presentity)));
    fields.add("id", sanitise::line(&presentity.id));
    fields.add("contact", contact(presentity, now));
    fields.add("source", source(fetched, now));
    let version = presentity.version;
    fields.add("version", format!("start {}, record {}", version.incarnation, version.sequence));
    let PresentityDocument { note, activities, until, user_input, extensions, .. } = presentity;
    for (label, value) in markup(note.as_ref(), activities, *until, *user_input, extensions, now) {
        fields.add(label, value);
    }
    if presentity.tuples.is_empty() {
        fields.add("tuples", "none: the document is withheld from you");
    }
    for tuple in &presentity.tuples {
        let status = output.paint(words::style(presentity), words::tuple_status(tuple));
        fields.add("tuple", format!("{}: {status}", sanitise::line(&tuple.id)));
        if let Some(address) = &tuple.communication {
            fields
                .add("", format!("{} {}", sanitise::line(&address.means), sanitise::line(&address.contact)));
        }
        let TupleDocument { note, activities, until, user_input, extensions, .. } = tuple;
        for (label, value) in markup(note.as_ref(), activities, *until, *user_input, extensions, now) {
            fields.add("", format!("{label} {value}"));
        }
    }
    fields
}

/// OTHER PRESENCE MARKUP, as labels and values.
fn markup(
    note: Option<&NoteDocument>,
    activities: &[String],
    until: Option<DocumentTime>,
    user_input: Option<UserInputDocument>,
    extensions: &BTreeMap<String, String>,
    now: &Zoned,
) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let Some(note) = note {
        let language = note.language.as_ref().map(|tag| format!(" ({})", sanitise::line(tag)));
        lines.push(("note", format!("\"{}\"{}", words::note_text(note), language.unwrap_or_default())));
    }
    if !activities.is_empty() {
        lines.push(("activities", words::list(activities)));
    }
    if let Some(until) = until {
        lines.push(("until", moment(words::timestamp(until), now)));
    }
    if let Some(input) = user_input {
        lines.push(("input", words::user_input(&input, now)));
    }
    for (name, value) in extensions {
        lines.push(("extension", format!("{} = {} (base64)", sanitise::line(name), sanitise::line(value))));
    }
    lines
}

fn contact(presentity: &PresentityDocument, now: &Zoned) -> String {
    let state = words::contact_state(presentity.contact.state);
    let since = moment(words::timestamp(presentity.contact.since), now);
    format!("{state} since {since} ({})", words::evidence(presentity.contact.evidence))
}

fn source(fetched: &FetchedDocument, now: &Zoned) -> String {
    if fetched.presentity.is_self {
        return "this node itself".to_owned();
    }
    match fetched.source {
        SourceWord::Direct => "asked from their node just now".to_owned(),
        SourceWord::Known => {
            let heard = age(since(words::timestamp(fetched.presentity.heard_at), now));
            format!("last known, heard {heard}: their node could not be asked")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::cli::{
        interrupt::Interrupter,
        output::{Output, tests::Written},
        words::tests::{bob, now},
    };
    use crate::local_api::documents::InputStateWord;

    #[test]
    fn a_document_is_shown_with_all_its_tuples_and_markup() {
        let written = Written::default();
        let context = Context {
            home: None,
            own_names: Vec::new(),
            output: Output::into_writer(written.clone(), false),
            interrupt: Interrupter::new().1,
        };
        let mut presentity = bob();
        presentity.user_input = Some(UserInputDocument {
            state: InputStateWord::Idle,
            idle_threshold_seconds: None,
            last_input: None,
        });
        presentity.extensions.insert("x-desk".to_owned(), "NDI=".to_owned());
        let fetched = FetchedDocument { presentity, source: SourceWord::Known };
        fields(&fetched, &context, &now()).print(&context.output).unwrap();
        let expected = "\
name       Bob
id         12D3KooWNoRtqPmYSWAfhEvYXBLL5rX9aqZUTDfdSDrH3CUBNqnj
contact    present since 11:03 (a connection stands)
source     last known, heard 3 s ago: their node could not be asked
version    start 1, record 2
note       \"back at noon\"
until      12:00
input      idle
extension  x-desk = NDI= (base64)
tuple      inbox: open · away
           im im:12D3KooW@lan.alt
";
        assert_eq!(written.text(), expected);
    }
}
