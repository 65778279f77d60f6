//! A program that speaks and listens on a multicast group: the proof that a laboratory's segments work.
//!
//! It is the test program itself, run on a host with the name of the test [`role_telephone`].

use std::{
    io::{BufRead, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    process::{ChildStdin, Stdio},
    time::Duration,
};

use crate::lab::{Host, PATIENCE, Running};

/// A program on a host that prints what it hears on the group.
#[derive(Debug)]
pub(crate) struct Telephone {
    running: Running,
    stdin: ChildStdin,
    _directory: tempfile::TempDir,
}

impl Telephone {
    /// Joins `group` on the first interface of `host`.
    pub(crate) fn on(host: &Host, group: IpAddr) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = host.command(&program.to_string_lossy());
        command.args(["--ignored", "--exact", "telephone::role_telephone", "--nocapture"]);
        command.env(ROLE, group.to_string()).stdin(Stdio::piped());
        let mut running = Running::spawn(command, &directory.path().join("telephone.log"));
        let stdin = running.stdin().expect("standard input is piped");
        let ready = running.lines().wait_for(0, PATIENCE, |line| line == "listening");
        assert!(ready.is_some(), "{:?} {}", running.lines().all(), running.complaints());
        Self { running, stdin, _directory: directory }
    }

    /// Says `text` to the group again and again until `other` has heard it. Whether it has, in time.
    pub(crate) fn say_until_heard(&mut self, text: &str, other: &Self) -> bool {
        let tries = PATIENCE.as_millis() / SAY_AGAIN.as_millis();
        (0..tries).any(|_| {
            writeln!(self.stdin, "{text}").expect("the telephone runs");
            other.running.lines().wait_for(0, SAY_AGAIN, |line| *line == heard(text)).is_some()
        })
    }

    /// Whether `text` has been heard until now.
    pub(crate) fn has_heard(&self, text: &str) -> bool {
        self.running.lines().all().contains(&heard(text).into())
    }
}

/// The IPv4 group of the tests; an organisation-local address of RFC 2365.
pub(crate) const GROUP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 192, 77, 77));

/// The IPv6 group of the tests, of site-local scope, so that the address needs no interface.
pub(crate) const GROUP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x77));

#[test]
#[ignore = "a program that other tests run on a host, not a test"]
fn role_telephone() {
    let Ok(group) = std::env::var(ROLE) else { return };
    let group: IpAddr = group.parse().expect("the role is an address");
    let (socket, speaker) = match group {
        IpAddr::V4(group) => {
            let own = own_address_v4();
            let socket =
                UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("the port is free on a new host");
            socket.join_multicast_v4(&group, &own).expect("the host has an interface");
            // There is no route to the group; the address that it is sent from tells the kernel the
            // interface.
            (socket, UdpSocket::bind((own, 0)).expect("the host has this address"))
        }
        IpAddr::V6(group) => {
            let socket =
                UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORT)).expect("the port is free on a new host");
            socket.join_multicast_v6(&group, 0).expect("the host has an interface");
            let speaker = socket.try_clone().expect("a socket can be cloned");
            (socket, speaker)
        }
    };
    std::thread::spawn(move || {
        let mut bytes = [0; 1500];
        while let Ok((length, _)) = socket.recv_from(&mut bytes) {
            let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned();
            println!("{}", heard(&text));
        }
    });
    println!("listening");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        // Without a carrier there may be no route; saying it again is up to the caller.
        let _ = speaker.send_to(line.as_bytes(), SocketAddr::new(group, PORT));
    }
}

/// The address of `eth0`, the only one of the laboratory's network.
fn own_address_v4() -> Ipv4Addr {
    let table = std::fs::read_to_string("/proc/net/fib_trie").expect("IPv4 is there");
    let addresses = table.lines().filter_map(|line| line.trim().strip_prefix("|-- ")?.parse().ok());
    let mut own = addresses.filter(|address: &Ipv4Addr| address.octets().starts_with(&[10, 77]));
    own.find(|address| !matches!(address.octets().last(), Some(0 | 255))).expect("the host has an address")
}

fn heard(text: &str) -> String {
    format!("heard: {text}")
}

/// The variable of the environment that turns the test into the program.
const ROLE: &str = "HERE_LAB_TELEPHONE";

const PORT: u16 = 7777;

const SAY_AGAIN: Duration = Duration::from_millis(50);
