//! Verification of records, once for all nodes of a simulation.
//!
//! Whether bytes are a record, and of whom, depends on the bytes alone. A thousand nodes of one process would
//! each check the same thousand signatures, and each keep the same thousand documents; so the first answer is
//! remembered, and the nodes share it. At [`REMEMBERED_MAX`] answers all of them are forgotten.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use hereabouts_protocol::{
    identity::Realm,
    presence::record::{PresenceRecord, RecordError},
};

thread_local! {
    static ANSWERS: RefCell<HashMap<Arc<[u8]>, Result<PresenceRecord, RecordError>>> = RefCell::default();
}

/// [`PresenceRecord::verify`], remembered. A simulation has one realm.
///
/// # Errors
/// Those of [`PresenceRecord::verify`].
pub(crate) fn once(bytes: &[u8], realm: &Realm) -> Result<PresenceRecord, RecordError> {
    ANSWERS.with_borrow_mut(|answers| {
        if let Some(answer) = answers.get(bytes) {
            return answer.clone();
        }
        if answers.len() >= REMEMBERED_MAX {
            answers.clear();
        }
        let answer = PresenceRecord::verify(bytes, realm);
        answers.insert(bytes.into(), answer.clone());
        answer
    })
}

/// About 2 kB each.
const REMEMBERED_MAX: usize = 100_000;
