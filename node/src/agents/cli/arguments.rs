//! The command line of `here`: what may be written, and the help that explains it.
//!
//! One type per subcommand, filled by clap. Values are parsed here once, so that a mistake is answered
//! with exit code 2 and a hint before anything is asked of the node. Help is written for somebody who has
//! never heard of the project: what it does, units, defaults, and lines to copy. The examples are in
//! [`help`].

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use hereabouts_protocol::{
    identity::Realm,
    message::instant_message::MessageId,
    presence::{
        information::{Basic, DISPLAY_NAME_BYTES_MAX, Token},
        publication::{REFRESH_INTERVAL, RHYTHM_MIN},
    },
};
use jiff::Zoned;
use libp2p::Multiaddr;

use super::{
    help, sanitise,
    times::{Ago, Lasting, Until},
};
use crate::mesh::addresses::GivenAddress;

mod rules;

pub use rules::{
    AcceptArguments, AccessAction, AccessArguments, DeliveryAction, DeliveryArguments, GrantArguments,
    InputDetail, Part, RequestsAction, RequestsArguments, RulesFormat, VisibilityAction, VisibilityArguments,
};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "here",
    version,
    about = "Presence and instant messages on a LAN, with no server",
    long_about = help::ABOUT,
    after_help = help::SHORT,
    after_long_help = help::long(),
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true
)]
pub struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command, before or after its name.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The directory of the node: its key, database and socket. Another one is another node [default:
    /// hereabouts in $XDG_STATE_HOME or in ~/.local/state]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "HERE_HOME",
        hide_env_values = true,
        help_heading = GLOBAL_HEADING
    )]
    pub home: Option<PathBuf>,
    /// Which of your nodes in that directory: each has a presence, an inbox and rules of its own. `up` takes
    /// several [default: the one without a name]
    #[arg(long = "as", global = true, value_name = "NAME", help_heading = GLOBAL_HEADING)]
    pub own_names: Vec<Token>,
    /// Print stable JSON documents, errors too; commands that go on print one a line
    #[arg(long, global = true, help_heading = GLOBAL_HEADING)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node in the foreground, until ctrl-c or `here down`
    #[command(after_help = help::UP)]
    Up(UpArguments),
    /// Stop the node; it says goodbye to the others first
    #[command(after_help = help::DOWN)]
    Down,
    /// Show who this node is: its name, id, addresses and socket
    #[command(after_help = help::ID)]
    Id(IdArguments),
    /// List who is there, with status, note and how fresh that is
    #[command(after_help = help::WHO)]
    Who(ListArguments),
    /// Set the own status, note and activities, and tell everybody
    #[command(after_help = help::SET)]
    Set(SetArguments),
    /// Say who else may set your status, note and activities
    #[command(after_help = help::DELEGATES)]
    Delegates(DelegatesArguments),
    /// Subscribe to somebody: print the present state, then one line for each change
    #[command(after_help = help::WATCH)]
    Watch(WhoArguments),
    /// Ask somebody's node for the whole presence document, once
    #[command(after_help = help::FETCH)]
    Fetch(FetchArguments),
    /// Ask somebody's node again and again, and print what changed
    #[command(after_help = help::POLL)]
    Poll(PollArguments),
    /// Send an instant message and say what became of it
    #[command(after_help = help::SEND)]
    Send(SendArguments),
    /// List, read and delete messages that came in
    #[command(after_help = help::INBOX, args_conflicts_with_subcommands = true)]
    Inbox(InboxArguments),
    /// Show what became of queued messages, and cancel them
    #[command(after_help = help::OUTBOX)]
    Outbox(OutboxArguments),
    /// Keep own names for people (petnames)
    #[command(after_help = help::CONTACT)]
    Contact(ContactArguments),
    /// Say whose messages the inbox takes, how many, how large and of which types
    #[command(after_help = help::DELIVERY)]
    Delivery(DeliveryArguments),
    /// Say what watchers are given of your presence
    #[command(after_help = help::ACCESS)]
    Access(AccessArguments),
    /// Show who asks to watch you, and decide
    #[command(after_help = help::REQUESTS)]
    Requests(RequestsArguments),
    /// Show who asked for your presence within the last week, and what they got
    #[command(after_help = help::WATCHERS)]
    Watchers(WatchersArguments),
    /// Say who may see whom you watch
    #[command(after_help = help::VISIBILITY)]
    Visibility(VisibilityArguments),
    /// Show who watches this node's presence, and whom it watches
    #[command(after_help = help::SUBSCRIPTIONS)]
    Subscriptions,
    /// Print the description of the local API (OpenAPI 3.1, JSON)
    #[command(after_help = help::API)]
    Api,
    /// Play a session with three nodes on this machine, in a few seconds
    #[command(after_help = help::DEMO)]
    Demo,
}

