//! A peer that falls silent, and what others are told of it.

use std::time::Duration;

use super::{super::*, mesh::Mesh};
use crate::{node::ports::ResponseToken, wire::frames::PresenceResponse};

#[test]
fn who_finds_a_peer_silent_and_lost_tells_its_links() {
    let mut mesh = Mesh::row(3);
    let (silent, other) = (mesh.who(0), mesh.who(2));
    let (asked, told) = mesh.with(1, |node, now| {
        let asked = (0..60).find(|second| {
            let now = now + Duration::from_secs(*second);
            // The other gives signs of life.
            node.handle(now, NodeInput::Alive(other));
            node.handle_timeout(now);
            drain(node).contains(&NodeOutput::Disconnect(silent))
        });
        let now = now + Duration::from_secs(60);
        node.handle(now, NodeInput::LinkDown { presentity: silent });
        assert!(!drain(node).iter().any(is_told), "the redial is to tell");
        node.handle(now, NodeInput::Unreachable { presentity: silent, was_linked: true });
        (asked, drain(node).into_iter().find(is_told))
    });
    assert!(asked.is_some(), "it is disconnected");
    let Some(NodeOutput::Request { to, request, .. }) = told else { panic!("nobody was told") };
    assert_eq!(to, other);
    let OutgoingRequest::Presence(PresenceRequest::Exchange { wanted, records }) = request else { panic!() };
    assert!(wanted.is_empty() && records.len() == 1 && records[0].lost);
}

#[test]
fn who_breaks_its_connection_is_lost_and_nobody_told() {
    let mut mesh = Mesh::row(3);
    let gone = mesh.who(0);
    let outputs = mesh.with(1, |node, now| {
        node.handle(now, NodeInput::LinkDown { presentity: gone });
        node.handle(now, NodeInput::Unreachable { presentity: gone, was_linked: true });
        drain(node)
    });
    assert!(!outputs.iter().any(is_told), "its other links broke as well: {outputs:?}");
}

#[test]
fn a_linked_peer_that_is_said_to_be_lost_is_probed_and_stays_present() {
    let mut mesh = Mesh::row(3);
    let (said, from) = (mesh.who(0), mesh.who(2));
    let record = mesh.node(1).record(&said).unwrap().bytes().to_vec();
    let told = ToldRecord { record, elapsed_ms: 9, lost: true };
    let outputs = mesh.with(1, |node, now| {
        let exchange = PresenceRequest::Exchange { wanted: Vec::new(), records: vec![told] };
        let request = OutgoingRequest::Presence(exchange);
        node.handle(now, NodeInput::Request { token: ResponseToken(7), from, request });
        drain(node)
    });
    assert!(outputs.contains(&NodeOutput::Probe(said)), "{outputs:?}");
    let response = Response::Presence(PresenceResponse::Exchanged { records: Vec::new() });
    assert!(outputs.contains(&NodeOutput::Respond { token: ResponseToken(7), response }));
    assert!(mesh.node(1).is_present(&said));
}

fn is_told(output: &NodeOutput) -> bool {
    let NodeOutput::Request { request, .. } = output else { return false };
    matches!(request, OutgoingRequest::Presence(PresenceRequest::Exchange { .. }))
}

fn drain(node: &mut Node) -> Vec<NodeOutput> {
    std::iter::from_fn(|| node.poll_output()).collect()
}
