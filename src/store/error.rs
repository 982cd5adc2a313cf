//! Errors of the store: which operation failed, on which file, why. `cli::failure` adds what is safe and what
//! to do next.
//!
//! The text does not repeat the cause, because an error is printed together with its `source`.

use std::io;

use crate::domain::mail::id::MessageId;

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A system call failed.
    #[error("cannot {doing} {file}")]
    Io {
        /// The operation, such as `read`.
        doing: &'static str,
        /// Relative to git's common directory.
        file: String,
        /// The system's error.
        source: io::Error,
    },
    /// A file's content is not what this program writes; nothing was changed.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// Relative to git's common directory.
        file: String,
        /// What is wrong, and where.
        what: String,
        /// The command to type.
        remedy: &'static str,
    },
    /// A document would become too large to be read again; nothing was written.
    #[error("{file} would have {bytes} bytes, which is more than can be read again")]
    TooLarge {
        /// Relative to git's common directory.
        file: String,
        /// The size that it would have.
        bytes: u64,
    },
    /// A file of a later version, which is left untouched.
    #[error("{file} has format {theirs}, and this cmw knows {ours}")]
    Newer {
        /// Relative to git's common directory.
        file: String,
        /// The format found.
        theirs: u64,
        /// The newest format that this program knows.
        ours: u64,
    },
    /// A gate lock stayed held.
    #[error("{file} was locked for {waited_ms} ms{}", by(*.holder))]
    Busy {
        /// The lock file, relative to git's common directory.
        file: String,
        /// How long was waited, in milliseconds.
        waited_ms: u64,
        /// The process that holds it, when known.
        holder: Option<u32>,
    },
    /// The repository has no state yet.
    #[error("cmw is not set up in this repository")]
    NotInitialised,
    /// Nothing was written, for example because the disk is full; repeating is safe.
    #[error("nothing was written to {file}")]
    NotWritten {
        /// Relative to git's common directory.
        file: String,
        /// The system's error.
        source: io::Error,
    },
    /// The write was not confirmed by the disk: the data may be there or not.
    #[error("the disk did not confirm the write to {file}: it may be lost")]
    Unconfirmed {
        /// Relative to git's common directory.
        file: String,
        /// The system's error.
        source: io::Error,
    },
    /// The id belongs to a message with different content.
    #[error("the id {id} belongs to another message (number {seq})")]
    IdTaken {
        /// The id.
        id: MessageId,
        /// The number of the message that has it.
        seq: u64,
    },
}

fn by(holder: Option<u32>) -> String {
    holder.map(|pid| format!(" by process {pid}")).unwrap_or_default()
}

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Adds operation and file to a system error.
pub(crate) trait Doing<T> {
    /// Adds the operation.
    fn doing(self, doing: &'static str, file: &str) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, file: &str) -> Result<T> {
        self.map_err(|source| StoreError::io(doing, file, source))
    }
}

impl StoreError {
    /// Wraps the error of a lock that could not be acquired.
    #[must_use]
    pub fn lock(file: &str, waited_ms: u64, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::WouldBlock {
            return Self::Busy { file: file.to_owned(), waited_ms, holder: None };
        }
        Self::io("lock", file, source)
    }

    /// Wraps a system error. Damage found by a disk operation stays damage.
    #[must_use]
    pub fn io(doing: &'static str, file: &str, source: io::Error) -> Self {
        let file = file.to_owned();
        if source.kind() == io::ErrorKind::InvalidData {
            return Self::Damaged { file, what: source.to_string(), remedy: "cmw-doctor --fix" };
        }
        Self::Io { doing, file, source }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn the_cause_is_printed_once() {
        let error = Err::<(), _>(io::Error::other("no luck")).doing("read", "a/b").unwrap_err();
        assert_eq!(error.to_string(), "cannot read a/b");
        assert_eq!(error.source().unwrap().to_string(), "no luck");
        let busy = StoreError::Busy { file: "l".into(), waited_ms: 5, holder: Some(7) };
        assert_eq!(busy.to_string(), "l was locked for 5 ms by process 7");
    }
}
