//! The value that each ref must have by the ref journal, and where the refs differ from it (docs/rules.md
//! R6.2, R6.3).
//!
//! A movement is known if the journal has an intent for it: hooks write intents before git moves the ref,
//! so a movement without one bypassed the hooks. Three sources show it:
//! the present value, the lines of the reflog (a ref that went away and came back), and what the next
//! allowed movement found under git's lock.
//!
//! Invariants (each has a test of the same name):
//! * `every_way_around_the_hooks_shows_once`
//! * `what_was_allowed_never_shows`
//! * `a_power_cut_is_no_violation`
//!
//! Limitations: a ref that went away and came back, and whose reflog lines were removed, is not detected;
//! nor is a movement that is hidden by computing the journal's chain anew: anchors stored elsewhere detect
//! that.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::audit::journal_entry::{
    JournalEntry, RefState, UnauthorizedUpdate, ViolationCause, signature, signatures,
};
use crate::domain::audit::known_ref::{KnownRef, OpenMovement};
use crate::domain::audit::reflog::ANYWHERE;
use crate::domain::audit::reflog::RefWithReflog;
use crate::domain::audit::reflog::ReflogLine;
use crate::domain::audit::reflog::renamed;
use crate::domain::util::time::{BootId, WallTime};

/// Longest delay before the disk writes data, in milliseconds.
const UNWRITTEN_MS: i64 = 120_000;
/// Maximum number of quoted lines of a reflog.
const SAID_MAX: usize = 5;

/// How closely a ref is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchLevel {
    /// It may move freely.
    No,
    /// It may appear, but must not change afterwards: a tag.
    OnceThere,
    /// Each movement must be allowed by a check.
    Always,
}

/// The entries of the journal that are not believed: written by hand, or by another program than ours.
#[derive(Debug, Default)]
pub struct Disbelieved {
    /// Movements, and observations of movements that were given up, by the index of the entry.
    pub entries: BTreeSet<usize>,
    /// Baselines that may accept no movement, by the index of the entry.
    pub baselines: BTreeSet<usize>,
}

/// The ledger: the sum of the whole journal.
#[derive(Clone, Debug, Default)]
pub struct RefLedger {
    refs: HashMap<String, KnownRef>,
    /// Unauthorized movements that later, allowed ones revealed, and that are not reported yet.
    revealed: Vec<UnauthorizedUpdate>,
    /// Lines of the journal whose fault is reported.
    faults: BTreeSet<u64>,
    /// The time of the last entry.
    last_at: Option<WallTime>,
    /// The last boot named.
    last_boot: Option<BootId>,
    /// Whether there is a baseline.
    has_baseline: bool,
}

