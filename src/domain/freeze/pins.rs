//! The branches that a hard freeze pins: a directory in the place of git's lock file for the branch stops
//! every writer that takes git's locks, with or without hooks.
//!
//! Invariant (a test of the same name in `tests/fast/rules/`): `pins_are_wanted_only_while_frozen`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::guard::git_ref::RefName;

/// The largest number of branches that are pinned: their list is kept in the state document.
pub const PINS_MAX: usize = 4_000;

/// The branches to pin, or to unpin. Pins on disk follow this, never the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// The name of the freeze; each pin carries it.
    pub freeze: String,
    /// Whether the pins are wanted; else they are to be removed.
    pub wanted: bool,
    /// The branches, each with the directory that was made for it, when one is known.
    pub refs: BTreeMap<RefName, Option<PinId>>,
}

/// The identity of a pin's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinId {
    /// The device.
    pub dev: u64,
    /// The inode.
    pub ino: u64,
}

/// The pins that a hard freeze asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// The name of the freeze.
    pub freeze: String,
    /// The branches.
    pub refs: Vec<RefName>,
}

/// The pins that a command found, set and removed on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinFindings {
    /// The name of the freeze.
    pub freeze: String,
    /// Pins that exist and were not recorded.
    pub set: BTreeMap<RefName, PinId>,
    /// Pins that were recorded and are gone or replaced.
    pub vanished: Vec<(RefName, PinId)>,
    /// Branches that no longer have a pin of ours.
    pub removed: Vec<RefName>,
}

impl PinFindings {
    /// Whether there is nothing to record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.vanished.is_empty() && self.removed.is_empty()
    }
}

impl Pins {
    /// Returns how many branches are to be pinned.
    #[must_use]
    pub fn count(&self) -> usize {
        if self.wanted { self.refs.len() } else { 0 }
    }
}

/// Returns the pins after a freeze has asked for some. A freeze that begins before the pins of the last one
/// are removed takes them over under that one's name; what was recorded of them may be out of date.
#[must_use]
pub fn ordered(before: Option<&Pins>, wish: &PinRequest) -> Pins {
    let mut pins = match before {
        Some(pins) if pins.wanted => pins.clone(),
        Some(pins) => {
            let refs = pins.refs.keys().map(|name| (name.clone(), None)).collect();
            Pins { wanted: true, refs, freeze: pins.freeze.clone() }
        }
        None => Pins { freeze: wish.freeze.clone(), wanted: true, refs: BTreeMap::new() },
    };
    for name in &wish.refs {
        pins.refs.entry(name.clone()).or_insert(None);
    }
    pins
}
