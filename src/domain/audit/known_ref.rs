//! What the ref journal tells of one ref: its value, the movements that are under way, and those it had.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::domain::audit::journal_entry::{signature, signatures};
use crate::domain::audit::reflog::ANYWHERE;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootId, WallTime};

/// Number of earlier values remembered for each ref, to tell a power cut from a movement.
const PAST_MAX: usize = 64;

/// The entries of the journal about one ref, summed up.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownRef {
    /// Its value, if known; empty: there is none.
    pub(super) settled: Option<String>,
    /// The target of a symbolic ref: writing through it moves the target.
    pub(super) leads_to: Option<String>,
    /// Allowed movements whose outcome is not known.
    pub(super) open: Vec<OpenMovement>,
    /// The last aborted movement.
    pub(super) given_up: Option<(String, String)>,
    /// How many times the reflog may show each movement.
    pub(super) marks: HashMap<String, u32>,
    /// Earlier values, the latest last.
    pub(super) past: VecDeque<String>,
    /// Values at which its deletion was allowed, and when.
    pub(super) gone_at: BTreeMap<String, WallTime>,
    /// All targets it ever had: its reflog includes their movements.
    pub(super) led_to: BTreeSet<String>,
    /// The boot of the last allowed movement.
    pub(super) boot: Option<BootId>,
}

/// A movement that was allowed, and whose outcome is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenMovement {
    /// The value before.
    pub old: String,
    /// The value after.
    pub new: String,
    /// The token of the lease; 0 if none was needed.
    pub token: u64,
    /// The program that moves the ref.
    pub git: Option<Process>,
    /// The inode of git's own lock on the ref.
    pub git_lock: Option<u64>,
}

impl KnownRef {
    /// Returns the values it may have at this moment; `None`: unknown.
    pub(super) fn expected(&self) -> Option<Vec<&str>> {
        let settled = self.settled.as_deref()?;
        let open = self.open.iter().flat_map(|it| [it.old.as_str(), it.new.as_str()]);
        Some(std::iter::once(settled).chain(open).chain(self.leads_to.as_deref()).collect())
    }

    pub(super) fn set_baseline(&mut self, value: &str) {
        self.led_to.extend(value.strip_prefix("ref:").map(str::to_owned));
        if value.is_empty() || value.starts_with("ref:") {
            self.leads_to = Some(value.to_owned()).filter(|value| !value.is_empty());
        }
        if let Some(before) = self.settled.replace(value.to_owned()).filter(|before| before != value) {
            self.past.push_back(before);
            if self.past.len() > PAST_MAX {
                self.past.pop_front();
            }
        }
    }

    fn count(&mut self, old: &str, new: &str) {
        for old in [old, ANYWHERE] {
            *self.marks.entry(signature(old, new)).or_default() += 1;
        }
    }

    fn uncount(&mut self, old: &str, new: &str) {
        for old in [old, ANYWHERE] {
            if let Some(count) = self.marks.get_mut(&signature(old, new)) {
                *count = count.saturating_sub(1);
            }
        }
    }

    pub(super) fn count_marks(&mut self, log: &str) {
        for mark in signatures(log) {
            *self.marks.entry(mark.to_owned()).or_default() += 1;
        }
    }

    pub(super) fn observed(&mut self, new: &str) {
        if let Some(at) = self.open.iter().rposition(|it| it.new == new) {
            // Earlier allowed movements are over: git had released the ref before this one was allowed.
            self.open.drain(..=at);
        } else if let Some((old, _)) = self.given_up.take_if(|(_, value)| value == new) {
            // With refs in files git aborts one half of a transaction and carries out the other.
            self.count(&old, new);
        } else {
            // Refs are being packed, or a known movement is reported late.
            return;
        }
        self.set_baseline(new);
    }

    pub(super) fn aborted(&mut self, new: &str, expired: bool) {
        if let Some(at) = self.open.iter().rposition(|it| it.new == new) {
            let OpenMovement { old, new, .. } = self.open.remove(at);
            self.uncount(&old, &new);
            // What has expired is never carried out after all.
            self.given_up = (!expired).then_some((old, new));
        }
    }

    /// Applies an allowed movement; returns the known and the found value if they differ.
    pub(super) fn allowed(&mut self, movement: OpenMovement) -> Option<(String, String)> {
        let OpenMovement { old, new, .. } = &movement;
        let whole = self.expected().filter(|_| self.leads_to.is_none());
        let astray = whole.is_some_and(|expected| !expected.contains(&old.as_str()));
        let revealed = astray.then(|| (self.settled.clone().unwrap_or_default(), old.clone()));
        if self.settled.as_deref().is_none_or(str::is_empty) {
            self.past.push_back(old.clone());
            // Git had locked the ref at this value: where it goes from there is known, too.
            self.settled.get_or_insert_with(|| old.clone());
        }
        self.count(old, new);
        self.open.push(movement);
        self.given_up = None;
        revealed
    }
}