impl RefLedger {
    /// Builds the ledger of these entries, oldest first.
    pub fn of<'e>(entries: impl Iterator<Item = &'e JournalEntry>) -> Self {
        let mut book = Self::default();
        entries.for_each(|entry| book.apply(entry));
        book
    }

    /// Builds the ledger without what is not believed.
    pub fn of_believed<'e>(entries: impl Iterator<Item = &'e JournalEntry>, not: &Disbelieved) -> Self {
        let mut book = Self::default();
        for (index, entry) in entries.enumerate() {
            if not.entries.contains(&index) {
                continue;
            }
            let JournalEntry::Baseline { refs, .. } = entry else {
                book.apply(entry);
                continue;
            };
            // One that may accept no movement tells of refs that are new, and of values that are known.
            let accepts_none = |seen: &&RefState| {
                let known = book.refs.get(&seen.name).and_then(KnownRef::expected);
                known.is_none_or(|known| known[0].is_empty() || known.contains(&seen.value.as_str()))
            };
            let may_accept = !not.baselines.contains(&index);
            let refs: Vec<RefState> =
                refs.iter().filter(|seen| may_accept || accepts_none(seen)).cloned().collect();
            book.set_baseline(&refs);
        }
        book
    }

    fn set_baseline(&mut self, refs: &[RefState]) {
        self.has_baseline = true;
        for seen in refs {
            let known = self.refs.entry(seen.name.clone()).or_default();
            known.set_baseline(&seen.value);
            // An allowed movement that has not happened yet may still happen.
            known.open.retain(|it| it.old == seen.value);
            known.marks.clear();
            known.count_marks(&seen.log);
        }
    }

    /// Applies the next entry.
    pub fn apply(&mut self, entry: &JournalEntry) {
        match entry {
            JournalEntry::Intent { at, when, name, old, new, token, git, git_lock, .. } => {
                self.last_at = Some(*at);
                self.last_boot = Some(when.boot.clone());
                let known = self.refs.entry(name.clone()).or_default();
                known.boot = Some(when.boot.clone());
                if new.is_empty() {
                    known.gone_at.insert(old.clone(), *at);
                }
                let (old, new, git) = (old.clone(), new.clone(), git.clone());
                let movement = OpenMovement { old, new, token: *token, git, git_lock: *git_lock };
                if let Some((was, is)) = known.allowed(movement) {
                    self.revealed.push(UnauthorizedUpdate::seen(name, &was, &is));
                }
            }
            JournalEntry::Observed { at, name, new, .. } => {
                self.last_at = Some(*at);
                if let Some(known) = self.refs.get_mut(name) {
                    known.observed(new);
                }
            }
            JournalEntry::Aborted { name, new, expired, .. } => {
                if let Some(known) = self.refs.get_mut(name) {
                    known.aborted(new, *expired);
                }
            }
            JournalEntry::Baseline { refs, .. } => self.set_baseline(refs),
            JournalEntry::Strayed { cause, refs, .. } => {
                if let ViolationCause::Journal { line, .. } = cause {
                    self.faults.insert(*line);
                }
                for stray in refs {
                    self.record_unauthorized(stray);
                }
            }
            JournalEntry::Refused { .. } | JournalEntry::Warned { .. } => {}
        }
    }

    fn record_unauthorized(&mut self, stray: &UnauthorizedUpdate) {
        let known = self.refs.entry(stray.name.clone()).or_default();
        known.count_marks(&stray.log);
        let same = |other: &UnauthorizedUpdate| {
            other.name == stray.name && other.was == stray.was && other.is == stray.is
        };
        if let Some(at) = self.revealed.iter().position(same) {
            // The ref has moved on since.
            self.revealed.remove(at);
        } else {
            known.open.clear();
            known.set_baseline(&stray.is);
        }
    }

    /// Whether there is a baseline: before the first one nothing can be compared.
    #[must_use]
    pub fn has_baseline(&self) -> bool {
        self.has_baseline
    }

    /// Whether a fault of the journal at this line is reported already.
    #[must_use]
    pub fn knows_fault(&self, line: u64) -> bool {
        self.faults.contains(&line)
    }

    /// Whether a fault at this line shows there because one that is reported stands in the line before.
    #[must_use]
    pub fn explains_fault(&self, line: u64) -> bool {
        self.knows_fault(line) || self.knows_fault(line.saturating_sub(1))
    }

    /// Returns the unauthorized update of a ref that is not at its known value, if that is known.
    #[must_use]
    pub fn find_unauthorized(&self, name: &str, value: &str) -> Option<UnauthorizedUpdate> {
        let known = self.refs.get(name)?;
        let expected = known.expected().filter(|_| known.leads_to.is_none())?;
        if expected.contains(&value) {
            return None;
        }
        Some(UnauthorizedUpdate::seen(name, expected[0], value))
    }

    /// Whether a deletion of any ref at this value was allowed.
    fn was_deleted_at(&self, value: &str) -> bool {
        self.refs.values().any(|known| known.gone_at.contains_key(value))
    }

    /// Returns the names of all refs in the ledger.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.refs.keys().map(String::as_str)
    }

    /// Returns the movements that were allowed and whose outcome is not known, with the name of the ref.
    pub fn open_movements(&self) -> impl Iterator<Item = (&str, &OpenMovement)> {
        self.refs.iter().flat_map(|(name, known)| known.open.iter().map(move |it| (name.as_str(), it)))
    }

    /// Compares the ledger with the refs as they are.
    #[must_use]
    pub fn compare(
        &self,
        present: &BTreeMap<String, RefWithReflog>,
        boot: &BootId,
        watch: impl Fn(&str) -> WatchLevel,
    ) -> LedgerFindings {
        let mut found = LedgerFindings::default();
        let nothing = RefWithReflog::default();
        let names: BTreeSet<&str> = present.keys().map(String::as_str).chain(self.names()).collect();
        for name in names {
            let watch = watch(name);
            if watch == WatchLevel::No {
                continue;
            }
            let there = present.get(name).unwrap_or(&nothing);
            match self.compare_ref(name, there, boot, watch) {
                RefComparison::Fine => {}
                RefComparison::Learn => found.learn.push(there.to_ref_state(name)),
                RefComparison::PowerCut(why) => found.power_cut.push((there.to_ref_state(name), why)),
                RefComparison::Stray(stray, renamed_from) => found.strays.push((stray, renamed_from)),
            }
        }
        let counts = |stray: &&UnauthorizedUpdate| match watch(&stray.name) {
            WatchLevel::No => false,
            WatchLevel::OnceThere => !stray.was.is_empty(),
            // A new ref at the value of an allowed deletion was renamed.
            WatchLevel::Always => !stray.was.is_empty() || !self.was_deleted_at(&stray.is),
        };
        found.revealed = self.revealed.iter().filter(counts).cloned().collect();
        // An unexplained reflog line of a ref that is also reported as moved is the same violation.
        found.revealed.retain(|revealed| {
            let same = found.strays.iter_mut().find(|(stray, _)| {
                stray.name == revealed.name
                    && signatures(&stray.log).any(|m| m == signature(&revealed.was, &revealed.is))
            });
            match same {
                Some((stray, _)) if stray.was == stray.is => {
                    stray.was.clone_from(&revealed.was);
                    stray.is.clone_from(&revealed.is);
                    false
                }
                Some(_) | None => true,
            }
        });
        found
    }

    fn compare_ref(
        &self,
        name: &str,
        there: &RefWithReflog,
        boot: &BootId,
        watch: WatchLevel,
    ) -> RefComparison {
        let unknown = KnownRef::default();
        let known = self.refs.get(name).unwrap_or(&unknown);
        let expected = known.expected();
        let is_new = known.settled.as_deref().is_none_or(str::is_empty);
        if there.value.is_empty() && is_new {
            return RefComparison::Fine;
        }
        if watch == WatchLevel::OnceThere && is_new {
            return RefComparison::Learn;
        }
        let is_right = expected.as_deref().is_some_and(|e| e.contains(&there.value.as_str()));
        // Git tells the hooks of the deletion of the old name, not of the creation of the new one.
        let source = |line: &ReflogLine| {
            let source = renamed(line, None).and_then(|from| self.refs.get(from));
            source.filter(|source| source.gone_at.contains_key(&line.new))
        };
        let last = there.log.iter().rev().find(|line| renamed(line, Some(name)).is_some());
        let renamed_from = last.and_then(|line| renamed(line, Some(name)));
        if is_new && !is_right && last.is_some_and(|l| l.new == there.value && source(l).is_some()) {
            return RefComparison::Learn;
        }
        let led_to = known.led_to.iter().filter_map(|name| self.refs.get(name));
        let former = there.log.iter().filter_map(source).chain(led_to).chain([known]).collect::<Vec<_>>();
        let mut unexplained = unexplained(there, &former);
        if watch == WatchLevel::OnceThere {
            let appears = |line: &ReflogLine| match line.old.as_str() {
                "" => true,
                ANYWHERE => known.past.contains(&line.new),
                _ => false,
            };
            unexplained.retain(|line| !appears(line));
        }
        if is_right && unexplained.is_empty() {
            return RefComparison::Fine;
        }
        // Git could not rename the ref, and restored it without running a hook.
        let is_back = known.gone_at.get(&there.value).is_some_and(|gone| {
            let seconds = |at: &WallTime| at.0.div_euclid(1_000);
            let not_since = |last: &ReflogLine| last.new == there.value && seconds(&last.at) <= seconds(gone);
            there.log.last().is_none_or(not_since)
        });
        if is_new && is_back && unexplained.is_empty() {
            return RefComparison::Learn;
        }
        if let Some(why) = self.power_cut(known, there, &unexplained, is_right, boot) {
            return RefComparison::PowerCut(why);
        }
        let was = expected.as_ref().map_or("", |e| e[0]);
        let said = unexplained.iter().rev().take(SAID_MAX).rev().map(|line| line.describe()).collect();
        let log = unexplained.iter().map(|line| signature(&line.old, &line.new)).collect();
        let stray = UnauthorizedUpdate { said, log, ..UnauthorizedUpdate::seen(name, was, &there.value) };
        RefComparison::Stray(stray, renamed_from.map(str::to_owned))
    }

    /// Returns why a power cut explains the difference, if it does: git syncs no refs, and hooks do not sync
    /// the journal.
    fn power_cut(
        &self,
        known: &KnownRef,
        there: &RefWithReflog,
        unexplained: &[&ReflogLine],
        is_right: bool,
        boot: &BootId,
    ) -> Option<&'static str> {
        let last_boot = self.last_boot.as_ref().filter(|last| *last != boot)?;
        if !is_right && unexplained.is_empty() {
            let went_back = known.boot.as_ref() == Some(last_boot) && known.past.contains(&there.value);
            return went_back.then_some("the ref is where it was before the machine stopped");
        }
        let last = self.last_at?;
        let just_then = |line: &&ReflogLine| (0..=UNWRITTEN_MS).contains(&line.at.0.saturating_sub(last.0));
        let lost = unexplained.iter().all(just_then)
            && unexplained.last().is_some_and(|line| line.new == there.value);
        lost.then_some("the journal lost its end when the machine stopped")
    }
}

