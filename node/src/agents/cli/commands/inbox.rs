//! `here inbox`: what came in.
//!
//! Following rests on the inbox itself: an event only says that it is worth looking, and what lies after the
//! cursor of the last printed message is then read from it. So each message is printed exactly once, in
//! order, also when the connection breaks or the node is restarted in between.

use anyhow::Result;
use jiff::Zoned;

use crate::{
    agents::cli::{
        Context,
        arguments::{InboxAction, InboxArguments, InboxListArguments, MessageFormat, ReadArguments},
        events::short,
        exit::Exit,
        fields::Fields,
        live::{Happening, Live},
        output::{FAINT, NAME, Output, OutputClosed},
        sanitise,
        table::{Table, plain, styled},
        times::{clock, moment},
        words,
    },
    local_api::documents::{EventBody, InboxDocument, MessageDocument},
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &InboxArguments) -> Result<Exit> {
    match &arguments.action {
        None => list(context, arguments.list).await,
        Some(InboxAction::List(arguments)) => list(context, *arguments).await,
        Some(InboxAction::Read(arguments)) => read(context, arguments).await,
        Some(InboxAction::Delete(message)) => delete(context, &message.id).await,
    }
}

async fn list(context: &Context, arguments: InboxListArguments) -> Result<Exit> {
    if arguments.follow {
        return follow(context).await;
    }
    let inbox = context.client()?.inbox(0).await?;
    if context.output.json {
        context.output.document(&inbox)?;
    } else if inbox.messages.is_empty() {
        context.output.notice("the inbox is empty");
    } else {
        table(&inbox, &Zoned::now()).print(&context.output)?;
    }
    Ok(Exit::Done)
}

async fn read(context: &Context, arguments: &ReadArguments) -> Result<Exit> {
    let client = context.client()?;
    let message = client.message(&arguments.message.id).await?;
    if let Some(MessageFormat::Cpim) = arguments.format {
        context.output.bytes(&client.cpim(&message.id).await?)?;
    } else if context.output.json {
        context.output.document(&message)?;
    } else {
        print(&message, &context.output, &Zoned::now())?;
    }
    Ok(Exit::Done)
}

async fn delete(context: &Context, id: &str) -> Result<Exit> {
    context.client()?.delete_message(id).await?;
    context.done("deleted")
}

async fn follow(context: &Context) -> Result<Exit> {
    let wishes = context.interrupt.listen()?;
    let following = async {
        let mut live = Live::open(context.client()?, context.output.clone()).await?;
        let mut cursor = print_new(context, &live, 0).await?;
        loop {
            let is_worth_looking = match live.next().await? {
                Happening::Event(event) => matches!(event.body, EventBody::Message { .. } | EventBody::Gap),
                Happening::Reconnected { resumed } => !resumed,
            };
            if is_worth_looking {
                cursor = print_new(context, &live, cursor).await?;
            }
        }
    };
    tokio::select! {
        ended = following => ended,
        () = wishes.to_end() => Ok(Exit::Done),
        () = context.output.closed() => Ok(Exit::Done),
    }
}

/// Prints the messages after `cursor`; the cursor of the last of them.
async fn print_new(context: &Context, live: &Live, cursor: u64) -> Result<u64> {
    let client = context.client()?;
    let inbox = live.insist(|| client.inbox(cursor)).await?;
    for message in &inbox.messages {
        if context.output.json {
            context.output.document_line(message)?;
        } else {
            context.output.line(line(message, &context.output, &Zoned::now()))?;
        }
    }
    Ok(inbox.cursor)
}

fn table(inbox: &InboxDocument, now: &Zoned) -> Table<5> {
    let mut table = Table::new(["ID", "FROM", "RECEIVED", "READ", "MESSAGE"]);
    for message in &inbox.messages {
        table.row([
            plain(short(&message.id)),
            styled(NAME, words::person(&message.from)),
            styled(FAINT, moment(words::timestamp(message.received_at), now)),
            plain(if message.read { "yes" } else { "new" }),
            plain(sanitise::line(&text(message))),
        ]);
    }
    table
}

