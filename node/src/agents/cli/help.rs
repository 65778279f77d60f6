//! The words under each command's help: examples to copy, and what a script needs to know.

use super::exit;

/// What `here` is, above the list of commands.
pub(super) const ABOUT: &str = "\
Presence and instant messages on a LAN, with no server.

Run `here up` on each machine. The nodes find each other, show who is there, and carry messages. Every other \
command speaks to the node that runs on this machine, through a socket that only you can open.";

/// Under `here -h`.
pub(super) const SHORT: &str = "\
Examples:
  here up --name Alice                 run a node, here in the foreground
  here who                             who is there
  here set open away --note Lunch      say how you are
  here send bob \"Canteen at twelve?\"   send a message
  here demo                            see it all work, on this machine alone

`here help COMMAND` explains one command, `here --help` the exit codes.";

/// Under `here --help`.
pub(super) fn long() -> String {
    format!("{SHORT}\n\n{}\n\n{ENVIRONMENT}", exit::HELP)
}

const ENVIRONMENT: &str = "\
Environment:
  HERE_HOME   as --home
  HERE_LOG    what a node logs to standard error: info, hereabouts=debug [default: warn]
  NO_COLOR    if set, nothing is coloured; only what a terminal shows ever is";

pub(super) const UP: &str = "\
Prints who this node is, then one line for each event. Ctrl-c, SIGTERM and `here down` leave cleanly: the \
others see it at once. A second ctrl-c ends without saying goodbye.

Examples:
  here up --name Alice
  here up --realm floor-3
  here up --rhythm 1m
  here up --no-mdns --listen /ip4/0.0.0.0/tcp/4001 --peer /ip4/192.168.1.7/tcp/4001
  here up --as work --as home                two nodes of yours in one process
  here up --relay --listen /ip4/0.0.0.0/tcp/4001
  here up --relayed-by /ip4/192.168.1.7/tcp/4001
  here --home /tmp/second up --name Bob      a second node on this machine

Exit codes: 0 left cleanly, 1 could not run, 3 a node runs in this directory already";

pub(super) const DOWN: &str = "\
Returns when the node has ended.

Examples:
  here down
  here --home /tmp/second down

Exit codes: 0 stopped, 3 no node was running";

pub(super) const ID: &str = "\
Examples:
  here id
  here id --all                              all that you have in this directory (--as)
  here id --json | jq -r .id";

pub(super) const WHO: &str = "\
Others come first, by name; your own line is marked (you). SEEN says how fresh a line is: \"now\" stands for \
an open connection, otherwise it is the age of what was last heard. Somebody out of contact is listed with \
the last known state. Who shows their presence to those alone who ask is asked for it, once in a minute.

Examples:
  here who
  here who --why bob
  here who --json | jq -r '.presentities[] | select(.contact.state == \"present\") | .name'";

pub(super) const SET: &str = "\
With a STATUS, `set` states everything about you anew: a note, an end or activities that are not given \
again are gone. Without one, or with --tuple, only what is given changes.

Examples:
  here set open
  here set open away --note \"back at noon\" --until 12:00
  here set open busy --activity meeting --until 45m
  here set --user-input idle --last-input 10m  what a screen saver can say; nothing else undoes it
  here set closed --note \"no messages until tomorrow\" --until 2030-02-01T08:00:00Z
  here set open --tuple desk --means tel --contact tel:+4930123456
  here set --remove-tuple desk
  here set --note \"on the phone, back soon\"
  here set --pidf me.xml
  here set closed --tuple phone --for bob      he let you: here delegates

Exit codes: 0 published, 1 not possible (the message says why), 3 no node runs here";

pub(super) const DELEGATES: &str = "\
Nobody but you may, unless you say so. What a delegate sets is as if you had set it; your node publishes it, \
so it has to run.

Examples:
  here delegates
  here delegates allow phone --tuple phone
  here delegates remove phone

Exit codes: 0 done, 1 not possible, 3 no node runs here, 4 unknown or ambiguous name";

pub(super) const DELEGATES_LIST: &str = "\
Examples:
  here delegates list
  here delegates list --json";

pub(super) const DELEGATES_ALLOW: &str = "\
A tuple need not be there yet. To let somebody set status and note as well, name none.

