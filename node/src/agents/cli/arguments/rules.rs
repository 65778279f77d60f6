//! What may be written to set ACCESS RULES, DELIVERY RULES and VISIBILITY RULES.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use hereabouts_protocol::presence::information::Token;

use super::help;

/// `here delivery`.
#[derive(Debug, Clone, Default, Args)]
pub struct DeliveryArguments {
    /// What to do [default: list].
    #[command(subcommand)]
    pub action: Option<DeliveryAction>,
}

/// `here delivery …`.
#[derive(Debug, Clone, Subcommand)]
pub enum DeliveryAction {
    /// List the rules in force (this is the default)
    #[command(after_help = help::DELIVERY_LIST)]
    List,
    /// Take somebody's messages, as far as the options say
    #[command(after_help = help::DELIVERY_ACCEPT)]
    Accept(AcceptArguments),
    /// Take none of somebody's messages
    #[command(after_help = help::DELIVERY_DENY)]
    Deny {
        /// Whose: contacts (all with a petname), strangers (all others), or somebody
        #[arg(value_name = "WHOSE")]
        whose: String,
        /// Give no answer, so that the sender does not know what became of them
        #[arg(long)]
        silently: bool,
    },
    /// Take back what was said: a sender is one of the contacts or strangers again, and these are as at first
    #[command(after_help = help::DELIVERY_FORGET)]
    Forget {
        /// Whose: contacts, strangers, or somebody
        #[arg(value_name = "WHOSE")]
        whose: String,
    },
}

/// `here delivery accept`.
#[derive(Debug, Clone, Args)]
pub struct AcceptArguments {
    /// Whose: contacts (all with a petname), strangers (all others), or somebody
    #[arg(value_name = "WHOSE")]
    pub whose: String,
    /// Messages a minute of each sender; so many may come at once [default: any number]
    #[arg(long, value_name = "NUMBER")]
    pub per_minute: Option<u32>,
    /// Messages a minute of all contacts, or of all strangers, together [default: any number]
    #[arg(long, value_name = "NUMBER")]
    pub together: Option<u32>,
    /// Bytes of a message [default: 16384, the limit]
    #[arg(long, value_name = "NUMBER")]
    pub max_bytes: Option<usize>,
    /// A content type, or the first part of one such as text/; may be given several times [default: any]
    #[arg(long, value_name = "TYPE")]
    pub content_type: Vec<String>,
}

/// `here access`.
#[derive(Debug, Clone, Default, Args)]
pub struct AccessArguments {
    /// What to do [default: list].
    #[command(subcommand)]
    pub action: Option<AccessAction>,
}

/// `here access …`.
#[derive(Debug, Clone, Subcommand)]
pub enum AccessAction {
    /// List the rules in force (this is the default)
    #[command(after_help = help::ACCESS_LIST)]
    List {
        /// Print them in this format instead
        #[arg(long)]
        format: Option<RulesFormat>,
    },
    /// Let them see you, as far as the options say
    #[command(after_help = help::ACCESS_ALLOW)]
    Allow {
        /// Whom: anybody (all who listen), contacts (all with a petname), strangers (all others who ask), or
        /// somebody
        #[arg(value_name = "WHOM")]
        whom: String,
        /// What they are given.
        #[command(flatten)]
        grants: GrantArguments,
    },
    /// Let them ask, and decide on each with `here requests`
    #[command(after_help = help::ACCESS_CONFIRM)]
    Confirm {
        /// Whom: contacts, strangers, or somebody
        #[arg(value_name = "WHOM")]
        whom: String,
        /// Refuse them as long as they hide from others that they watch (here visibility)
        #[arg(long)]
        visible_only: bool,
    },
    /// Refuse them, and say so
    #[command(after_help = help::ACCESS_BLOCK)]
    Block {
        /// Whom: anybody, contacts, strangers, or somebody
        #[arg(value_name = "WHOM")]
        whom: String,
        /// Seem to let them, but always look closed to them
        #[arg(long)]
        politely: bool,
    },
    /// Set all rules from presence rules (RFC 5025, XML), and take back all others
    #[command(after_help = help::ACCESS_IMPORT)]
    Import {
        /// The file; '-' for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Take back what was said: the rule of its class holds again, or what held at first
    #[command(after_help = help::ACCESS_FORGET)]
    Forget {
        /// Whom: anybody, contacts, strangers, or somebody
        #[arg(value_name = "WHOM")]
        whom: String,
    },
}

/// A format of access rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RulesFormat {
    /// Presence rules (RFC 5025, XML)
    PresenceRules,
}