impl Command {
    /// Whether this process becomes a node, or several.
    pub const fn runs_nodes(&self) -> bool {
        matches!(self, Self::Up(_) | Self::Demo)
    }
}

/// `here up`.
#[derive(Debug, Clone, Default, Args)]
pub struct UpArguments {
    /// The name that others see, at most 64 bytes [default: the one used last, or else the
    /// name of this machine]
    #[arg(long, value_parser = display_name)]
    pub name: Option<String>,
    /// The realm: nodes of two realms never meet. 1 to 63 of a-z, 0-9 and '-'
    #[arg(long, default_value_t)]
    pub realm: Realm,
    /// An address to listen on; may be given several times [default: TCP and QUIC, IPv4 and IPv6, each
    /// on a free port]
    #[arg(long, value_name = "MULTIADDR")]
    pub listen: Vec<Multiaddr>,
    /// The address of another node; may be given several times. Only needed where mDNS does not reach
    #[arg(long, value_name = "MULTIADDR")]
    pub peer: Vec<GivenAddress>,
    /// Be a relay for nodes of this realm that cannot connect to each other: up to 64 connections at a
    /// time pass through this node. It can tell who talks to whom, but read nothing
    #[arg(long)]
    pub relay: bool,
    /// The address of a relay through which others are to reach this node, because they cannot connect to
    /// it; may be given twice. The relay was started with --relay
    #[arg(long, value_name = "MULTIADDR")]
    pub relayed_by: Vec<GivenAddress>,
    /// Be reached through the relays only, and reach others through relays only: none but the relays and
    /// the nodes given with --peer learn the IP address of this node
    #[arg(long, requires = "relayed_by", conflicts_with = "listen")]
    pub relayed_only: bool,
    /// Neither look for others on the LAN by mDNS nor answer
    #[arg(long)]
    pub no_mdns: bool,
    /// Show nothing of yourself: only watch, send and take messages. Others know of you by an im: URI alone
    #[arg(long)]
    pub no_presence: bool,
    /// Take no messages: keep no inbox, and say so
    #[arg(long)]
    pub no_inbox: bool,
    /// Give nobody what you know of others: let newcomers learn of each only from itself or by gossip. Leave
    /// some nodes of a realm without this, or who is out of contact is unknown to those who come later
    #[arg(long)]
    pub no_cache: bool,
    /// Publish once in this time whether or not something changed, from 10s to 40m, so that nobody learns
    /// from the gossip when it did; changes are seen that much later [default: at once]
    #[arg(long, value_name = "DURATION", conflicts_with = "no_presence")]
    pub rhythm: Option<Rhythm>,
}

/// How often a node publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm(pub Duration);

impl FromStr for Rhythm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let now = Zoned::now();
        let end = text
            .parse::<Lasting>()
            .and_then(|lasting| lasting.end(&now))
            .map_err(|error| error.to_string())?;
        let period = end.duration_since(now.timestamp()).unsigned_abs();
        if !(RHYTHM_MIN..=REFRESH_INTERVAL).contains(&period) {
            return Err("a rhythm is from 10s to 40m".to_owned());
        }
        Ok(Self(period))
    }
}

