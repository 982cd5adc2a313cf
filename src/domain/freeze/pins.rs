//! The branches that a hard freeze pins: a directory in place of git's own lock file stops every writer that
//! takes git's locks, with or without hooks.
//!
//! Invariant (a test of the same name in `tests/rules/`): `pins_are_wanted_only_while_frozen`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::guard::git_ref::RefName;

/// More branches than these are not pinned: the list stands in the coordination document.
pub const PINS_MAX: usize = 4_000;

/// What is to be pinned, or to be no longer pinned. Pins on disk follow this, never the other way round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// Names the freeze; each pin carries it.
    pub freeze: String,
    /// Whether they shall be there; else they shall go.
    pub wanted: bool,
    /// The branches, each with the directory that was made for it, when it is known that one was.
    pub refs: BTreeMap<RefName, Option<PinId>>,
}

/// Which directory a pin is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinId {
    /// The device.
    pub dev: u64,
    /// The inode.
    pub ino: u64,
}

/// What a hard freeze asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// Names the freeze.
    pub freeze: String,
    /// Which branches.
    pub refs: Vec<RefName>,
}

/// What a command found and did on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PinFindings {
    /// For which freeze.
    pub freeze: String,
    /// Pins that are there and were not known to be.
    pub set: BTreeMap<RefName, PinId>,
    /// Pins that were there and are not, or not any more the same.
    pub vanished: Vec<(RefName, PinId)>,
    /// Branches that no pin of ours holds any more.
    pub removed: Vec<RefName>,
}

impl PinFindings {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.vanished.is_empty() && self.removed.is_empty()
    }
}

impl Pins {
    /// How many branches are to be pinned.
    #[must_use]
    pub fn count(&self) -> usize {
        if self.wanted { self.refs.len() } else { 0 }
    }
}

/// The pins after a freeze has asked for some. A freeze that comes before the pins of the last one are
/// gone takes them over by that one's name; what was known of them may be out of date.
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
