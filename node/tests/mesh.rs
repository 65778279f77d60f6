//! The mesh in one process: real swarms over loopback, real databases, no mDNS.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a failure is what a test is for")]

use std::{path::Path, time::Duration};

use futures::StreamExt;
use hereabouts::{
    mesh::{
        self, MeshConfig,
        circuits::{RelaySettings, Relaying},
        clock::BootClock,
        discovery::Lan,
        events::{Event, EventLog, EventStream},
        handle::{MeshHandle, Sent},
        transport,
    },
    storage::sqlite::Database,
};
use hereabouts_protocol::{
    durable::OutboxState,
    identity::{Presentity, Realm},
    message::{
        instant_message::{Delivery, FailureReason},
        outbox::{Draft, Recipient},
    },
    node::NodeLimits,
    overlay::links::NEIGHBOURS,
    presence::{
        information::Basic,
        publication::Publishes,
        record::PresenceRecord,
        service::{ContactState, PresentityView},
    },
};
use libp2p::{Multiaddr, identity::Keypair};
use tokio::task::JoinHandle;

#[tokio::test]
async fn two_nodes_see_each_other_and_what_changes() {
    let home = tempfile::tempdir().unwrap();
    let alice = Running::start(home.path(), 1, "Alice", &[], &[]).await;
    let mut events = alice.handle.events(None);
    let bob = Running::start(home.path(), 2, "Bob", &[alice.address().await], &[]).await;
    until(&mut events, |event| matches!(event, Event::Appeared(view) if view.presentity == bob.who())).await;

    let mut information = bob.handle.own_information().await.unwrap();
    information.tuples[0].status.further.insert("away".parse().unwrap());
    bob.handle.set_information(information.clone()).await.unwrap();
    let changed = until(&mut events, |event| matches!(event, Event::Changed(_))).await;
    let Event::Changed(view) = changed else { unreachable!() };
    assert_eq!(view.information.unwrap().tuples, information.tuples);

    bob.handle.shut_down().await;
    until(&mut events, |event| matches!(event, Event::Left(_))).await;
}

