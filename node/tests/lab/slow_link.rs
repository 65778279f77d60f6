//! A TCP link whose answers take their time, and which can be cut with answers still on it.
//!
//! With it a test makes certain what is otherwise a matter of luck: that a message is stored and its answer
//! is lost. It passes bytes from the dialling side at once, and those of the listening side after a delay.
//! It knows nothing of what they mean (they are encrypted).
//!
//! Limits: the bytes under way are bounded by [`CHUNKS_MAX`] reads; beyond, the link takes no more for a
//! while.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

/// The link; cut when dropped.
#[derive(Debug)]
pub(crate) struct SlowLink {
    address: SocketAddr,
    open: Arc<Mutex<Option<Vec<TcpStream>>>>,
}

impl SlowLink {
    /// A link to `target` whose answers are delayed by `delay`.
    pub(crate) fn to(target: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let open = Arc::new(Mutex::new(Some(Vec::new())));
        let of_thread = Arc::clone(&open);
        // Ends at the first connection after the cut, which `cut` itself makes.
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let mut open = of_thread.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(streams) = open.as_mut() else { return };
                let Ok(far) = TcpStream::connect(target) else { continue };
                let clones = [&near, &far].map(|stream| stream.try_clone().expect("a socket can be cloned"));
                let [near_too, far_too] = clones;
                streams
                    .extend([&near, &far].map(|stream| stream.try_clone().expect("a socket can be cloned")));
                carry(near_too, far_too, Duration::ZERO);
                carry(far, near, delay);
            }
        });
        Self { address, open }
    }

    /// Where to dial.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, with what is on them, and accepts no more.
    pub(crate) fn cut(&self) {
        let streams = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        for stream in streams.into_iter().flatten() {
            // An error means that it has ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.address);
    }
}

impl Drop for SlowLink {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Carries bytes one way, in two threads that end with the streams.
fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, under_way) = mpsc::sync_channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    std::thread::spawn(move || {
        let mut bytes = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            let chunk = bytes.get(..length).unwrap_or_default().to_vec();
            if sender.send((Instant::now() + delay, chunk)).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, chunk) in under_way {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&chunk).is_err() {
                break;
            }
        }
        // The end of one side is the end of the other; it may have ended already.
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Chunks under way in one direction.
const CHUNKS_MAX: usize = 1024;