Examples:
  here delegates allow secretary
  here delegates allow phone --tuple phone --tuple tablet";

pub(super) const DELEGATES_REMOVE: &str = "\
Examples:
  here delegates remove phone";

pub(super) const WATCH: &str = "\
Prints exactly one line for each change of status or document, and when they leave, go out of contact or \
return; never for a mere refresh. Waits through a restart of the node here. Ctrl-c ends, and ends the \
subscription unless it was there before.

Examples:
  here watch bob
  here watch bob --json | jq --unbuffered -r .contact.state
  here watch bob | grep -m1 'is open' && notify-send \"Bob is back\"

Exit codes: 0 ended by you, 3 no node runs here, 4 unknown or ambiguous name";

pub(super) const FETCH: &str = "\
Asks the other node directly. If it cannot be reached the last known document is given and marked as such \
(\"source\": \"direct\" or \"known\").

Examples:
  here fetch bob
  here fetch 4kQm2vXz --json | jq '.tuples[].communication'
  here fetch bob --format pidf > bob.xml

Exit codes: 0 shown, 3 no node runs here, 4 unknown or ambiguous name, 5 they do not let you";

pub(super) const SEND: &str = "\
`delivered` means stored on the other side's disk. `failed` names the reason. `indeterminate` means that no \
answer came: it may have arrived or not.

Examples:
  here send bob \"Canteen at twelve?\"
  here send bob \"are you back?\" --queue --expires 2h
  here send bob \"to the office\" --tuple work --as home
  git log -1 | here send carol -
  here send --cpim message.eml

Exit codes: 0 delivered or queued, 1 not sent, 3 no node runs here, 4 unknown or ambiguous name,
  10 closed, 11 denied, 12 unauthenticated, 13 rate-limited, 14 too-large, 15 no-such-inbox,
  16 inbox-full, 17 unsupported-type, 18 malformed, 19 expired, 20 unreachable, 21 indeterminate";

pub(super) const INBOX: &str = "\
Examples:
  here inbox                   list
  here inbox read 3f2a         print one in full
  here inbox delete 3f2a
  here inbox --follow --json | jq --unbuffered -r '.from.name + \": \" + .text'

Exit codes: 0 done, 1 no such message, 3 no node runs here";

pub(super) const INBOX_LIST: &str = "\
With --follow nothing is missed, not even over a restart of the node, and nothing is printed twice.

Examples:
  here inbox list
  here inbox list --follow";

pub(super) const INBOX_READ: &str = "\
Examples:
  here inbox read 3f2a
  here inbox read 3f2a --json | jq -r .text
  here inbox read 3f2a --format cpim > message.cpim";

pub(super) const INBOX_DELETE: &str = "\
Examples:
  here inbox delete 3f2a";

pub(super) const OUTBOX: &str = "\
A message that `here send --queue` could not deliver at once waits here, and goes out by itself when its \
recipient is in reach and takes messages.

Examples:
  here outbox
  here outbox cancel 7be0

Exit codes: 0 done, 1 no such message, 3 no node runs here";

pub(super) const OUTBOX_LIST: &str = "\
Examples:
  here outbox list
  here outbox list --json | jq '.entries[] | select(.state == \"queued\")'";

pub(super) const OUTBOX_CANCEL: &str = "\
A message that is under way at this moment may still arrive.

Examples:
  here outbox cancel 7be0";

pub(super) const CONTACT: &str = "\
A petname is yours alone and always means the same key, while anybody may call themselves Bob.

Examples:
  here contact add bob 4kQm2vXz
  here contact
  here contact remove bob

Exit codes: 0 done, 1 no such petname, 3 no node runs here, 4 unknown or ambiguous name";

pub(super) const CONTACT_LIST: &str = "\
Examples:
  here contact list";

pub(super) const CONTACT_ADD: &str = "\
Examples:
  here contact add bob Bob
  here contact add \"bob from accounting\" 4kQm2vXz";

pub(super) const CONTACT_REMOVE: &str = "\
Examples:
  here contact remove bob";

pub(super) const DELIVERY: &str = "\
The rule for a sender is its own if it has one, else that of the contacts (everybody with a petname) or of \
the strangers. A new node takes everything from contacts, and from strangers at most 60 messages a minute \
each and 600 together. What is said holds for the next message, and over restarts.

