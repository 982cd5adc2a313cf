//! Anchors: the last numbers and hashes of the audit trail and the ref journal at a moment.
//! An anchor is kept in a ref, which is pushed with the others, so that a shortened or recomputed chain
//! is detected.

use serde::{Deserialize, Serialize};

use crate::domain::util::time::WallTime;

/// The ref whose commits are anchors, each with the one before as its parent.
pub const REF: &str = "refs/cmw/anchor";

/// One anchor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// The format version.
    pub v: u64,
    /// The permanent id of the repository: anchors of an earlier set-up are not compared.
    pub repo: String,
    /// The time of the anchor.
    pub at: WallTime,
    /// The last record of the audit trail.
    pub audit: ChainPoint,
    /// The last line of the ref journal.
    pub journal: ChainPoint,
    /// The digest of the policy.
    pub policy: String,
    /// The version of the policy; 0 in an anchor of the first versions.
    #[serde(default, skip_serializing_if = "crate::domain::util::is_zero")]
    pub policy_version: u64,
}

/// A position in a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainPoint {
    /// The number of a record or line, from 1; 0: there was none.
    pub number: u64,
    /// Its hash; empty: there was none.
    pub hash: String,
}
