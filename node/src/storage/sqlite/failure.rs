//! What SQLite and the operating system say, in the store's own words.

use std::{
    io::{Error, ErrorKind},
    path::Path,
};

use rusqlite::{ErrorCode, ffi};

use crate::storage::StorageError;

/// What an error of SQLite means for whoever asked.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> StorageError {
    let (path, detail) = (path.to_owned(), error.to_string());
    if is_unreadable_value(error) {
        return StorageError::Damaged { path, detail };
    }
    // The index of the log could not grow.
    if error.sqlite_extended_error_code() == Some(ffi::SQLITE_IOERR_SHMSIZE) {
        return StorageError::DiskFull { path };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StorageError::DiskFull { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StorageError::Locked { path },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            StorageError::NotWritable { path }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StorageError::Damaged { path, detail },
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            StorageError::Refused { detail }
        }
        _ => StorageError::Io { path, detail },
    }
}

/// What an error of the operating system means for whoever asked.
pub(super) fn explain_io(path: &Path, error: &Error) -> StorageError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::DiskFull { path },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StorageError::NotWritable { path },
        _ => StorageError::Io { path, detail: error.to_string() },
    }
}

/// Whether a row held what this build never wrote, or no row was where there always is one.
fn is_unreadable_value(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::QueryReturnedNoRows
            | rusqlite::Error::Utf8Error(..)
    )
}