Examples:
  here delivery
  here delivery deny mallory
  here delivery deny strangers                 only people with a petname can write
  here delivery accept bob --per-minute 10
  here delivery forget mallory

Exit codes: 0 done, 1 not possible (the message says why), 3 no node runs here, 4 unknown or
  ambiguous name";

pub(super) const DELIVERY_LIST: &str = "\
Examples:
  here delivery list
  here delivery list --json | jq .strangers";

pub(super) const DELIVERY_ACCEPT: &str = "\
Replaces what was said for them before. Who sends faster is told rate-limited, and may try again later: a \
queued message does by itself.

Examples:
  here delivery accept strangers --per-minute 5 --together 50
  here delivery accept strangers --content-type text/ --max-bytes 1000
  here delivery accept bob";

pub(super) const DELIVERY_DENY: &str = "\
The sender is told: denied. With --silently the answer stays away, and the sender's outcome is \
indeterminate.

Examples:
  here delivery deny mallory
  here delivery deny strangers --silently";

pub(super) const DELIVERY_FORGET: &str = "\
Examples:
  here delivery forget mallory
  here delivery forget strangers";

pub(super) const POLL: &str = "\
A poller leaves nothing behind with the other node but an entry in its list of watchers. Prints the state, \
then one line for each change. Ctrl-c ends.

Examples:
  here poll bob --every 2s
  here poll bob --every 1m --json

Exit codes: 0 ended by you, 1 not possible (the message says why), 3 no node runs here,
  4 unknown or ambiguous name, 5 they do not let you";

pub(super) const ACCESS: &str = "\
The rule for a watcher is its own if it has one, else that of the contacts (everybody with a petname) or of \
the strangers. The rule for anybody is for those who ask nothing and listen: what it grants is gossiped in \
the clear, as far as every other rule grants it too. Everything else is sealed, and who asks and is let gets \
the key. A new node shows everything to everybody. What is said holds at once, and over restarts.

Examples:
  here access
  here access block mallory
  here access block anybody                    only who asks sees you
  here access confirm strangers                decide on each
  here access allow strangers --only status
  here access forget mallory

Exit codes: 0 done, 1 not possible (the message says why), 3 no node runs here, 4 unknown or
  ambiguous name";

pub(super) const ACCESS_LIST: &str = "\
Examples:
  here access list
  here access list --json | jq .clear
  here access list --format presence-rules > rules.xml";

pub(super) const ACCESS_ALLOW: &str = "\
Replaces what was said for them before. Name and status are always given.

Examples:
  here access allow bob
  here access allow strangers --only status
  here access allow contacts --without notes --without activities
  here access allow carol --tuple inbox --watchers
  here access allow strangers --user-input bare --visible-only";

pub(super) const ACCESS_CONFIRM: &str = "\
Until you decide they see nothing.

Examples:
  here access confirm strangers
  here access confirm strangers --visible-only   and refuse who hides that it watches
  here access confirm dave";

pub(super) const ACCESS_BLOCK: &str = "\
They are told that you refuse. With --politely they are not: they may watch, always see you closed, and \
their messages are answered closed.

Examples:
  here access block mallory
  here access block mallory --politely";

pub(super) const ACCESS_IMPORT: &str = "\
Takes what `here access list --format presence-rules` writes, by hand or here. A rule that says one thing in \
the standard's words and another in this program's is refused, and nothing is changed.

Examples:
  here access list --format presence-rules > rules.xml
  here access import rules.xml";

pub(super) const ACCESS_FORGET: &str = "\
Examples:
  here access forget mallory
  here access forget strangers";

pub(super) const REQUESTS: &str = "\
Whoever asks to watch you under a rule of confirm waits here; those who ask no more are kept for a week.

Examples:
  here requests
  here requests approve dave
  here requests deny mallory --politely

Exit codes: 0 done, 1 not possible (the message says why), 3 no node runs here, 4 unknown or
  ambiguous name";

pub(super) const REQUESTS_LIST: &str = "\
Examples:
  here requests list";

pub(super) const REQUESTS_APPROVE: &str = "\
Examples:
  here requests approve dave
  here requests approve dave --only status";