/// The result of comparing one ref.
enum RefComparison {
    Fine,
    Learn,
    PowerCut(&'static str),
    Stray(UnauthorizedUpdate, Option<String>),
}

/// The results of a comparison.
#[derive(Debug, Default)]
pub struct LedgerFindings {
    /// Refs that moved without being allowed to, and their former name if they were renamed.
    pub strays: Vec<(UnauthorizedUpdate, Option<String>)>,
    /// Unauthorized movements that a later, allowed one has covered.
    pub revealed: Vec<UnauthorizedUpdate>,
    /// Refs that a power cut has reset, and the reason for that conclusion.
    pub power_cut: Vec<(RefState, &'static str)>,
    /// Refs that are legitimate and not known yet: renamed under the lock, new tags.
    pub learn: Vec<RefState>,
}

/// Returns the lines of a reflog that no entry explains, oldest first; `known`: the ref, and those whose name
/// it took over.
fn unexplained<'a>(there: &'a RefWithReflog, known: &[&KnownRef]) -> Vec<&'a ReflogLine> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    let allowed = |mark: &str| known.iter().filter_map(|k| k.marks.get(mark)).sum::<u32>();
    let is_one_more = |line: &&ReflogLine| {
        let mark = signature(&line.old, &line.new);
        let most = allowed(&mark);
        let count = seen.entry(mark).or_default();
        *count += 1;
        *count > most
    };
    there.log.iter().filter(|line| line.old != line.new).filter(is_one_more).collect()
}

#[cfg(test)]
#[path = "ref_ledger_tests.rs"]
mod tests;
