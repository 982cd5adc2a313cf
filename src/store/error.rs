//! Owns how the store fails: what was tried, on which file, why. What is safe and what to do next
//! is said by `cli::failure`.
//!
//! The text does not repeat the cause: whoever prints an error prints its `source` once.

use std::io;

use crate::domain::mail::id::MessageId;

/// Why the store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system said no.
    #[error("cannot {doing} {file}")]
    Io {
        /// What was tried, such as `read`.
        doing: &'static str,
        /// Relative to git's common directory.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what this program wrote; nothing was changed.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// Relative to git's common directory.
        file: String,
        /// What is wrong, and where.
        what: String,
        /// What to type.
        remedy: &'static str,
    },
    /// A document would become larger than anybody could read again; nothing was written.
    #[error("{file} would have {bytes} bytes, which is more than can be read again")]
    TooLarge {
        /// Relative to git's common directory.
        file: String,
        /// How large it would be.
        bytes: u64,
    },
    /// A file of a later version: it is not touched.
    #[error("{file} has format {theirs}, and this cmw knows {ours}")]
    Newer {
        /// Relative to git's common directory.
        file: String,
        /// The format found.
        theirs: u64,
        /// The newest format that this program knows.
        ours: u64,
    },
    /// A gate lock stayed taken.
    #[error("{file} was taken for {waited_ms} ms{}", by(*.holder))]
    Busy {
        /// The lock file, relative to git's common directory.
        file: String,
        /// How long was waited.
        waited_ms: u64,
        /// The process that holds it, when known.
        holder: Option<u32>,
    },
    /// There is no state here yet.
    #[error("cmw is not set up in this repository")]
    NotInitialised,
    /// Nothing was written, the disk being full for example; repeating is safe.
    #[error("nothing was written to {file}")]
    NotWritten {
        /// Relative to git's common directory.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// It was written, but the disk did not confirm: it may be there or not.
    #[error("the disk did not confirm what was written to {file}: it may arrive or not")]
    Unconfirmed {
        /// Relative to git's common directory.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The id belongs to a message with other content.
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

/// What the store gives.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Names what was tried on which file, for an error of the system.
pub(crate) trait Doing<T> {
    /// Says what was tried.
    fn doing(self, doing: &'static str, file: &str) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, file: &str) -> Result<T> {
        self.map_err(|source| StoreError::io(doing, file, source))
    }
}

impl StoreError {
    /// Wraps why a lock could not be taken.
    #[must_use]
    pub fn lock(file: &str, waited_ms: u64, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::WouldBlock {
            return Self::Busy { file: file.to_owned(), waited_ms, holder: None };
        }
        Self::io("lock", file, source)
    }

    /// Wraps what the system said. Damage that the disk verbs found stays damage.
    #[must_use]
    pub fn io(doing: &'static str, file: &str, source: io::Error) -> Self {
        let file = file.to_owned();
        if source.kind() == io::ErrorKind::InvalidData {
            return Self::Damaged { file, what: source.to_string(), remedy: "cmw-doctor" };
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
        assert_eq!(busy.to_string(), "l was taken for 5 ms by process 7");
    }
}