pub(super) const REQUESTS_DENY: &str = "\
Examples:
  here requests deny mallory
  here requests deny mallory --politely";

pub(super) const WATCHERS: &str = "\
Lists everybody whose node asked yours within the last week: subscribers, who are told of every change, \
those who fetched, and those who were refused. What is gossiped in the clear (see here access) anybody \
reads without asking. Of somebody else's watchers you see yourself, and others if they and the rules let you.

Examples:
  here watchers
  here watchers --json | jq -r '.watchers[] | select(.kind == \"poller\") | .name'
  here watchers bob
  here watchers --watch                      go on, a line for each change
  here watchers --format winfo > watchers.xml

Exit codes: 0 shown, 1 no answer, 3 no node runs here, 4 unknown or ambiguous name";

pub(super) const VISIBILITY: &str = "\
Those you watch always see it, and may refuse whoever hides it from others. They may let others see their \
watchers; whether you are among what these see is for you to say.

Examples:
  here visibility
  here visibility hide
  here visibility hide --from carol
  here visibility unhide

Exit codes: 0 done, 1 not possible (the message says why), 3 no node runs here, 4 unknown or
  ambiguous name";

pub(super) const VISIBILITY_SHOW: &str = "\
Examples:
  here visibility show";

pub(super) const VISIBILITY_HIDE: &str = "\
Replaces what was said before.

Examples:
  here visibility hide
  here visibility hide --from carol --from dave";

pub(super) const VISIBILITY_UNHIDE: &str = "\
Examples:
  here visibility unhide";

pub(super) const SUBSCRIPTIONS: &str = "\
Examples:
  here subscriptions
  here subscriptions --json | jq -r '.subscribers[].name'";

pub(super) const API: &str = "\
Programs speak to a node as `here` does: HTTP and JSON on the Unix socket that `here id` names. No node \
needs to run for this command.

Examples:
  here api > openapi.json
  curl --unix-socket \"$(here id --json | jq -r .socket)\" http://here/v1/presentities";

pub(super) const DEMO: &str = "\
Starts three nodes (Alice, Bob, Carol) in this process, on loopback, without mDNS, with their files in a \
temporary directory, and runs the commands of a session against them. What it prints is what they answer.

Examples:
  here demo";

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::super::arguments::Arguments;
    use crate::agents::demo::words;

    fn every_command(command: &Command, visit: &mut impl FnMut(&Command)) {
        visit(command);
        for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
            every_command(subcommand, visit);
        }
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_how() {
        let mut root = Arguments::command();
        root.build();
        let mut commands = 0;
        every_command(&root, &mut |command| {
            commands += 1;
            let name = command.get_bin_name().unwrap_or("here");
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && !about.ends_with('.'), "{name} has no summary line: {about:?}");
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Examples:\n  here "), "the help of {name} has no example:\n{help}");
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(argument.get_help().is_some(), "{name} does not explain {}", argument.get_id());
            }
        });
        assert_eq!(commands, 49);
    }

    #[test]
    fn every_example_of_here_is_a_command_line_that_is_understood() {
        let mut root = Arguments::command();
        root.build();
        every_command(&root, &mut |command| {
            let help = command.clone().render_long_help().to_string();
            let (_, examples) = help.split_once("Examples:\n").unwrap();
            for line in examples.lines().take_while(|line| line.starts_with("  ")) {
                // What stands after two spaces explains; what stands after a pipe is another program's.
                let example = line.trim().split("  ").next().unwrap().split(['|', '>', '&']).next().unwrap();
                if !example.starts_with("here ") {
                    continue;
                }
                let parsed = Arguments::command().try_get_matches_from(words(example));
                assert!(parsed.is_ok(), "{line}\n{}", parsed.unwrap_err());
            }
        });
    }

    #[test]
    fn help_is_not_broken_where_it_is_to_be_copied_or_looked_up() {
        let mut root = Arguments::command().term_width(usize::MAX);
        root.build();
        every_command(&root, &mut |command| {
            let help = command.clone().render_long_help().to_string();
            let (_, after) = help.split_once("Examples:").unwrap();
            for line in after.lines() {
                assert!(line.chars().count() <= 98, "{line}");
            }
        });
        assert!(root.render_long_help().to_string().contains("21 indeterminate\n\nEnvironment:"));
    }
}
