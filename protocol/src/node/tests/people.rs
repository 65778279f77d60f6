//! What a node tells the people and programs beside it, and that one seed gives one run.

use std::time::Duration;

use super::mesh::Mesh;
use crate::{
    durable::StoredContact,
    identity::Presentity,
    node::{NodeInput, Notice},
    presence::service::{ContactState, Evidence, Transition},
};

const SECOND: Duration = Duration::from_secs(1);

fn petname(mesh: &mut Mesh, who: Presentity) -> Option<String> {
    mesh.with(0, |node, now| node.view(now, &who))?.petname
}

#[test]
fn the_views_begin_with_the_own_presentity() {
    let mut mesh = Mesh::row(3);
    let views = mesh.with(1, |node, now| node.views(now));
    assert_eq!(views.len(), 3);
    let own = &views[0];
    assert_eq!((own.presentity, own.is_self), (mesh.who(1), true));
    assert_eq!((own.contact.state, own.contact.evidence), (ContactState::Present, Evidence::Own));
    assert_eq!(own.version, mesh.node(1).own_record().unwrap().version());
    assert!(views[1..].iter().all(|view| !view.is_self && view.presentity != mesh.who(1)));
}

#[test]
fn a_petname_stands_beside_its_presentity_in_views_and_notices_until_it_is_removed() {
    let mut mesh = Mesh::row(2);
    let who = mesh.who(1);
    let contact = StoredContact { petname: "Bobby".to_owned(), presentity: who };
    mesh.input(0, NodeInput::ContactPut(contact.clone()));
    assert_eq!(petname(&mut mesh, who).as_deref(), Some("Bobby"));
    assert_eq!(mesh.node(0).contacts(), [contact]);
    mesh.depart(1);
    mesh.run(SECOND);
    let left = |notice: &Notice| match notice {
        Notice::Transition(view, Transition::Left) => view.petname.clone(),
        _ => None,
    };
    assert_eq!(mesh.seat(0).notices.iter().find_map(left).as_deref(), Some("Bobby"));
    mesh.input(0, NodeInput::ContactRemoved("Bobby".to_owned()));
    assert_eq!((petname(&mut mesh, who), mesh.node(0).contacts()), (None, Vec::new()));
}

#[test]
fn a_document_that_the_disk_does_not_take_is_published_and_reported() {
    let mut mesh = Mesh::row(2);
    mesh.faults.disk_fails = 1.0;
    let mut document = mesh.node(0).information().clone();
    document.display_name = "Roberta".to_owned();
    mesh.with(0, |node, now| node.handle_set(now, document)).unwrap();
    mesh.run(SECOND);
    assert_eq!(mesh.transitions(1, 0), [Transition::Changed]);
    assert_eq!((mesh.troubles(0), mesh.seat(0).disk.information.as_ref()), (1, None));
}

#[test]
fn a_petname_that_is_put_again_stands_for_the_new_one() {
    let mut mesh = Mesh::row(3);
    for seat in [1, 2] {
        let contact = StoredContact { petname: "Bobby".to_owned(), presentity: mesh.who(seat) };
        mesh.input(0, NodeInput::ContactPut(contact));
    }
    let (one, two) = (mesh.who(1), mesh.who(2));
    assert_eq!((petname(&mut mesh, one), petname(&mut mesh, two).as_deref()), (None, Some("Bobby")));
}

#[test]
fn a_message_that_came_in_is_told_with_its_place_in_the_inbox() {
    let mut mesh = Mesh::row(2);
    for text in ["one", "two"] {
        mesh.send(0, 1, text, false);
        mesh.run(SECOND);
    }
    let told = |notice: &Notice| match notice {
        Notice::Message { stored, cursor } => Some((stored.message.text().unwrap().to_owned(), *cursor)),
        _ => None,
    };
    let messages: Vec<_> = mesh.seat(1).notices.iter().filter_map(told).collect();
    assert_eq!(messages, [("one".to_owned(), 1), ("two".to_owned(), 2)]);
}

#[test]
fn the_same_seed_and_the_same_inputs_give_the_same_run() {
    let run = || {
        let mut mesh = Mesh::row(3);
        mesh.faults.answer_lost = 0.3;
        mesh.faults.gossip_lost = 0.3;
        for number in 0..20 {
            mesh.send(number % 3, (number + 1) % 3, &format!("message {number}"), number % 2 == 0);
            mesh.run(SECOND * 7);
        }
        mesh.kill(1);
        mesh.start(1);
        mesh.link(2, 1);
        mesh.run(SECOND * 300);
        let told = |seat: usize| {
            let seat = mesh.seat(seat);
            format!("{:?}{:?}{:?}{:?}", seat.notices, seat.sent, seat.asked, seat.disk.inbox)
        };
        (0..3).map(told).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
