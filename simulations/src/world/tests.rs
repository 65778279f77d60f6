//! What no scenario can say, since its faults begin when everybody knows everybody.

use std::thread;

use super::*;

/// Runs `test` on a thread of its own with `nodes` nodes that start within a second and find each other by
/// announcements.
fn with_world(nodes: usize, test: impl FnOnce(World) + Send + 'static) {
    let text = format!("name = \"test\"\nsummary = \"a test\"\nnodes = {nodes}\n[join]\nwithin = \"1s\"\n");
    let scenario = Scenario::parse("test.toml", &text).expect("it is a scenario");
    let run = move || test(World::new(Hardware::default(), &scenario, &Options::default()));
    let thread =
        thread::Builder::new().stack_size(STACK_BYTES).spawn(run).expect("the system gives a thread");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn two_meshes_that_never_met_find_each_other_when_their_segments_are_joined() {
    const HALF: usize = 60;
    const SECOND: u64 = 1_000_000_000;
    with_world(2 * HALF, |mut world| {
        world.begin_phase(0, "join");
        let apart: Vec<_> = world.nodes.iter().take(HALF).map(|node| node.host).collect();
        world.network.set_partition(&apart, 1);
        let halves = u64::try_from(2 * HALF * HALF).expect("it is small");
        let within = world.advance_until(10 * SECOND, |world| {
            now() >= world.last_start && world.oracles.disagreeing() == halves
        });
        assert!(within, "{} pairs disagree, of the two halves {halves}", world.oracles.disagreeing());
        // Long enough that nobody asks on its own because it just started.
        world.advance_until(100 * SECOND, |_| false);
        assert_eq!(world.oracles.disagreeing(), halves);
        world.network.set_partition(&apart, 0);
        // mDNS asks every five minutes; then a stranger is waited for, and dialled.
        let joined = world.advance_until(now() + 320 * SECOND, |world| world.oracles.disagreeing() == 0);
        assert!(joined, "{} pairs disagree", world.oracles.disagreeing());
    });
}
