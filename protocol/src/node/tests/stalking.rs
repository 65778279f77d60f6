//! STALKING (RFC 2778 section 4): what one who is not let can infer of a PRESENTITY by listening and asking.

use std::{collections::BTreeMap, time::Duration};

use super::{
    access::{block, listen, rule, rule_for, shows_note, watch},
    mesh::Mesh,
};
use crate::{
    identity::Realm,
    node::{FetchOutcome, Node},
    presence::{
        access_rules::{Audience, Handling},
        information::{Note, PresenceInformation},
        publication::Publishes,
        record::PresenceRecord,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn one_who_is_not_let_and_listens_for_an_hour_cannot_tell_changes_from_silence() {
    const RHYTHM: Duration = MINUTE;
    // What node 3 is sent of node 1's records in an hour, by the second, and what it is answered.
    let hour = |changes: bool| {
        let mut mesh = Mesh::stopped(4);
        mesh.seat_mut(1).publishes = Publishes::Rhythm(RHYTHM);
        (0..4).for_each(|seat| mesh.start(seat));
        mesh.run(SECOND);
        [0, 2, 3].into_iter().for_each(|seat| mesh.link(seat, 1));
        mesh.link(2, 3);
        rule(&mut mesh, Audience::Anybody, block());
        rule_for(&mut mesh, 3, Handling::Block);
        watch(&mut mesh, 0);
        mesh.run(2 * MINUTE);
        listen(&mut mesh, 3);
        let (mut sent, mut answers) = (BTreeMap::new(), Vec::new());
        for second in 0..3600_u64 {
            if changes && second % 97 == 0 {
                mesh.with(1, |node, now| node.handle_set(now, noted(node, second))).unwrap();
            }
            if second % 600 == 0 {
                let who = mesh.who(1);
                answers.push(mesh.with(3, |node, now| node.handle_fetch(now, who)));
            }
            mesh.run(SECOND);
            let who = mesh.who(1);
            for bytes in mesh.seat_mut(3).heard.as_mut().expect("it listens").drain(..) {
                if let Ok(record) = PresenceRecord::verify(&bytes, &Realm::default())
                    && record.presentity() == who
                {
                    sent.entry(record.version()).or_insert((second, bytes.len()));
                }
            }
        }
        let note = shows_note(&mesh, 0);
        let answers: Vec<_> = answers.iter().map(|token| mesh.seat(3).fetched[token]).collect();
        (sent, answers, note)
    };
    let (changed, quiet) = (hour(true), hour(false));
    assert_eq!(
        (changed.2.as_deref(), quiet.2),
        (Some("at second 3589"), None),
        "who is let sees the last one"
    );
    assert_eq!((&changed.0, &changed.1), (&quiet.0, &quiet.1));
    assert_eq!(changed.0.len(), 60, "one each minute");
    assert!(changed.1.iter().all(|answer| *answer == FetchOutcome::Refused));
}

/// The document of a node with a note of a few words.
fn noted(node: &Node, second: u64) -> PresenceInformation {
    let mut document = node.information().clone();
    document.markup.note = Some(Note { text: format!("at second {second}"), language: None });
    document
}
