//! Anchors: how far the audit and the ref journal reached at a moment, and the hashes of their last lines.
//! An anchor is kept in a ref, which is pushed with the others, so that a shortened or recomputed chain
//! shows.

use serde::{Deserialize, Serialize};

use crate::domain::util::time::WallTime;

/// The ref whose commits are anchors, each with the one before as its parent.
pub const REF: &str = "refs/cmw/anchor";

/// One anchor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Its format.
    pub v: u64,
    /// The repository's name for ever: what an earlier set-up anchored is not compared.
    pub repo: String,
    /// When it was set.
    pub at: WallTime,
    /// The last record of the audit.
    pub audit: ChainPoint,
    /// The last line of the ref journal.
    pub journal: ChainPoint,
    /// The digest of the policy.
    pub policy: String,
}

/// A place in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainPoint {
    /// The number of a record or line, from 1; 0: there was none.
    pub number: u64,
    /// Its hash; empty: there was none.
    pub hash: String,
}
