//! Opening the file: is it ours, can this build read it, and what does it hold?
//!
//! A file that is refused is left as it was, to the byte: what is no SQLite file is not given to SQLite at
//! all, and a write-ahead log that a crash left behind is not moved into the file before the file is
//! accepted. Nothing is ever deleted or started over; that is for people to decide, so each error names the
//! file and says what to do.
//!
//! In order: create the file if there is none (mode 0600, which SQLite gives to its `-wal` and `-shm` files
//! too), look at its first bytes, ask for application id and schema version, migrate, read the state.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use hereabouts_protocol::durable::Restored;
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use thiserror::Error;

use super::{
    Limits,
    failure::{explain, explain_io},
    reader, schema,
};
use crate::storage::StorageError;

/// A store that cannot be opened. The file is as it was, but for a new one that may be left empty.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The file holds something else than an SQLite database.
    #[error(
        "{} is not a database and was left as it is; move it away to start with an empty store",
        path.display()
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is an SQLite database of another program.
    #[error(
        "{} is the database of another program and was left as it is; move it away to start with an empty \
         store",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer build wrote the file.
    #[error(
        "{} was written by a newer version of this program (schema {found}, this one knows {known}) and was \
         left as it is; install that version, or use another home",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest that this build knows.
        known: u32,
    },
    /// The file system lacks what a write-ahead log needs (shared memory and locks), as some network ones do.
    #[error("the file system of {} cannot hold the store; use a home on a local disk", path.display())]
    FileSystem {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be created, read or written.
    #[error(transparent)]
    Storage(StorageError),
}

impl OpenError {
    /// What an error of SQLite means for whoever opens the file.
    pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => Self::NotADatabase { path: path.to_owned() },
            _ => Self::Storage(explain(path, error)),
        }
    }
}

/// An open store: two connections and the state that they found.
pub(super) struct Opened {
    pub(super) writer: Connection,
    pub(super) reader: Connection,
    pub(super) restored: Restored,
}

/// Opens the store at `path`, an absolute path.
pub(super) fn open(path: &Path, limits: &Limits) -> Result<Opened, OpenError> {
    create_if_absent(path).map_err(|error| OpenError::Storage(explain_io(path, &error)))?;
    let log_remains = look_at_bytes(path)?;
    let explain = |error| OpenError::explain(path, &error);

    let mut writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(explain)?;
    // Closing a refused file would otherwise move the log into it.
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log_remains).map_err(explain)?;
    check_owner(&writer, path)?;
    configure_writer(&writer, path, limits)?;
    schema::migrate(&mut writer, path)?;
    let restored = reader::restore(&mut writer).map_err(explain)?;
    writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(explain)?;

    let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(explain)?;
    reader.pragma_update(None, "cache_size", -READER_CACHE_KIB).map_err(explain)?;
    Ok(Opened { writer, reader, restored })
}

fn create_if_absent(path: &Path) -> io::Result<()> {
    let file = match OpenOptions::new().write(true).create_new(true).mode(MODE).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    };
    // Whatever the umask took away.
    file.set_permissions(Permissions::from_mode(MODE))?;
    let directory = path.parent().ok_or(ErrorKind::IsADirectory)?;
    File::open(directory)?.sync_all()
}

/// Refuses what is no SQLite file, by its first bytes. Returns whether a crash left a write-ahead log.
fn look_at_bytes(path: &Path) -> Result<bool, OpenError> {
    let explain = |error| OpenError::Storage(explain_io(path, &error));
    let mut beginning = Vec::new();
    File::open(path).and_then(|file| file.take(HEADER_BYTES).read_to_end(&mut beginning)).map_err(explain)?;
    let mut log = OsString::from(path);
    log.push("-wal");
    let log_remains = fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0);
    if beginning.is_empty() && log_remains {
        // SQLite would delete the log, which may be all that is left of the contents.
        let detail = format!("it is empty, but {} is not", log.display());
        return Err(OpenError::Storage(StorageError::Damaged { path: path.to_owned(), detail }));
    }
    if !beginning.is_empty() && !beginning.starts_with(MAGIC) {
        return Err(OpenError::NotADatabase { path: path.to_owned() });
    }
    Ok(log_remains)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_PREPARED_MAX);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Refuses a database that is not ours or is newer, before anything is written to it.
fn check_owner(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let explain = |error| OpenError::explain(path, &error);
    let application_id: u32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(explain)?;
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(explain)?;
    // A file without tables and without an owner is a new one, or one whose creation was cut short.
    let is_ours = application_id == schema::APPLICATION_ID || (application_id == 0 && tables == 0);
    if !is_ours {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let found = schema::version(connection).map_err(explain)?;
    if found > schema::VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: schema::VERSION });
    }
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(explain)? {
        return Err(OpenError::Storage(StorageError::NotWritable { path: path.to_owned() }));
    }
    Ok(())
}

fn configure_writer(connection: &Connection, path: &Path, limits: &Limits) -> Result<(), OpenError> {
    let explain = |error| OpenError::explain(path, &error);
    let set = |name, value: i64| connection.pragma_update(None, name, value).map_err(explain);
    set("cache_size", -WRITER_CACHE_KIB)?;
    if let Some(pages_max) = limits.pages_max {
        set("max_page_count", pages_max)?;
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(explain)?;
    if mode != "wal" {
        return Err(OpenError::FileSystem { path: path.to_owned() });
    }
    set("wal_autocheckpoint", super::writer::LOG_PAGES_MAX)?;
    set("journal_size_limit", LOG_BYTES_KEPT)?;
    connection.pragma_update(None, "synchronous", "full").map_err(explain)?;
    // Savepoints undo from memory.
    connection.pragma_update(None, "temp_store", "memory").map_err(explain)
}

const MODE: u32 = 0o600;

/// What an SQLite file begins with (section 1.3 of its file format), and the bytes before the first page's
/// content.
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: u64 = 100;

/// How long another program, such as a person's `sqlite3`, may keep the file locked.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// More than there are statements.
const STATEMENTS_PREPARED_MAX: usize = 64;
/// Page cache of the writer: the inner pages of the index over a million received messages fit.
const WRITER_CACHE_KIB: i64 = 4096;
/// Page cache of the reader, which reads runs of the inbox once.
const READER_CACHE_KIB: i64 = 512;
/// The log is cut back to this length when it has been longer.
const LOG_BYTES_KEPT: i64 = 32 * 1024 * 1024;
