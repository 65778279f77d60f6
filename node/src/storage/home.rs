//! The node's directory: who this node is, and the claim that only one node uses it.
//!
//! ```text
//! identity.key   the Ed25519 key, in libp2p's protobuf encoding of a keypair; mode 0600
//! node.db        the store (and node.db-wal, node.db-shm while a node runs); mode 0600
//! here.sock      the local API; made by it
//! lock           locked while a node runs, holds its process id
//! as/NAME/       the same of a further node of the same PRINCIPAL
//! ```
//!
//! The key is a file of its own so that the store can be copied and looked into without giving it away. It is
//! made on the first start and never written again: not when it is unreadable, and not when it is gone while
//! the store is there, since a new key is a new PRESENTITY, which is for the PRINCIPAL to decide.
//!
//! In order: [`Home::open`] makes the directory (mode 0700) or checks that it is closed to others, and locks
//! it; [`Home::key`] reads or makes the key. Nothing is made safe behind the PRINCIPAL's back: what others
//! could already read is refused, with the command that closes it. The lock is the kernel's, so it ends with
//! the process however that ends, and needs no cleaning up.
//!
//! The socket's path must fit the kernel's address of a Unix socket, [`SOCKET_PATH_BYTES_MAX`] bytes; a
//! longer home is refused at the start rather than when the first client cannot connect.

#[cfg(test)]
mod tests;

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process,
};

use etcetera::base_strategy::{BaseStrategy, Xdg};
use hereabouts_protocol::presence::information::Token;
use libp2p::identity::{KeyType, Keypair};
use thiserror::Error;

/// A node's directory, locked for this process until this is dropped.
#[derive(Debug)]
pub struct Home {
    directory: PathBuf,
    socket_path: PathBuf,
    /// Never used, but held: the lock is released when the file is closed.
    _lock: File,
}

impl Home {
    /// `hereabouts` in the XDG state directory, which is `~/.local/state` unless `XDG_STATE_HOME` is set.
    ///
    /// # Errors
    /// [`HomeError::NoDefault`].
    pub fn default_dir() -> Result<PathBuf, HomeError> {
        let xdg = Xdg::new().map_err(|_| HomeError::NoDefault)?;
        Ok(xdg.state_dir().ok_or(HomeError::NoDefault)?.join("hereabouts"))
    }

    /// Makes the directory and its parents (mode 0700) or checks its mode, and locks it.
    ///
    /// # Errors
    /// If another node uses it, others may look into it, or it cannot be made or locked. Apart from
    /// directories that were made, nothing changed.
    pub fn open(directory: &Path) -> Result<Self, HomeError> {
        let directory = absolute(directory)?;
        let socket_path = socket_path(&directory)?;
        make_or_check(&directory)?;
        let lock = lock(&directory)?;
        Ok(Self { directory, socket_path, _lock: lock })
    }

    /// The directory, as an absolute path.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the store is.
    pub fn database_path(&self) -> PathBuf {
        self.directory.join("node.db")
    }

    /// Where the local API listens. See [`socket_path`].
    pub fn socket_path(&self) -> &Path {
        &self.socket_path
    }

    /// This node's key, made on the first start. Blocks for some fsyncs when it makes one.
    ///
    /// # Errors
    /// If there is a key file that cannot be used, or none although there is a store; neither is touched.
    pub fn key(&self) -> Result<Keypair, KeyError> {
        let path = self.directory.join(KEY_FILE);
        match File::open(&path) {
            Ok(file) => read_key(file, path),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let database = self.database_path();
                if database.exists() {
                    return Err(KeyError::Missing { path, database });
                }
                make_key(&self.directory, &path).map_err(|detail| KeyError::NotMade { path, detail })
            }
            Err(detail) => Err(KeyError::NotRead { path, detail }),
        }
    }
}

