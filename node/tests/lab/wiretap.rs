//! A TCP link that keeps a copy of all that passes, and changes it when it is told to.
//!
//! With it a test shows what somebody on the way learns of a message and can do to it. It passes bytes both
//! ways at once, and knows nothing of what they mean.
//!
//! Limits: it keeps everything, for one test is short.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::lab::PATIENCE;

/// The link. Its threads end with the connections, and these with the nodes.
#[derive(Debug)]
pub(crate) struct Wiretap {
    address: SocketAddr,
    tapped: Tapped,
}

/// What is shared with the threads that carry the bytes.
#[derive(Clone, Debug, Default)]
struct Tapped(Arc<(Mutex<Heard>, Condvar)>);

#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    changes: bool,
    ends_after_changes: usize,
}

impl Wiretap {
    /// A link to `target`.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let tapped = Tapped::default();
        let of_thread = tapped.clone();
        // Ends with the process of the test.
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let Ok(far) = TcpStream::connect(target) else { continue };
                let clones = [&near, &far].map(|stream| stream.try_clone().expect("a socket can be cloned"));
                let [near_too, far_too] = clones;
                of_thread.carry(near_too, far_too);
                of_thread.carry(far, near);
            }
        });
        Self { address, tapped }
    }

    /// Where to dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All bytes that have passed, of both directions.
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.tapped.heard().bytes.clone()
    }

    /// From now on one bit of all that passes at a time is another one.
    pub(crate) fn change_what_passes(&self) {
        self.tapped.heard().changes = true;
    }

    /// Waits until a connection has ended since changes were made. Whether one has, in time.
    pub(crate) fn wait_end(&self) -> bool {
        let goes_on = |heard: &mut Heard| heard.ends_after_changes == 0;
        let waited = self.tapped.0.1.wait_timeout_while(self.tapped.heard(), PATIENCE, goes_on);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Tapped {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries bytes one way, in a thread that ends with the streams.
    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let this = self.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(length @ 1..) = from.read(&mut bytes) {
                let chunk = bytes.get_mut(..length).unwrap_or_default();
                let mut heard = this.heard();
                heard.bytes.extend_from_slice(chunk);
                if let (true, Some(last)) = (heard.changes, chunk.last_mut()) {
                    *last ^= 1;
                }
                drop(heard);
                if to.write_all(chunk).is_err() {
                    break;
                }
            }
            // The end of one side is the end of the other; it may have ended already.
            let _ = to.shutdown(Shutdown::Both);
            let mut heard = this.heard();
            heard.ends_after_changes += usize::from(heard.changes);
            this.0.1.notify_all();
        });
    }
}
