//! Who else may update a presentity's document: delegates, and nobody else.

use std::{collections::BTreeSet, time::Duration};

use super::mesh::Mesh;
use crate::{
    identity::Presentity,
    node::{NodeInput, Notice, UpdateToken},
    presence::{
        change::PresenceChange,
        delegates::Delegates,
        information::{Basic, NOTE_BYTES_MAX, Note, Token},
    },
    wire::frames::{REASON_BYTES_MAX, UpdateAnswer},
};

const SECOND: Duration = Duration::from_secs(1);

fn noted(text: &str) -> PresenceChange {
    let note = Note { text: text.to_owned(), language: None };
    PresenceChange { note: Some(note), ..PresenceChange::default() }
}

fn tuple_closed(id: &str) -> PresenceChange {
    PresenceChange {
        tuple: Some(id.parse().unwrap()),
        basic: Some(Basic::Closed),
        ..PresenceChange::default()
    }
}

/// Lets `delegate` change these tuples of node 1's document, or all of it.
fn allow(mesh: &mut Mesh, delegate: Presentity, tuples: &[&str]) {
    let tuples: BTreeSet<Token> = tuples.iter().map(|id| id.parse().unwrap()).collect();
    let mut delegates = Delegates::default();
    delegates.put(delegate, tuples).unwrap();
    mesh.input(1, NodeInput::Delegates(delegates));
}

/// What node 1 answers to a change that node 0 asks for.
fn asked(mesh: &mut Mesh, change: PresenceChange) -> Option<UpdateAnswer> {
    let to = mesh.who(1);
    let token: UpdateToken = mesh.with(0, |node, now| node.handle_update(now, to, change));
    mesh.run(SECOND);
    mesh.seat(0).updates[&token].clone()
}

fn note_of_one(mesh: &Mesh, seen_by: usize) -> Option<String> {
    let seen = mesh.node(seen_by).service.information(&mesh.who(1))?;
    Some(seen.markup.note.as_ref()?.text.clone())
}

#[test]
fn nobody_else_updates_a_presentity_unless_its_principal_lets_them() {
    let mut mesh = Mesh::row(3);
    mesh.run(SECOND);
    let before = mesh.node(1).information().clone();
    assert_eq!(asked(&mut mesh, noted("owned")), Some(UpdateAnswer::Refused));
    // Another delegate is of no use to node 0.
    let other = mesh.who(2);
    allow(&mut mesh, other, &[]);
    assert_eq!(asked(&mut mesh, noted("owned")), Some(UpdateAnswer::Refused));
    assert_eq!(mesh.node(1).information(), &before);
    assert!(mesh.node(1).refused().contains(&("update-not-allowed", 2)));

    let delegate = mesh.who(0);
    allow(&mut mesh, delegate, &[]);
    assert_eq!(asked(&mut mesh, noted("by the phone")), Some(UpdateAnswer::Taken));
    assert_eq!(note_of_one(&mesh, 2).as_deref(), Some("by the phone"), "as if the principal had set it");
    let told = |mesh: &Mesh| {
        mesh.seat(1).notices.iter().filter(|told| **told == Notice::Updated { by: delegate }).count()
    };
    assert_eq!(told(&mesh), 1);
    mesh.input(1, NodeInput::Delegates(Delegates::default()));
    assert_eq!(asked(&mut mesh, noted("still me")), Some(UpdateAnswer::Refused));
    assert_eq!((told(&mesh), note_of_one(&mesh, 2).as_deref()), (1, Some("by the phone")));
}

#[test]
fn a_delegate_for_one_tuple_changes_that_alone() {
    let mut mesh = Mesh::row(2);
    mesh.run(SECOND);
    let delegate = mesh.who(0);
    allow(&mut mesh, delegate, &["phone"]);
    assert_eq!(asked(&mut mesh, tuple_closed("phone")), Some(UpdateAnswer::Taken));
    assert_eq!(asked(&mut mesh, tuple_closed("inbox")), Some(UpdateAnswer::Refused));
    assert_eq!(asked(&mut mesh, noted("no")), Some(UpdateAnswer::Refused));
    let tuples = &mesh.node(0).service.information(&mesh.who(1)).unwrap().tuples;
    let basic: Vec<_> = tuples.iter().map(|tuple| (tuple.id.as_str(), tuple.status.basic)).collect();
    assert_eq!(basic, [("inbox", Basic::Open), ("phone", Basic::Closed)]);
}

#[test]
fn what_makes_no_document_is_refused_with_the_reason_and_changes_nothing() {
    let mut mesh = Mesh::row(2);
    mesh.run(SECOND);
    let delegate = mesh.who(0);
    allow(&mut mesh, delegate, &[]);
    let before = mesh.node(1).information().clone();
    let reason = |answer| match answer {
        Some(UpdateAnswer::Invalid { reason }) => reason,
        answer => panic!("{answer:?}"),
    };
    let too_long = reason(asked(&mut mesh, noted(&"x".repeat(NOTE_BYTES_MAX + 1))));
    assert!(too_long.contains("note"), "{too_long}");
    let missing = "x".repeat(32).parse().ok();
    let missing = PresenceChange { remove_tuple: missing, ..PresenceChange::default() };
    let missing = reason(asked(&mut mesh, missing));
    assert!(missing.contains("there are: inbox") && missing.len() <= REASON_BYTES_MAX, "{missing}");
    assert_eq!(mesh.node(1).information(), &before);
}

#[test]
fn an_update_of_one_who_is_not_in_reach_is_not_answered() {
    let mut mesh = Mesh::row(2);
    mesh.run(SECOND);
    mesh.kill(1);
    assert_eq!(asked(&mut mesh, noted("anybody?")), None);
}