/// What a watcher is given.
#[derive(Debug, Clone, Default, Args)]
pub struct GrantArguments {
    /// Give these parts and no others beside name and status; may be given several times
    #[arg(long, value_name = "PART", conflicts_with = "without")]
    pub only: Vec<Part>,
    /// Withhold this part; may be given several times
    #[arg(long, value_name = "PART")]
    pub without: Vec<Part>,
    /// Give the tuples with these ids and no others; may be given several times [default: all]
    #[arg(long, value_name = "ID")]
    pub tuple: Vec<Token>,
    /// How much of user input to give, if not all or nothing of it
    #[arg(long, value_name = "HOW-MUCH")]
    pub user_input: Option<InputDetail>,
    /// Let them see who else watches you, as far as those let it
    #[arg(long)]
    pub watchers: bool,
    /// Refuse them as long as they hide from others that they watch (here visibility)
    #[arg(long)]
    pub visible_only: bool,
}

/// A part of a presence document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Name and status, which are always given
    Status,
    /// Notes
    Notes,
    /// Activities
    Activities,
    /// Addresses, without which they cannot write to you by name
    Addresses,
    /// Until when something holds
    Until,
    /// Whether you use the device
    UserInput,
    /// Further values
    Extensions,
}

/// How much of user input is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InputDetail {
    /// Active or idle
    Bare,
    /// And after what time without input that is idle
    Thresholds,
}

/// `here requests`.
#[derive(Debug, Clone, Default, Args)]
pub struct RequestsArguments {
    /// What to do [default: list].
    #[command(subcommand)]
    pub action: Option<RequestsAction>,
}

/// `here requests …`.
#[derive(Debug, Clone, Subcommand)]
pub enum RequestsAction {
    /// List who waits for your word (this is the default)
    #[command(after_help = help::REQUESTS_LIST)]
    List,
    /// Let somebody watch you, as `here access allow` does
    #[command(after_help = help::REQUESTS_APPROVE)]
    Approve {
        /// Who asked
        #[arg(value_name = "WHO")]
        who: String,
        /// What they are given.
        #[command(flatten)]
        grants: GrantArguments,
    },
    /// Refuse somebody, as `here access block` does
    #[command(after_help = help::REQUESTS_DENY)]
    Deny {
        /// Who asked
        #[arg(value_name = "WHO")]
        who: String,
        /// Seem to let them, but always look closed to them
        #[arg(long)]
        politely: bool,
    },
}

/// `here visibility`.
#[derive(Debug, Clone, Default, Args)]
pub struct VisibilityArguments {
    /// What to do [default: show].
    #[command(subcommand)]
    pub action: Option<VisibilityAction>,
}

/// `here visibility …`.
#[derive(Debug, Clone, Subcommand)]
pub enum VisibilityAction {
    /// Show the rules in force (this is the default)
    #[command(after_help = help::VISIBILITY_SHOW)]
    Show,
    /// Let nobody else see that you watch somebody, or only these not
    #[command(after_help = help::VISIBILITY_HIDE)]
    Hide {
        /// From whom; from everybody but those you watch unless given
        #[arg(long, value_name = "WHO")]
        from: Vec<String>,
    },
    /// Let others see whom you watch again
    #[command(after_help = help::VISIBILITY_UNHIDE)]
    Unhide,
}
