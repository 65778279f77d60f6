//! `here send`: an INSTANT MESSAGE and what became of it.

use std::io::{self, IsTerminal, Read};

use anyhow::{Context as _, Result};
use hereabouts_protocol::{
    formats::DOCUMENT_BYTES_MAX,
    message::{
        instant_message::{BODY_BYTES_MAX, FailureReason},
        outbox::LIFETIME_MAX,
    },
};
use jiff::Zoned;

use super::set::read;
use crate::{
    agents::cli::{
        Context,
        arguments::SendArguments,
        exit::Exit,
        failure::Failure,
        output::{FAINT, GOOD, WARNING},
        sanitise,
        times::Lasting,
    },
    local_api::documents::{OutcomeWord, SendMessage, SentDocument},
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &SendArguments) -> Result<Exit> {
    if let Some(file) = &arguments.cpim {
        let sent = context.client()?.send_cpim(read(file, DOCUMENT_BYTES_MAX)?).await?;
        tell(context, "the recipient", &sent)?;
        return Ok(exit(&sent));
    }
    let who = arguments.who.as_deref().unwrap_or_default();
    let text = match arguments.text.as_deref() {
        None | Some("-") => read_text(context)?,
        Some(text) => text.to_owned(),
    };
    if text.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            "empty",
            "there is nothing to send; write a text after the name",
        )
        .into());
    }
    let message = SendMessage {
        to: who.to_owned(),
        text: Some(text),
        tuple: arguments.tuple.as_ref().map(ToString::to_string),
        thread: arguments.thread.map(|thread| thread.to_string()),
        queue: arguments.queue,
        expires_seconds: arguments
            .expires
            .as_ref()
            .map(|lasting| seconds(lasting, &Zoned::now()))
            .transpose()?,
        ..SendMessage::default()
    };
    let sent = context.client()?.send(&message).await?;
    tell(context, who, &sent)?;
    Ok(exit(&sent))
}

fn tell(context: &Context, who: &str, sent: &SentDocument) -> Result<()> {
    let output = &context.output;
    if output.json {
        output.document(sent)?;
        return Ok(());
    }
    let id = output.paint(FAINT, format!("(message {})", sanitise::line(&sent.id)));
    match sent.outcome {
        OutcomeWord::Delivered => output.line(format!("{} {id}", output.paint(GOOD, "delivered")))?,
        OutcomeWord::Queued => {
            output.line(format!("queued: it goes out by itself when {who} takes it {id}"))?;
        }
        OutcomeWord::Failed => {
            let reason = sent.reason.unwrap_or(FailureReason::Malformed);
            output.line(format!(
                "{}: {} {id}",
                output.paint(WARNING, format!("failed: {reason}")),
                explain(reason)
            ))?;
        }
        OutcomeWord::Indeterminate => output.line(format!(
            "{}: no answer came, so it may have arrived or not {id}",
            output.paint(WARNING, "indeterminate")
        ))?,
    }
    Ok(())
}

fn exit(sent: &SentDocument) -> Exit {
    match (sent.outcome, sent.reason) {
        (OutcomeWord::Delivered | OutcomeWord::Queued, _) => Exit::Done,
        (OutcomeWord::Failed, Some(reason)) => Exit::NotDelivered(reason),
        (OutcomeWord::Failed, None) => Exit::Failed,
        (OutcomeWord::Indeterminate, _) => Exit::Indeterminate,
    }
}

/// What a person may want to know of a reason, and do about it.
const fn explain(reason: FailureReason) -> &'static str {
    match reason {
        FailureReason::Closed => "their node answered that they take no messages now",
        FailureReason::Denied => "their node answered that you may not write to them",
        FailureReason::Unauthenticated => {
            "their node answered that the sender is not who the connection says"
        }
        FailureReason::RateLimited => "their node answered that you send too much; try again in a while",
        FailureReason::TooLarge => "their node answered that it is too large; put it in a file",
        FailureReason::NoSuchInbox => "their node keeps no such inbox",
        FailureReason::InboxFull => "their node answered that their inbox is full; --queue waits for room",
        FailureReason::UnsupportedType => "their node answered that it takes no content of this type",
        FailureReason::Malformed => "their node could not read it; is it of the same version?",
        FailureReason::Expired => "its time was over before it could be stored",
        FailureReason::Unreachable => "their node cannot be reached; --queue keeps it until it can",
    }
}