/// `here id`.
#[derive(Debug, Clone, Default, Args)]
pub struct IdArguments {
    /// List all your nodes of this directory, also those that do not run
    #[arg(long, conflicts_with = "own_names")]
    pub all: bool,
}

/// `here who`.
#[derive(Debug, Clone, Args)]
pub struct ListArguments {
    /// Tell of one alone whether they are in contact, since when, and who says so
    #[arg(long, value_name = "WHO")]
    pub why: Option<String>,
    /// Ask nobody's node: show those whose presence is sealed, and not known here, as withheld
    #[arg(long)]
    pub no_fetch: bool,
}

/// `here watch`.
#[derive(Debug, Clone, Args)]
pub struct WhoArguments {
    /// Whom: a petname, a display name, the beginning of an id, or a pres: or im: URI
    #[arg(value_name = "WHO")]
    pub who: String,
}

/// `here set`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    group(ArgGroup::new("change").required(true).multiple(true).args(CHANGES)),
    override_usage = "here set [OPTIONS] [STATUS] [FURTHER]...",
    arg_required_else_help = true
)]
pub struct SetArguments {
    /// open or closed: whether the inbox takes messages
    #[arg(value_parser = basic_status)]
    pub status: Option<Basic>,
    /// Words that go with it: away, busy, chat, dnd, xa, or others of a-z, 0-9, '-' and '_'
    #[arg(value_name = "FURTHER")]
    pub further: Vec<Token>,
    /// A sentence for people, at most 256 bytes; an empty one takes the note away
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// The language of the note, as a BCP 47 tag such as en
    #[arg(long, value_name = "TAG", requires = "note")]
    pub language: Option<String>,
    /// When this ends and the status goes back to plain open: 12:00 (the next time it is 12:00 here),
    /// 30m, 2h, 1h30m, or 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub until: Option<Until>,
    /// What you are doing, such as meeting, lunch, on-the-phone (RFC 4480); may be given several times
    #[arg(long, value_name = "ACTIVITY")]
    pub activity: Vec<Token>,
    /// Whether you use the device: active, idle, or none to say nothing of it any more
    #[arg(long, value_name = "STATE")]
    pub user_input: Option<InputWord>,
    /// After how long without input you count as idle, such as 5m
    #[arg(long, value_name = "TIME", requires = "user_input")]
    pub idle_after: Option<Lasting>,
    /// When you last used it: 10m (so long ago) or 2030-01-31T12:00:00Z; not told unless given
    #[arg(long, value_name = "TIME", requires = "user_input")]
    pub last_input: Option<Ago>,
    /// Set the status of the tuple with this id instead of that of the inbox; it is added if need be
    #[arg(long, value_name = "ID")]
    pub tuple: Option<Token>,
    /// How the tuple's principal is reached, such as tel
    #[arg(long, requires_all = ["tuple", "contact"])]
    pub means: Option<Token>,
    /// Where, by that means: a URI such as tel:+4930123456
    #[arg(long, value_name = "URI", requires_all = ["tuple", "means"])]
    pub contact: Option<String>,
    /// Take everything from this PIDF file (RFC 3863, XML); '-' for standard input
    #[arg(long, value_name = "FILE", exclusive = true)]
    pub pidf: Option<PathBuf>,
    /// Take the tuple with this id out of the document
    #[arg(long, value_name = "ID")]
    pub remove_tuple: Option<Token>,
    /// Set somebody else's, who lets you: a petname, a display name, the beginning of an id, or a URI
    #[arg(long = "for", value_name = "WHO", conflicts_with = "pidf")]
    pub whose: Option<String>,
}

/// What `here set --user-input` can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InputWord {
    /// The device is in use
    Active,
    /// It has not been used for a while
    Idle,
    /// Nothing
    None,
}

/// `here delegates`.
#[derive(Debug, Clone, Default, Args)]
pub struct DelegatesArguments {
    /// What to do [default: list].
    #[command(subcommand)]
    pub action: Option<DelegatesAction>,
}

