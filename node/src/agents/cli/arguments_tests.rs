use super::*;

fn parsed(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

#[test]
fn global_flags_stand_before_or_after_the_command() {
    for line in ["here --json --home /h who", "here who --home /h --json", "here --json inbox list --home=/h"]
    {
        let global = parsed(line).unwrap().global;
        assert!(global.json && global.home == Some(PathBuf::from("/h")), "{line}");
    }
}

#[test]
fn up_without_flags_is_the_realm_lan_with_mdns() {
    let Command::Up(up) = parsed("here up").unwrap().command else { panic!() };
    assert_eq!(up.realm.as_str(), "lan");
    assert!(!up.no_mdns && up.listen.is_empty() && up.peer.is_empty() && up.name.is_none());
}

#[test]
fn addresses_may_be_given_several_times() {
    let line =
        "here up --listen /ip4/0.0.0.0/tcp/1 --listen /ip6/::/tcp/1 --peer /ip4/10.0.0.1/udp/1/quic-v1";
    let Command::Up(up) = parsed(line).unwrap().command else { panic!() };
    assert_eq!((up.listen.len(), up.peer.len()), (2, 1));
}

#[test]
fn a_peer_that_could_never_be_dialled_is_refused_with_the_reason() {
    let refusal = parsed("here up --peer /dns4/bob.example.org/tcp/4001").unwrap_err().to_string();
    assert!(refusal.contains("/ip4/… or /ip6/…"), "{refusal}");
}

#[test]
fn a_list_is_what_is_done_unless_something_else_is_named() {
    let Command::Inbox(inbox) = parsed("here inbox -f").unwrap().command else { panic!() };
    assert!(inbox.action.is_none() && inbox.list.follow);
    let Command::Inbox(inbox) = parsed("here inbox list --follow").unwrap().command else { panic!() };
    assert!(matches!(inbox.action, Some(InboxAction::List(InboxListArguments { follow: true }))));
    for line in ["here outbox", "here contact", "here outbox list", "here contact list"] {
        assert!(parsed(line).is_ok(), "{line}");
    }
}

#[test]
fn ids_of_messages_are_hexadecimal_or_a_place() {
    for (given, understood) in
        [("3F2a", Some("3f2a")), ("at:17", Some("at:17")), ("xyz", None), ("at:x", None)]
    {
        let id = parsed(&format!("here inbox read {given}")).ok().map(|arguments| match arguments.command {
            Command::Inbox(InboxArguments { action: Some(InboxAction::Read(read)), .. }) => read.message.id,
            other => panic!("{other:?}"),
        });
        assert_eq!(id.as_deref(), understood, "{given}");
    }
}

#[test]
fn what_makes_no_sense_is_a_mistake_of_usage() {
    for line in [
        "here",
        "here fly",
        "here up --realm UPPER",
        "here up --listen nowhere",
        "here watch",
        "here inbox read",
        "here send bob hi --expires soon",
        "here send bob hi --thread 12",
    ] {
        assert_eq!(parsed(line).unwrap_err().exit_code(), 2, "{line}");
    }
    let long = "x".repeat(65);
    assert!(Arguments::try_parse_from(["here", "up", "--name", &long]).is_err());
    assert!(Arguments::try_parse_from(["here", "up", "--name", " \u{200b}"]).is_err());
}
