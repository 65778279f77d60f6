//! The Unix socket: made for its owner alone, removed at the end.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use axum::serve::Listener;
use tokio::net::{UnixListener, UnixStream, unix::SocketAddr};

/// A socket that listens and is not served yet. Dropped, it is removed.
#[derive(Debug)]
pub struct ApiSocket {
    listener: OwnerListener,
    file: SocketFile,
}

impl ApiSocket {
    /// Makes the socket with mode 0600, in place of a stale one. The caller holds the lock of the directory
    /// for as long as the socket lives, so that no other node can be listening on it.
    ///
    /// # Errors
    /// If the path is too long for a socket, is taken by something that is none, or cannot be written.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let bytes = path.as_os_str().len();
        if bytes > PATH_BYTES_MAX {
            let message = format!(
                "the path of the socket, {}, is {bytes} bytes, and at most {PATH_BYTES_MAX} are allowed; \
                 choose a shorter home directory",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        remove_stale(&path)?;
        let listener = UnixListener::bind(&path)?;
        let file = SocketFile { path };
        fs::set_permissions(&file.path, Permissions::from_mode(0o600))?;
        let owner = fs::metadata(&file.path)?.uid();
        Ok(Self { listener: OwnerListener { listener, owner }, file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    pub(super) fn into_parts(self) -> (OwnerListener, SocketFile) {
        (self.listener, self.file)
    }
}

/// The socket's place in the file system. Dropped, it is removed.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket could not be removed");
        }
    }
}

/// Takes connections of its owner and of root.
#[derive(Debug)]
pub(super) struct OwnerListener {
    listener: UnixListener,
    owner: u32,
}

impl Listener for OwnerListener {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            match stream.peer_cred() {
                Ok(credentials) if may_enter(credentials.uid(), self.owner) => return (stream, address),
                Ok(credentials) => tracing::warn!(uid = credentials.uid(), "hung up on another user"),
                Err(error) => tracing::warn!(%error, "hung up on a peer without credentials"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn may_enter(uid: u32, owner: u32) -> bool {
    const ROOT: u32 = 0;
    uid == owner || uid == ROOT
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => {
            let message = format!("{} is in the way and is no socket; move it elsewhere", path.display());
            Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
        }
    }
}

/// Bytes of a socket's path on Linux: `sun_path` holds 108 with the final zero.
const PATH_BYTES_MAX: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_its_owners_alone_and_goes_when_dropped() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("here.sock");
        let socket = ApiSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_another_file_is_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("here.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(ApiSocket::bind(&path).unwrap());
        fs::write(&path, "a letter").unwrap();
        assert_eq!(ApiSocket::bind(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"a letter");
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_is_refused_with_its_length() {
        let error = ApiSocket::bind(format!("/{}", "x".repeat(107))).unwrap_err();
        assert!(error.to_string().contains("108 bytes"), "{error}");
    }

    #[test]
    fn only_the_owner_and_root_may_enter() {
        assert!(may_enter(1000, 1000));
        assert!(may_enter(0, 1000));
        assert!(!may_enter(1001, 1000));
        assert!(!may_enter(1000, 0));
    }
}