#[tokio::test]
async fn a_message_is_delivered_or_refused_by_the_receivers_node() {
    let home = tempfile::tempdir().unwrap();
    let alice = Running::start(home.path(), 1, "Alice", &[], &[]).await;
    let bob = Running::start(home.path(), 2, "Bob", &[alice.address().await], &[]).await;
    alice.sees(bob.who(), ContactState::Present).await;

    let (id, sent) = alice.handle.send(draft(bob.who(), "Canteen at twelve?", false)).await.unwrap();
    assert_eq!(sent, Sent::Final(Delivery::Delivered));
    let inbox = bob.handle.inbox(0, 10).await.unwrap();
    assert_eq!(inbox.iter().map(|entry| entry.stored.message.id).collect::<Vec<_>>(), [id]);
    assert_eq!(inbox[0].stored.message.text(), Some("Canteen at twelve?"));

    let mut information = bob.handle.own_information().await.unwrap();
    information.tuples[0].status.basic = Basic::Closed;
    bob.handle.set_information(information).await.unwrap();
    let (_, sent) = alice.handle.send(draft(bob.who(), "still there?", false)).await.unwrap();
    assert_eq!(sent, Sent::Final(Delivery::Failed(FailureReason::Closed)));
    assert_eq!(bob.handle.inbox(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_queued_message_goes_out_when_the_recipient_is_back() {
    let home = tempfile::tempdir().unwrap();
    let alice = Running::start(home.path(), 1, "Alice", &[], &[]).await;
    let address = alice.address().await;
    let bob = Running::start(home.path(), 2, "Bob", std::slice::from_ref(&address), &[]).await;
    let who = bob.who();
    alice.sees(who, ContactState::Present).await;
    bob.crash().await;
    alice.sees(who, ContactState::Lost).await;

    let mut events = alice.handle.events(None);
    let (id, sent) = alice.handle.send(draft(who, "are you back?", true)).await.unwrap();
    assert_eq!(sent, Sent::Queued);
    let bob = Running::start(home.path(), 2, "Bob", &[address], &[]).await;
    until(&mut events, |event| {
        matches!(event, Event::Delivery { id: other, state: OutboxState::Delivered, .. } if *other == id)
    })
    .await;
    assert_eq!(bob.handle.inbox(0, 10).await.unwrap().len(), 1);
    alice.sees(who, ContactState::Present).await;
}

#[tokio::test]
async fn a_late_joiner_learns_everything_from_its_first_neighbour() {
    let home = tempfile::tempdir().unwrap();
    let alice = Running::start(home.path(), 1, "Alice", &[], &[]).await;
    let address = alice.address().await;
    let bob = Running::start(home.path(), 2, "Bob", std::slice::from_ref(&address), &[]).await;
    let gone = Running::start(home.path(), 3, "Carol", std::slice::from_ref(&address), &[]).await;
    alice.sees(gone.who(), ContactState::Present).await;
    let carol = gone.who();
    gone.crash().await;
    alice.sees(carol, ContactState::Lost).await;

    let late = Running::start(home.path(), 4, "Dave", &[address], &[]).await;
    late.sees(alice.who(), ContactState::Present).await;
    late.sees(bob.who(), ContactState::Present).await;
    late.sees(carol, ContactState::Lost).await;
}

#[tokio::test]
async fn nodes_of_two_realms_never_mix() {
    let home = tempfile::tempdir().unwrap();
    let alice = Running::start(home.path(), 1, "Alice", &[], &[]).await;
    let address = alice.address().await;
    let other =
        Running::start_in("other", home.path(), 2, "Mallory", std::slice::from_ref(&address), &[]).await;
    let bob = Running::start(home.path(), 3, "Bob", &[address], &[]).await;
    alice.sees(bob.who(), ContactState::Present).await;
    bob.sees(alice.who(), ContactState::Present).await;
    let names = |views: Vec<PresentityView>| views.len();
    assert_eq!(names(alice.handle.presentities().await.unwrap()), 2);
    assert_eq!(names(other.handle.presentities().await.unwrap()), 1);
}

#[tokio::test]
async fn a_reservation_is_renewed_and_whoever_is_behind_a_relay_stays_present_when_a_circuit_is_cut() {
    let home = tempfile::tempdir().unwrap();
    let [reservation_time, circuit_time] = [Duration::from_secs(4), Duration::from_secs(1)];
    let serves = RelaySettings { reservation_time, circuit_time, ..RelaySettings::default() };
    let peter = Running::relay(home.path(), 1, serves).await;
    let bob = Running::behind(&peter.address().await, home.path(), 2, "Bob").await;
    let alice = Running::start(home.path(), 3, "Alice", &[peter.address().await], &[]).await;
    let mut events = alice.handle.events(None);
    alice.reaches(&bob).await;
    // Each circuit is cut meanwhile, and the last is made after the first reservation is over.
    for text in ["one", "two", "three", "four"] {
        let (_, sent) = alice.handle.send(draft(bob.who(), text, false)).await.unwrap();
        assert_eq!(sent, Sent::Final(Delivery::Delivered), "{text}");
        tokio::time::sleep(Duration::from_millis(1800)).await;
    }
    assert_eq!(bob.handle.overview().await.unwrap().relayed_by, [peter.who().peer_id()]);
    alice.handle.shut_down().await;
    while let Some(logged) = events.next().await {
        let is_bob = |view: &PresentityView| view.presentity == bob.who();
        assert!(!matches!(&logged.event, Event::Lost(view) | Event::Left(view) if is_bob(view)));
    }
}

#[tokio::test]
async fn a_circuit_with_too_much_in_it_is_cut_and_the_next_one_works() {
    let home = tempfile::tempdir().unwrap();
    let serves = RelaySettings { circuit_bytes: 12 * 1024, ..RelaySettings::default() };
    let peter = Running::relay(home.path(), 1, serves).await;
    let bob = Running::behind(&peter.address().await, home.path(), 2, "Bob").await;
    let alice = Running::start(home.path(), 3, "Alice", &[peter.address().await], &[]).await;
    alice.reaches(&bob).await;
    let (_, sent) = alice.handle.send(draft(bob.who(), &"x".repeat(16 * 1024), false)).await.unwrap();
    assert_eq!(sent, Sent::Final(Delivery::Indeterminate));
    let (_, sent) = alice.handle.send(draft(bob.who(), "less", false)).await.unwrap();
    assert_eq!(sent, Sent::Final(Delivery::Delivered));
    alice.sees(bob.who(), ContactState::Present).await;
}

#[tokio::test]
async fn a_relay_that_is_full_says_so_to_whoever_asks_for_a_reservation() {
    let home = tempfile::tempdir().unwrap();
    let peter =
        Running::relay(home.path(), 1, RelaySettings { reservations: 0, ..RelaySettings::default() }).await;
    let bob = Running::behind(&peter.address().await, home.path(), 2, "Bob").await;
    let refused =
        until(&mut bob.handle.events(None), |event| matches!(event, Event::NotRelayed { .. })).await;
    let Event::NotRelayed { relay, why } = refused else { unreachable!() };
    assert_eq!(relay, peter.who());
    assert!(why.contains("limit"), "{why}");
    assert!(bob.handle.overview().await.unwrap().relayed_by.is_empty());
}

struct Running {
    handle: MeshHandle,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(home: &Path, number: u8, name: &str, peers: &[Multiaddr], listen: &[Multiaddr]) -> Self {
        Self::start_in("lan", home, number, name, peers, listen).await
    }

    async fn start_in(
        realm: &str,
        home: &Path,
        number: u8,
        name: &str,
        peers: &[Multiaddr],
        listen: &[Multiaddr],
    ) -> Self {
        Self::start_with(realm, home, number, name, peers, listen, Relaying::default()).await
    }

    /// One that is reached through the relay there only.
    async fn behind(relay: &Multiaddr, home: &Path, number: u8, name: &str) -> Self {
        let by = vec![relay.try_into().unwrap()];
        let relaying = Relaying { by, only: true, ..Relaying::default() };
        Self::start_with("lan", home, number, name, &[], &[], relaying).await
    }

    async fn relay(home: &Path, number: u8, serves: RelaySettings) -> Self {
        let relaying = Relaying { serves: Some(serves), ..Relaying::default() };
        Self::start_with("lan", home, number, "Peter", &[], &[], relaying).await
    }

    async fn start_with(
        realm: &str,
        home: &Path,
        number: u8,
        name: &str,
        peers: &[Multiaddr],
        listen: &[Multiaddr],
        relaying: Relaying,
    ) -> Self {
        let key = Keypair::ed25519_from_bytes([number; 32]).unwrap();
        let (storage, restored) = Database::open(&home.join(format!("{number}.db"))).unwrap();
        let (transport, circuits) = transport::lan_with_circuits(&key).unwrap();
        let loopback = ["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        let config = MeshConfig {
            transport,
            reach: transport::lan_reach(),
            relaying: Relaying { circuits: Some(circuits), ..relaying },
            key,
            realm: realm.parse::<Realm>().unwrap(),
            display_name: Some(name.to_owned()),
            listen: if listen.is_empty() { loopback.to_vec() } else { listen.to_vec() },
            peers: peers.iter().map(|peer| peer.try_into().unwrap()).collect(),
            discovery: Lan::off(),
            spawner: Box::new(|task| drop(tokio::spawn(task))),
            storage,
            restored,
            clock: BootClock::start(),
            seed: [number; 32],
            limits: NodeLimits::default(),
            neighbours: NEIGHBOURS,
            gossip: mesh::gossip::GossipSettings::default(),
            publishes: Publishes::Changes,
            keeps_inbox: true,
            serves_cache: true,
            verify: PresenceRecord::verify,
            events: EventLog::default(),
        };
        let (handle, node) = mesh::start(config).await.unwrap();
        Self { handle, task: tokio::spawn(node) }
    }

    fn who(&self) -> Presentity {
        self.handle.presentity
    }

    /// Ends as a crash does: nothing is said, the connections break.
    async fn crash(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    async fn address(&self) -> Multiaddr {
        condition(async || self.handle.overview().await.unwrap().listen.into_iter().next()).await
    }

    /// Waits until it can ask one who is behind a relay.
    async fn reaches(&self, other: &Self) {
        condition(async || {
            let fetched = self.handle.fetch(other.who()).await;
            fetched.is_ok_and(|fetched| fetched.direct).then_some(())
        })
        .await;
    }

    async fn sees(&self, who: Presentity, state: ContactState) {
        condition(async || {
            let views = self.handle.presentities().await.unwrap();
            views.into_iter().find(|view| view.presentity == who && view.contact.state == state)
        })
        .await;
    }
}

fn draft(to: Presentity, text: &str, queue: bool) -> Draft {
    Draft {
        to: Recipient::Presentity(to),
        body: text.into(),
        content_type: "text/plain; charset=utf-8".to_owned(),
        language: None,
        thread: None,
        reply_to: None,
        extensions: Default::default(),
        queue,
        lifetime: Duration::from_secs(3600),
    }
}

async fn until(events: &mut EventStream, mut wanted: impl FnMut(&Event) -> bool) -> Event {
    let found = async {
        loop {
            let event = events.next().await.expect("the mesh runs").event;
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(BOUND, found).await.expect("the event came within the bound")
}

async fn condition<T>(mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let held = async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, held).await.expect("the condition held within the bound")
}

const BOUND: Duration = Duration::from_secs(15);
