//! `here set`: the own status, note, activities and tuples.

use std::{
    fs::File,
    io::{self, Read},
    num::NonZeroU32,
    path::Path,
};

use anyhow::{Context as _, Result};
use hereabouts_protocol::{
    formats::DOCUMENT_BYTES_MAX,
    presence::information::{ACTIVITIES, FURTHER_STATUS_VALUES, Token},
};
use jiff::Zoned;

use crate::{
    agents::cli::{
        Context,
        arguments::{InputWord, SetArguments},
        exit::Exit,
        failure::Failure,
        times::TimeError,
        words,
    },
    local_api::documents::{
        InputStateWord, NoneWord, NoteDocument, SetPresence, SetUserInput, UserInputDocument,
    },
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &SetArguments) -> Result<Exit> {
    let output = &context.output;
    let now = Zoned::now();
    let client = context.client()?;
    if let Some(whose) = &arguments.whose {
        client.update_presence(whose, &change(arguments, &now)?).await?;
        advise(context, &arguments.further, &FURTHER_STATUS_VALUES, USUAL_FURTHER);
        advise(context, &arguments.activity, &ACTIVITIES, USUAL_ACTIVITIES);
        return context.done("set: their node took it over and publishes it");
    }
    let own = match &arguments.pidf {
        Some(file) => client.set_pidf(read(file, DOCUMENT_BYTES_MAX)?).await?,
        None => client.set_presence(&change(arguments, &now)?).await?,
    };
    if output.json {
        output.document(&own)?;
        return Ok(Exit::Done);
    }
    output.line(words::sentence(&own, &now))?;
    advise(context, &arguments.further, &FURTHER_STATUS_VALUES, USUAL_FURTHER);
    advise(context, &arguments.activity, &ACTIVITIES, USUAL_ACTIVITIES);
    Ok(Exit::Done)
}

/// What is in a file, or comes in on standard input; of one over the limit a byte more than that.
pub(super) fn read(file: &Path, limit: usize) -> Result<Vec<u8>> {
    let mut xml = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?)
    };
    source.take(limit).read_to_end(&mut xml).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(xml)
}

fn change(arguments: &SetArguments, now: &Zoned) -> Result<SetPresence> {
    let until = arguments.until.as_ref().map(|until| until.resolve(now).map_err(bad_time("--until")));
    Ok(SetPresence {
        tuple: arguments.tuple.as_ref().map(ToString::to_string),
        basic: arguments.status.map(Into::into),
        further: texts(&arguments.further),
        note: arguments.note.clone().map(|text| NoteDocument { text, language: arguments.language.clone() }),
        activities: texts(&arguments.activity),
        until: until.transpose()?.map(Into::into),
        means: arguments.means.as_ref().map(ToString::to_string),
        contact: arguments.contact.clone(),
        remove_tuple: arguments.remove_tuple.as_ref().map(ToString::to_string),
        display_name: None,
        user_input: user_input(arguments, now)?,
    })
}

fn user_input(arguments: &SetArguments, now: &Zoned) -> Result<Option<SetUserInput>> {
    let threshold = arguments.idle_after.as_ref().map(|lasting| {
        let seconds = lasting.seconds(now)?;
        let seconds = u32::try_from(seconds).map_err(|_| TimeError::TooFar)?;
        NonZeroU32::new(seconds).ok_or(TimeError::NotPositive)
    });
    let threshold = threshold.transpose().map_err(bad_time("--idle-after"))?;
    let last_input = arguments.last_input.as_ref().map(|ago| ago.resolve(now));
    let last_input = last_input.transpose().map_err(bad_time("--last-input"))?;
    let state = match arguments.user_input {
        Some(InputWord::Active) => InputStateWord::Active,
        Some(InputWord::Idle) => InputStateWord::Idle,
        Some(InputWord::None) if threshold.is_some() || last_input.is_some() => {
            let problem =
                "--user-input none says nothing, so --idle-after and --last-input cannot go with it";
            return Err(Failure::new(Exit::Usage, "contradiction", problem).into());
        }
        Some(InputWord::None) => return Ok(Some(SetUserInput::Nothing(NoneWord::None))),
        None => return Ok(None),
    };
    let last_input = last_input.map(Into::into);
    Ok(Some(SetUserInput::Said(UserInputDocument { state, idle_threshold_seconds: threshold, last_input })))
}