/// One message in the order of their coming. Further lines of its text are indented, so that no text can
/// pass for another message.
fn line(message: &MessageDocument, output: &Output, now: &Zoned) -> String {
    let time = output.paint(FAINT, clock(words::timestamp(message.received_at), now));
    let from = output.paint(NAME, format!("{}:", words::person(&message.from)));
    let text = sanitise::text(&text(message)).replace('\n', "\n    ");
    format!("{time}  {}  {from} {text}", short(&message.id))
}

fn print(message: &MessageDocument, output: &Output, now: &Zoned) -> Result<(), OutputClosed> {
    let mut fields = Fields::default();
    let from =
        format!("{} {}", output.paint(NAME, words::person(&message.from)), sanitise::line(&message.from.id));
    fields.add("from", from);
    fields.add("received", moment(words::timestamp(message.received_at), now));
    fields.add("written", format!("{} by their clock", moment(words::timestamp(message.sent_at), now)));
    fields.add("id", sanitise::line(&message.id));
    if let Some(thread) = &message.thread {
        fields.add("thread", sanitise::line(thread));
    }
    match &message.reply_to {
        // Whoever writes back by name or id writes there.
        Some(address) if address.starts_with(&format!("im:{}@", message.from.id)) => (),
        Some(address) => fields.add("reply to", sanitise::line(address)),
        None => fields.add("reply to", "nobody: they take no messages"),
    }
    if message.text.is_none() {
        fields.add("type", sanitise::line(&message.content_type));
    }
    fields.print(output)?;
    output.line("")?;
    output.line(sanitise::text(&text(message)))
}

fn text(message: &MessageDocument) -> String {
    message.text.clone().unwrap_or_else(|| format!("({}, see --json)", message.content_type))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agents::cli::{output::tests::Written, words::tests::now};

    fn message(text: &str) -> MessageDocument {
        serde_json::from_value(json!({
            "id": "3f2a91c0".repeat(4), "cursor": 7,
            "from": { "id": "12D3KooWAAAAAAAA", "short_id": "AAAAAAAA", "name": "Alice", "petname": null },
            "to": "im:12D3KooW@lan.alt", "sent_at": "2030-03-05T11:02:59.000Z",
            "received_at": "2030-03-05T11:03:00.000Z", "read": false,
            "content_type": "text/plain; charset=utf-8", "language": null, "thread": null,
            "reply_to": "im:12D3KooWAAAAAAAA@lan.alt",
            "text": text,
        }))
        .unwrap()
    }

    fn output() -> (Output, Written) {
        let written = Written::default();
        (Output::into_writer(written.clone(), false), written)
    }

    #[test]
    fn a_message_in_the_list_is_one_line_whatever_it_says() {
        let (output, written) = output();
        let inbox = InboxDocument { messages: vec![message("one\n3f2a91c0  Bob  now\u{1b}[1A")], cursor: 7 };
        table(&inbox, &now()).print(&output).unwrap();
        let expected = "\
ID        FROM   RECEIVED  READ  MESSAGE
3f2a91c0  Alice  11:03     new   one 3f2a91c0 Bob now[1A
";
        assert_eq!(written.text(), expected);
    }

    #[test]
    fn a_followed_message_cannot_forge_another() {
        let (output, _) = output();
        let line = line(&message("one\n11:03:00  aaaaaaaa  Bob: two"), &output, &now());
        assert_eq!(line, "11:03:00  3f2a91c0  Alice: one\n    11:03:00  aaaaaaaa  Bob: two");
    }

    #[test]
    fn a_message_is_read_with_its_lines_and_without_escapes() {
        let (output, written) = output();
        print(&message("one\n\ttwo\u{1b}]0;x\u{7}"), &output, &now()).unwrap();
        let expected = format!(
            "from      Alice 12D3KooWAAAAAAAA\nreceived  11:03\n\
             written   11:02 by their clock\nid        {}\n\n\
             one\n\ttwo]0;x\n",
            "3f2a91c0".repeat(4)
        );
        assert_eq!(written.text(), expected);
    }
}