/// `here delegates …`.
#[derive(Debug, Clone, Subcommand)]
pub enum DelegatesAction {
    /// List who may (this is the default)
    #[command(after_help = help::DELEGATES_LIST)]
    List,
    /// Let somebody set your presence, with `here set --for` on their node
    #[command(after_help = help::DELEGATES_ALLOW)]
    Allow {
        /// Whom: a petname, a display name, the beginning of an id, or a pres: or im: URI
        #[arg(value_name = "WHO")]
        who: String,
        /// Only the tuple with this id; may be given several times [default: everything]
        #[arg(long, value_name = "ID")]
        tuple: Vec<Token>,
    },
    /// Let somebody set it no more
    #[command(after_help = help::DELEGATES_REMOVE)]
    Remove {
        /// Whom
        #[arg(value_name = "WHO")]
        who: String,
    },
}

/// `here send`.
#[derive(Debug, Clone, Args)]
pub struct SendArguments {
    /// To whom: a petname, a display name, the beginning of an id, or a pres: or im: URI
    #[arg(value_name = "WHO", required_unless_present = "cpim")]
    pub who: Option<String>,
    /// The message, at most 16 KiB [default: read from standard input, as for '-']
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// To the inbox that this tuple of their presence names [default: the first that names one]
    #[arg(long, value_name = "ID")]
    pub tuple: Option<Token>,
    /// Send the message in this file (Message/CPIM, RFC 3862), which says to whom; '-' for standard input
    #[arg(long, value_name = "FILE", exclusive = true)]
    pub cpim: Option<PathBuf>,
    /// If they are out of reach or take no messages now, keep it and send it when that changes
    #[arg(long)]
    pub queue: bool,
    /// How long a message is worth delivering, such as 30m, 2h or 1d [default for a queued one: 7d]
    #[arg(long, value_name = "DURATION")]
    pub expires: Option<Lasting>,
    /// The id of the first message of the conversation that this one belongs to
    #[arg(long, value_name = "ID")]
    pub thread: Option<MessageId>,
}

/// `here inbox`.
#[derive(Debug, Clone, Default, Args)]
pub struct InboxArguments {
    /// What to do [default: list].
    #[command(subcommand)]
    pub action: Option<InboxAction>,
    /// The options of `list`.
    #[command(flatten)]
    pub list: InboxListArguments,
}

/// `here inbox …`.
#[derive(Debug, Clone, Subcommand)]
pub enum InboxAction {
    /// List the messages, oldest first (this is the default)
    #[command(after_help = help::INBOX_LIST)]
    List(InboxListArguments),
    /// Print one message in full and mark it as read
    #[command(after_help = help::INBOX_READ)]
    Read(ReadArguments),
    /// Delete one message for good
    #[command(after_help = help::INBOX_DELETE)]
    Delete(MessageArguments),
}

/// `here inbox list`.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct InboxListArguments {
    /// Go on and print each message that comes in, until ctrl-c
    #[arg(long, short)]
    pub follow: bool,
}

/// A message of the inbox or outbox.
#[derive(Debug, Clone, Args)]
pub struct MessageArguments {
    /// The message's id, or the beginning of it if that is unique; in the inbox also at:17, its place there
    #[arg(value_name = "ID", value_parser = message_name)]
    pub id: String,
}

/// `here inbox read`.
#[derive(Debug, Clone, Args)]
pub struct ReadArguments {
    /// Which.
    #[command(flatten)]
    pub message: MessageArguments,
    /// Print it in this format instead
    #[arg(long)]
    pub format: Option<MessageFormat>,
}

/// `here outbox`.
#[derive(Debug, Clone, Default, Args)]
pub struct OutboxArguments {
    /// What to do [default: list].
    #[command(subcommand)]
    pub action: Option<OutboxAction>,
}

/// `here outbox …`.
#[derive(Debug, Clone, Subcommand)]
pub enum OutboxAction {
    /// List queued messages and what became of earlier ones (this is the default)
    #[command(after_help = help::OUTBOX_LIST)]
    List,
    /// Withdraw a message that still waits
    #[command(after_help = help::OUTBOX_CANCEL)]
    Cancel(MessageArguments),
}