fn bad_time(option: &str) -> impl Fn(TimeError) -> Failure {
    move |error| Failure::new(Exit::Usage, "bad-time", format!("{option}: {error}"))
}

fn texts(words: &[Token]) -> Option<Vec<String>> {
    (!words.is_empty()).then(|| words.iter().map(ToString::to_string).collect())
}

/// Any word may be published, but one that nobody's program knows is more often a slip.
fn advise(context: &Context, given: &[Token], known: &[&str], usual: &str) {
    for word in given.iter().filter(|word| !known.contains(&word.as_str())) {
        context.output.notice(format!("published, but \"{word}\" is no usual {usual}"));
    }
}

const USUAL_FURTHER: &str = "status word; those are away, busy, chat, dnd and xa";
const USUAL_ACTIVITIES: &str = "activity; those are listed in RFC 4480, such as meeting, lunch and travel";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        agents::cli::arguments::{Arguments, Command},
        local_api::documents::BasicWord,
    };

    fn changed(line: &str) -> Result<SetPresence> {
        let arguments = Arguments::try_parse_from(line.split(' '))?;
        let Command::Set(arguments) = arguments.command else { panic!("{line}") };
        change(&arguments, &"2030-03-05T11:42:00[UTC]".parse()?)
    }

    #[test]
    fn the_words_of_the_line_become_the_change() {
        let change =
            changed("here set open away busy --note noon --language en --until 12:00 --activity meeting");
        let expected = SetPresence {
            basic: Some(BasicWord::Open),
            further: Some(vec!["away".to_owned(), "busy".to_owned()]),
            note: Some(NoteDocument { text: "noon".to_owned(), language: Some("en".to_owned()) }),
            until: Some("2030-03-05T12:00:00Z".parse().unwrap()),
            activities: Some(vec!["meeting".to_owned()]),
            ..SetPresence::default()
        };
        assert_eq!(change.unwrap(), expected);
    }

    #[test]
    fn user_input_says_as_much_as_is_given() {
        let said = |line| changed(line).unwrap().user_input;
        let input = |state, threshold, last_input: Option<&str>| {
            Some(SetUserInput::Said(UserInputDocument {
                state,
                idle_threshold_seconds: NonZeroU32::new(threshold),
                last_input: last_input.map(|time| time.parse().unwrap()),
            }))
        };
        assert_eq!(said("here set --user-input active"), input(InputStateWord::Active, 0, None));
        let idle = input(InputStateWord::Idle, 300, Some("2030-03-05T11:32:00Z"));
        assert_eq!(said("here set --user-input idle --idle-after 5m --last-input 10m"), idle);
        assert_eq!(said("here set --user-input none"), Some(SetUserInput::Nothing(NoneWord::None)));
        assert_eq!(said("here set open"), None);
    }

    #[test]
    fn what_is_not_given_is_not_spoken_of() {
        let expected = SetPresence { remove_tuple: Some("desk".to_owned()), ..SetPresence::default() };
        assert_eq!(changed("here set --remove-tuple desk").unwrap(), expected);
    }

    #[test]
    fn a_line_that_sets_nothing_or_half_an_address_is_refused() {
        for line in [
            "here set",
            "here set away",
            "here set open --means tel --contact tel:1",
            "here set open --tuple desk --means tel",
            "here set open --language en",
            "here set open --until noon",
            "here set open UPPER",
            "here set --user-input asleep",
            "here set --user-input none --idle-after 5m",
            "here set open --idle-after 5m",
            "here set open --last-input 5m",
            "here set --user-input idle --idle-after 900y",
            "here set --user-input idle --last-input 2031-01-01T00:00:00Z",
        ] {
            assert!(changed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_end_that_is_past_is_a_matter_of_usage() {
        let error = changed("here set open --until 2020-01-01T00:00:00Z").unwrap_err();
        assert!(error.downcast_ref::<Failure>().unwrap().to_string().contains("past"));
    }
}
