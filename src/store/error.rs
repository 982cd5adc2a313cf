//! Owns what can go wrong between the rules and the disk.

use std::io;

/// The world failed, or the disk cannot be trusted. (A "no" of the rules is not an error.)
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused an operation.
    #[error("could not {doing} {file}")]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file, relative to git's common directory.
        file: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file's content cannot be trusted.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// The file, relative to git's common directory.
        file: String,
        /// What is wrong with it.
        what: String,
        /// What to type.
        remedy: &'static str,
    },
    /// A file was written by a later version.
    #[error("{file} has format {theirs}, and this cmw knows {ours}")]
    Newer {
        /// The file.
        file: String,
        /// Its format.
        theirs: u64,
        /// The newest format known here.
        ours: u64,
    },
    /// Somebody else is using a file, for longer than anybody should.
    #[error("{file} has been taken for {waited_ms} ms{}", by(.holder))]
    Busy {
        /// The lock file.
        file: String,
        /// How long was waited.
        waited_ms: u64,
        /// The process that has it, when known.
        holder: Option<u32>,
    },
    /// `cmw-init` was never run here.
    #[error("cmw is not set up in this repository")]
    NotInitialised,
    /// A message id was used for another message.
    #[error("the message id {id} belongs to another message")]
    IdTaken {
        /// The id.
        id: String,
    },
}

fn by(holder: &Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

impl StoreError {
    /// Wraps what the system said. Damage that the disk verbs found stays damage.
    #[must_use]
    pub fn io(doing: &'static str, file: &str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::InvalidData {
            let remedy = "cmw-doctor";
            return Self::Damaged { file: file.to_owned(), what: source.to_string(), remedy };
        }
        Self::Io { doing, file: file.to_owned(), source }
    }
}