/// `here contact`.
#[derive(Debug, Clone, Default, Args)]
pub struct ContactArguments {
    /// What to do [default: list].
    #[command(subcommand)]
    pub action: Option<ContactAction>,
}

/// `here contact …`.
#[derive(Debug, Clone, Subcommand)]
pub enum ContactAction {
    /// List the petnames (this is the default)
    #[command(after_help = help::CONTACT_LIST)]
    List,
    /// Let a name of your own stand for somebody, whatever they call themselves
    #[command(after_help = help::CONTACT_ADD)]
    Add {
        /// The petname
        name: String,
        /// Whom it stands for: a display name, the beginning of an id, or a pres: or im: URI
        #[arg(value_name = "WHO")]
        who: String,
    },
    /// Forget a petname
    #[command(after_help = help::CONTACT_REMOVE)]
    Remove {
        /// The petname
        name: String,
    },
}

/// `here fetch`.
#[derive(Debug, Clone, Args)]
pub struct FetchArguments {
    /// Whom: a petname, a display name, the beginning of an id, or a pres: or im: URI
    #[arg(value_name = "WHO")]
    pub who: String,
    /// Print the document in this format instead
    #[arg(long)]
    pub format: Option<PresenceFormat>,
}

/// A format of presence documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PresenceFormat {
    /// PIDF (RFC 3863, XML)
    Pidf,
}

/// A format of lists of watchers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WatchersFormat {
    /// winfo (RFC 3858, XML)
    Winfo,
}

/// A format of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// Message/CPIM (RFC 3862)
    Cpim,
}

/// `here poll`.
#[derive(Debug, Clone, Args)]
pub struct PollArguments {
    /// Whom: a petname, a display name, the beginning of an id, or a pres: or im: URI
    #[arg(value_name = "WHO")]
    pub who: String,
    /// How often, such as 2s or 1m; their node answers once a second at most
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub every: Lasting,
}

/// `here watchers`.
#[derive(Debug, Clone, Default, Args)]
pub struct WatchersArguments {
    /// Ask somebody's node who watches them, instead of this node who watches you
    #[arg(value_name = "WHO")]
    pub who: Option<String>,
    /// Print those of this node in this format instead
    #[arg(long, conflicts_with = "who")]
    pub format: Option<WatchersFormat>,
    /// Go on: print one line for each watcher that is new or changed, or gone
    #[arg(long, conflicts_with = "format")]
    pub watch: bool,
}

fn basic_status(text: &str) -> Result<Basic, String> {
    match text {
        "open" => Ok(Basic::Open),
        "closed" => Ok(Basic::Closed),
        _ => Err(format!("say open or closed first, as in `here set open {text}`")),
    }
}

fn display_name(text: &str) -> Result<String, String> {
    // What others would not be shown need not be sent to them.
    let name = sanitise::line(text);
    if name.is_empty() {
        return Err("a name needs at least one visible character".to_owned());
    }
    if name.len() > DISPLAY_NAME_BYTES_MAX {
        return Err(format!("a name is at most {DISPLAY_NAME_BYTES_MAX} bytes, this one is {}", name.len()));
    }
    Ok(name)
}

fn message_name(text: &str) -> Result<String, String> {
    let is_place = text.strip_prefix("at:").is_some_and(|place| place.parse::<u64>().is_ok());
    let is_id =
        (1..=MESSAGE_ID_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_place || is_id {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("a message id is {MESSAGE_ID_DIGITS} hexadecimal digits, or the first few of them"))
}

const MESSAGE_ID_DIGITS: usize = 32;

const GLOBAL_HEADING: &str = "Options of every command";

/// What `here set` can set; it wants one of these at least.
const CHANGES: [&str; 8] =
    ["status", "note", "until", "activity", "user_input", "tuple", "pidf", "remove_tuple"];

#[cfg(test)]
#[path = "arguments_tests.rs"]
mod tests;
