//! The write lock as it is typed: `cmw-lock`, the lock that `git commit` takes, `cmw-commit`.

mod auto;
mod commit;
mod transcripts;