fn read_text(context: &Context) -> Result<String> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        context.output.notice("write the message and end it with ctrl-d on a line of its own");
    }
    read_bounded(stdin)
}

fn read_bounded(source: impl Read) -> Result<String> {
    let limit = BODY_BYTES_MAX + 1;
    let mut bytes = Vec::new();
    source.take(limit as u64 + 1).read_to_end(&mut bytes).context("cannot read the message")?;
    // The end of the last line is the shell's, not the message's.
    bytes.pop_if(|last| *last == b'\n');
    if bytes.len() > BODY_BYTES_MAX {
        let message =
            format!("a message is at most {BODY_BYTES_MAX} bytes, and this one is larger; put it in a file");
        return Err(
            Failure::new(Exit::NotDelivered(FailureReason::TooLarge), "message-too-large", message).into()
        );
    }
    String::from_utf8(bytes).map_err(|_| {
        let message = "standard input is not text in UTF-8, and `here send` sends text only";
        Failure::new(Exit::NotDelivered(FailureReason::UnsupportedType), "not-text", message).into()
    })
}

fn seconds(lasting: &Lasting, now: &Zoned) -> Result<u64> {
    let bad = |message: String| Failure::new(Exit::Usage, "bad-time", format!("--expires: {message}"));
    let end = lasting.end(now).map_err(|error| bad(error.to_string()))?;
    let duration = end.duration_since(now.timestamp()).unsigned_abs();
    if duration > LIFETIME_MAX {
        return Err(
            bad(format!("a message waits for {} days at most", LIFETIME_MAX.as_secs() / 86_400)).into()
        );
    }
    // Less than a second would be no time at all.
    Ok(duration.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(outcome: OutcomeWord, reason: Option<FailureReason>) -> SentDocument {
        SentDocument { id: "3f2a91c0".repeat(4), outcome, reason }
    }

    #[test]
    fn every_outcome_has_its_exit_code() {
        assert_eq!(exit(&sent(OutcomeWord::Delivered, None)).code(), 0);
        assert_eq!(exit(&sent(OutcomeWord::Queued, None)).code(), 0);
        assert_eq!(exit(&sent(OutcomeWord::Failed, Some(FailureReason::Closed))).code(), 10);
        assert_eq!(exit(&sent(OutcomeWord::Failed, Some(FailureReason::Unreachable))).code(), 20);
        assert_eq!(exit(&sent(OutcomeWord::Indeterminate, None)).code(), 21);
    }

    #[test]
    fn the_text_loses_the_last_line_end_and_no_other() {
        assert_eq!(read_bounded(&b"one\ntwo\n"[..]).unwrap(), "one\ntwo");
        assert_eq!(read_bounded(&b"one\n\n"[..]).unwrap(), "one\n");
    }

    #[test]
    fn a_text_of_the_limit_passes_and_one_byte_more_does_not() {
        let mut text = vec![b'x'; BODY_BYTES_MAX];
        text.push(b'\n');
        assert_eq!(read_bounded(&text[..]).unwrap().len(), BODY_BYTES_MAX);
        text.push(b'x');
        assert!(read_bounded(&text[..]).is_err());
        assert!(read_bounded(io::repeat(b'x')).is_err(), "an endless text is not read to its end");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert!(read_bounded(&b"\xff\xfe"[..]).is_err());
    }

    #[test]
    fn a_lifetime_is_given_in_seconds() {
        let now = "2030-03-05T11:42:00[UTC]".parse().unwrap();
        assert_eq!(seconds(&"2h".parse().unwrap(), &now).unwrap(), 7200);
        assert_eq!(seconds(&"1ms".parse().unwrap(), &now).unwrap(), 1);
        assert_eq!(seconds(&"7d".parse().unwrap(), &now).unwrap(), 604_800);
        assert!(seconds(&"8d".parse().unwrap(), &now).is_err());
    }
}