/// Where the node of `directory` serves the local API. Whether one runs there is not looked at.
///
/// # Errors
/// [`HomeError::SocketPathTooLong`]; [`HomeError::NotMade`] if the current directory is gone.
pub fn socket_path(directory: &Path) -> Result<PathBuf, HomeError> {
    let path = absolute(directory)?.join("here.sock");
    let bytes = path.as_os_str().as_bytes().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        return Err(HomeError::SocketPathTooLong { path, bytes });
    }
    Ok(path)
}

/// Where a PRINCIPAL with several nodes in one directory keeps the one of this name.
pub fn own_dir(directory: &Path, name: &Token) -> PathBuf {
    directory.join(OWN_DIRECTORIES).join(name.as_str())
}

/// The names of those that there are, in their order.
///
/// # Errors
/// If the directory cannot be read; one that is not there holds none.
pub fn own_names(directory: &Path) -> io::Result<Vec<Token>> {
    let entries = match fs::read_dir(directory.join(OWN_DIRECTORIES)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // What else lies there is not this program's.
        names.extend(entry?.file_name().to_str().and_then(|name| name.parse().ok()));
    }
    names.sort();
    Ok(names)
}

/// Whether a node was ever started in `directory`.
pub fn is_home(directory: &Path) -> bool {
    directory.join(KEY_FILE).exists()
}

fn absolute(directory: &Path) -> Result<PathBuf, HomeError> {
    std::path::absolute(directory)
        .map_err(|detail| HomeError::NotMade { directory: directory.to_owned(), detail })
}

fn make_or_check(directory: &Path) -> Result<(), HomeError> {
    match make(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => (),
        Err(detail) => return Err(HomeError::NotMade { directory: directory.to_owned(), detail }),
    }
    let metadata = fs::metadata(directory)
        .map_err(|detail| HomeError::NotMade { directory: directory.to_owned(), detail })?;
    if !metadata.is_dir() {
        return Err(HomeError::NotADirectory { directory: directory.to_owned() });
    }
    if is_exposed(metadata.permissions().mode()) {
        return Err(HomeError::Exposed { directory: directory.to_owned() });
    }
    Ok(())
}

