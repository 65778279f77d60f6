//! A libp2p program of another kind on the same LAN: it announces itself by mDNS as all of them do, speaks
//! identify and ping, and knows nothing of presence.
//!
//! It dials everybody it discovers, once, and keeps connections for as long as the other side does. It
//! prints a line of JSON for each connection made and ended. It is the test program itself, run on a host
//! with the name of the test [`role_foreign_program`].

use std::{collections::BTreeSet, time::Duration};

use futures::StreamExt;
use libp2p::{
    Swarm, SwarmBuilder, identify, mdns, noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, yamux,
};
use serde_json::json;

use crate::lab::{Host, PATIENCE, Running};

/// Starts the program on `host` and waits until it runs.
pub(crate) fn start_on(host: &Host) -> Running {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = host.command(&program.to_string_lossy());
    command.args(["--ignored", "--exact", "foreign::role_foreign_program", "--nocapture"]).env(ROLE, "1");
    command.stdin(std::process::Stdio::null());
    let running = Running::spawn(command, std::path::Path::new("/dev/null"));
    let started = running.lines().wait_for(0, PATIENCE, |line| line["listening"].is_string());
    assert!(started.is_some(), "the foreign program does not start: {:?}", running.lines().all());
    running
}

#[derive(NetworkBehaviour)]
struct Foreign {
    mdns: mdns::tokio::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

#[test]
#[ignore = "a program that other tests run on a host, not a test"]
fn role_foreign_program() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let mut swarm = swarm();
        println!("{}", json!({"own_id": swarm.local_peer_id().to_string()}));
        swarm.listen_on("/ip4/0.0.0.0/tcp/0".parse().expect("an address")).expect("TCP is there");
        let mut dialled = BTreeSet::new();
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => println!("{}", json!({"listening": address})),
                SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                    println!("{}", json!({"connected": peer_id.to_string()}));
                }
                SwarmEvent::ConnectionClosed { peer_id, .. } => {
                    println!("{}", json!({"disconnected": peer_id.to_string()}));
                }
                SwarmEvent::Behaviour(ForeignEvent::Mdns(mdns::Event::Discovered(found))) => {
                    for (peer, address) in found {
                        if dialled.insert(peer) {
                            // It may be there already, or be gone again.
                            let _ = swarm.dial(address);
                        }
                    }
                }
                _ => {}
            }
        }
    });
}

fn swarm() -> Swarm<Foreign> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("Noise can be set up")
        .with_behaviour(|key| {
            Ok(Foreign {
                mdns: mdns::tokio::Behaviour::new(mdns::Config::default(), key.public().to_peer_id())?,
                identify: identify::Behaviour::new(identify::Config::new("/foreign/1".into(), key.public())),
                ping: ping::Behaviour::default(),
            })
        })
        .expect("mDNS can be set up")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build()
}

/// The variable of the environment that turns the test into the program.
const ROLE: &str = "HERE_LAB_FOREIGN";