fn make(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.mode(DIRECTORY_MODE);
    let parent = directory.parent().ok_or(ErrorKind::AlreadyExists)?;
    builder.recursive(true).create(parent)?;
    builder.recursive(false).create(directory)?;
    // Whatever the umask took away.
    fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))?;
    match sync_directory(parent) {
        // One may be allowed to add to a directory that one may not read, and only who reads may sync.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

fn lock(directory: &Path) -> Result<File, HomeError> {
    let failed = |detail| HomeError::NotLocked { directory: directory.to_owned(), detail };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(directory.join("lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => (),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(failed)?;
            return Err(HomeError::AlreadyRunning {
                directory: directory.to_owned(),
                pid: text.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(detail)) => return Err(failed(detail)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", process::id())
    };
    write(&mut file).map_err(failed)?;
    Ok(file)
}

fn read_key(file: File, path: PathBuf) -> Result<Keypair, KeyError> {
    let read = |file: File| {
        let mode = file.metadata()?.permissions().mode();
        let mut bytes = Vec::new();
        file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok((mode, bytes))
    };
    let (mode, bytes) = match read(file) {
        Ok(read) => read,
        Err(detail) => return Err(KeyError::NotRead { path, detail }),
    };
    if is_exposed(mode) {
        return Err(KeyError::Exposed { path });
    }
    // What encodes to other bytes has something in it that we would not see.
    Keypair::from_protobuf_encoding(&bytes)
        .ok()
        .filter(|key| key.key_type() == KeyType::Ed25519)
        .filter(|key| key.to_protobuf_encoding().is_ok_and(|encoded| encoded == bytes))
        .ok_or(KeyError::Unusable { path })
}

fn make_key(directory: &Path, path: &Path) -> io::Result<Keypair> {
    let key = Keypair::generate_ed25519();
    let bytes = key.to_protobuf_encoding().map_err(io::Error::other)?;
    let mut file = tempfile::Builder::new()
        .prefix(".identity.key.")
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(directory)?;
    file.write_all(&bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    sync_directory(directory)?;
    Ok(key)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Whether anybody but the owner has any right.
fn is_exposed(mode: u32) -> bool {
    mode & 0o077 != 0
}

/// A directory that cannot be a node's home.
#[derive(Debug, Error)]
pub enum HomeError {
    /// Nothing says where people's state belongs.
    #[error("neither HOME nor XDG_STATE_HOME is set; say where the node's files belong with --home DIR")]
    NoDefault,
    /// The kernel could not address the socket.
    #[error(
        "the path {} is {bytes} bytes long, and a socket's may be {SOCKET_PATH_BYTES_MAX} at most; \
         choose a shorter one with --home DIR",
        path.display()
    )]
    SocketPathTooLong {
        /// The socket's path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// It could not be made, or its parents could not.
    #[error(
        "the directory {} cannot be made ({detail}); make it yourself, or choose another with --home DIR",
        directory.display()
    )]
    NotMade {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        detail: io::Error,
    },
    /// There is something else of this name.
    #[error("{} is not a directory; choose another with --home DIR", directory.display())]
    NotADirectory {
        /// The path.
        directory: PathBuf,
    },
    /// Its mode lets others in. It may have been read already.
    #[error(
        "others can look into {}; close it with: chmod 700 '{}'",
        directory.display(), directory.display()
    )]
    Exposed {
        /// The directory.
        directory: PathBuf,
    },
    /// Another process holds the lock.
    #[error(
        "a node runs in {} already{}; end it with `here down`, or choose another directory with --home DIR",
        directory.display(),
        pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
    )]
    AlreadyRunning {
        /// The directory.
        directory: PathBuf,
        /// Its process; none if it had not written it yet.
        pid: Option<u32>,
    },
    /// The lock file could not be made, locked or written.
    #[error(
        "the file lock in {} cannot be used ({detail}); check that the directory is yours and on a writable \
         disk, or choose another with --home DIR",
        directory.display()
    )]
    NotLocked {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        detail: io::Error,
    },
}

/// A key that cannot be had. No file was changed.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file's mode lets others read it. They may have done so already.
    #[error(
        "others can read the key {}; close it with: chmod 600 '{}'",
        path.display(), path.display()
    )]
    Exposed {
        /// The key file.
        path: PathBuf,
    },
    /// The file holds something else than an Ed25519 keypair in libp2p's encoding.
    #[error(
        "{} holds no usable key and was left as it is; put a copy in its place, or move it and node.db away \
         to start anew as somebody else",
        path.display()
    )]
    Unusable {
        /// The key file.
        path: PathBuf,
    },
    /// There is a store but no key, so this is not the first start.
    #[error(
        "the key {} is gone; put a copy in its place, or move {} away to start anew as somebody else",
        path.display(), database.display()
    )]
    Missing {
        /// Where the key was.
        path: PathBuf,
        /// The store.
        database: PathBuf,
    },
    /// The file could not be read.
    #[error("the key {} cannot be read ({detail}); check that it belongs to you", path.display())]
    NotRead {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        detail: io::Error,
    },
    /// The file could not be written.
    #[error(
        "the key {} cannot be written ({detail}); check that its disk is writable and not full",
        path.display()
    )]
    NotMade {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        detail: io::Error,
    },
}

/// Bytes of a Unix socket's path on Linux: 108 in `sockaddr_un` (unix(7)), one of which ends it.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

const KEY_FILE: &str = "identity.key";
const OWN_DIRECTORIES: &str = "as";
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// A keypair takes 68 bytes. What is longer than this is none, and is not read to its end.
const KEY_FILE_BYTES_MAX: u64 = 1024;
