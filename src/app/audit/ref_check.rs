//! Detects refs that moved without permission, and records each of them once: used by `cmw-audit verify`, by
//! other commands periodically, and by the hooks for the ref that is about to move.
//!
//! Findings are appended to the ref journal only when it has not grown since it was read: so two concurrent
//! checks record nothing twice, and a movement that is being allowed at that moment is never taken for a
//! violation. The next publish makes it a violation.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapters::git::Repo;
use crate::adapters::os::clock;
use crate::domain::audit::history;
use crate::domain::audit::journal_entry::{JournalEntry, UnauthorizedUpdate, ViolationCause};
use crate::domain::audit::ref_ledger::{LedgerFindings, RefLedger, WatchLevel};
use crate::domain::audit::reflog::RefWithReflog;
use crate::domain::guard::git_ref::{Oid, RefName, RefTarget};
use crate::domain::guard::ref_rules;
use crate::domain::identity::actor::Actor;
use crate::domain::policy::compiled::Policy;
use crate::store::audit::journal::{self, JournalContents};
use crate::store::audit::log;
use crate::store::disk::{Disk, RealDisk};
use crate::store::document::Document;
use crate::store::error::StoreError;
use crate::store::layout;

use crate::app::audit::open_movements;
use crate::app::error::Failure;
use crate::app::error::git_ref_failure;
use crate::app::exit::Exit;
use crate::app::guard::hook_check;

/// How often one check starts again because the journal has grown in the meantime.
const TRIES: u32 = 40;
/// How many refs one violation names.
const REFS_MAX: usize = 50;

/// The findings of a check, which are in the journal.
#[derive(Debug, Default)]
pub struct CheckReport {
    /// How many new violations there are.
    pub new: usize,
    /// Findings worth reporting that are not violations.
    pub notices: Vec<String>,
    /// How many refs there are.
    pub refs: usize,
    /// The journal as it was read.
    pub chain: JournalContents,
    /// Whether the journal has a baseline of all refs.
    pub has_baseline: bool,
}

/// A check: of which repository, by whom.
#[derive(Clone, Copy, Debug)]
pub struct RefChecker<'a> {
    /// The repository.
    pub repo: &'a Repo,
    /// Its state on disk.
    pub disk: &'a RealDisk,
    /// The policy, which says what is protected.
    pub policy: &'a Policy,
    /// The actor of the check.
    pub by: &'a Actor,
}

impl RefChecker<'_> {
    /// Compares every ref with the journal. `wanted`: the lines whose hashes are compared, and their expected
    /// hashes.
    ///
    /// # Errors
    /// [`Failure`]; busy when the journal keeps growing.
    pub fn check_all(&self, wanted: &[(u64, String)]) -> Result<CheckReport, Failure> {
        self.check(None, wanted)
    }

    /// Compares one ref.
    ///
    /// # Errors
    /// As [`RefChecker::check_all`].
    pub fn check_one(&self, name: &RefName) -> Result<CheckReport, Failure> {
        self.check(Some(name), &[])
    }

    /// Records what moved while git did not run our hooks: the cause can no longer be seen once they are
    /// back. Soft: the next check finds it too.
    pub fn check_before_hooks_restored(&self) {
        if hook_check::problem_in(self.repo, self.disk).is_some() {
            let _ = self.check_all(&[]);
        }
    }

    /// Returns whether a ref is where the last lines of the journal left it: a quick check, which passes when
    /// those lines do not name it. Otherwise checks it closely and records it; returns whether it was
    /// recorded.
    pub fn quick_check(&self, name: &RefName, value: &RefTarget) -> Result<bool, Failure> {
        if self.watch(name.as_str()) != WatchLevel::Always {
            return Ok(false);
        }
        let (book, _) = journal::recent(self.disk, name.as_str())?;
        if book.find_unauthorized(name.as_str(), &ref_rules::value_text(value)).is_none() {
            return Ok(false);
        }
        Ok(self.check_one(name)?.new > 0)
    }

    /// Checks the branch that is checked out, if there is one, like [`RefChecker::quick_check`].
    ///
    /// # Errors
    /// As [`RefChecker::quick_check`].
    pub fn quick_check_head(&self) -> Result<bool, Failure> {
        let Some(branch) = self.repo.head_branch().map_err(|e| git_ref_failure(&e))? else {
            return Ok(false);
        };
        let value = self.repo.read_ref(&branch).map_err(|e| git_ref_failure(&e))?;
        self.quick_check(&branch, &value.into())
    }

    fn watch(&self, name: &str) -> WatchLevel {
        RefName::parse(&crate::domain::util::path_encoding::from_text(name))
            .map_or(WatchLevel::No, |name| ref_rules::watch(&name, self.policy.mode, &self.policy.protect))
    }

    fn check(&self, only: Option<&RefName>, wanted: &[(u64, String)]) -> Result<CheckReport, Failure> {
        let lines: BTreeSet<u64> = wanted.iter().map(|(line, _)| *line).collect();
        for attempt in 0..TRIES {
            if attempt > 0 {
                std::thread::sleep(std::time::Duration::from_millis(u64::from(attempt.min(20)) * 5));
            }
            let (chain, book) = self.read_journal(&lines)?;
            let over = open_movements::outcomes(self.repo, self.disk, &book);
            if !over.is_empty() {
                // They end whether or not another process has recorded them meanwhile.
                journal::append_at(self.disk, chain.end, touches(&over), &over)?;
                continue;
            }
            let mut looked = CheckReport { has_baseline: book.has_baseline(), ..CheckReport::default() };
            let present = match only {
                // Without a baseline only the journal itself can be checked.
                _ if !looked.has_baseline => Ok(BTreeMap::new()),
                None => self.repo.ref_snapshot(),
                Some(name) => self.repo.ref_state(name).map(|seen| [(name.as_str().to_owned(), seen)].into()),
            };
            let present = present.map_err(|e| git_ref_failure(&e))?;
            looked.refs = present.values().filter(|seen: &&RefWithReflog| !seen.value.is_empty()).count();
            let watch = |name: &str| match only {
                _ if !book.has_baseline() => WatchLevel::No,
                Some(only) if only.as_str() != name => WatchLevel::No,
                Some(_) | None => self.watch(name),
            };
            let found = book.compare(&present, &clock::now().boot.boot, watch);
            let faults = if only.is_some() { Vec::new() } else { faults(&chain, &book, wanted) };
            let entries = self.journal_entries(found, faults, &mut looked);
            if entries.is_empty() || journal::append_at(self.disk, chain.end, touches(&entries), &entries)? {
                looked.chain = chain;
                return Ok(looked);
            }
        }
        Err(journal_busy("cmw-audit verify"))
    }

    /// Reads the journal, and its ledger without what no document allowed: such a movement shows like any that
    /// bypassed the hooks. Without an audit that can be read all is believed; that damage is reported for itself.
    fn read_journal(&self, lines: &BTreeSet<u64>) -> Result<(JournalContents, RefLedger), Failure> {
        let mut chain = journal::read_chain(self.disk, lines)?;
        // The audit afterwards: what the journal has was published before.
        let audit = || {
            Ok::<_, StoreError>(
                log::read_published(self.disk, &Document::load(self.disk)?.outbox.records)?.records,
            )
        };
        let Ok(records) = audit() else {
            let book = RefLedger::of(chain.entries.iter().map(|line| &line.entry));
            return Ok((chain, book));
        };
        let boot = clock::now().boot.boot;
        let not =
            history::disbelieved(&records, &boot, chain.entries.iter().map(|line| (line.at, &line.entry)));
        let book = RefLedger::of_believed(chain.entries.iter().map(|line| &line.entry), &not);
        let size =
            self.disk.size(layout::JOURNAL).map_err(|e| StoreError::io("look at", layout::JOURNAL, e))?;
        let fault = history::journal_ends(&records, &boot).into_iter().find_map(|(end, hash)| {
            match chain.ends.get(&end) {
                Some((_, found)) if *found == hash => None,
                Some((number, _)) => {
                    Some((*number, "it is not the line that a record of the audit names".to_owned()))
                }
                // It may have grown since it was read.
                None if end > chain.end && end <= size.unwrap_or(0) => None,
                None => {
                    let why = format!("the audit has seen a line that ended at byte {end}, where none does");
                    Some((chain.lines, why))
                }
            }
        });
        // Another fault explains it.
        chain.faults.extend(fault.filter(|_| chain.faults.is_empty()));
        Ok((chain, book))
    }

    /// Returns the journal entries for the findings.
    fn journal_entries(
        &self,
        mut found: LedgerFindings,
        faults: Vec<(u64, String)>,
        looked: &mut CheckReport,
    ) -> Vec<JournalEntry> {
        let at = clock::now().wall;
        let mut entries = Vec::new();
        if !found.learn.is_empty() {
            entries
                .push(self.baseline("renamed under the lock, or new tags", std::mem::take(&mut found.learn)));
        }
        for (seen, why) in std::mem::take(&mut found.power_cut) {
            looked.notices.push(format!("{}: {why}; not a violation", seen.name));
            entries.push(self.baseline(why, vec![seen]));
        }
        let names: BTreeSet<String> = found
            .strays
            .iter()
            .map(|(stray, _)| stray)
            .chain(&found.revealed)
            .map(|s| s.name.clone())
            .collect();
        let strays = found.strays.iter_mut().map(|(stray, _)| stray).chain(&mut found.revealed);
        strays.for_each(|stray| stray.brings = self.arrived_with_commit(stray, &names));
        let astray = !found.strays.is_empty() || !found.revealed.is_empty();
        let cause = if astray { hook_check::problem_in(self.repo, self.disk) } else { None };
        let cause = cause.map_or(ViolationCause::Unknown, |what| ViolationCause::HooksOff { what });
        for refs in group_violations(found, &cause) {
            entries.push(JournalEntry::Strayed { at, by: self.by.clone(), cause: cause.clone(), refs });
        }
        for (line, why) in faults {
            let cause = ViolationCause::Journal { line, why };
            entries.push(JournalEntry::Strayed { at, by: self.by.clone(), cause, refs: Vec::new() });
        }
        looked.new = entries.iter().filter(|entry| matches!(entry, JournalEntry::Strayed { .. })).count();
        entries
    }

    /// Returns whether the commit at which a ref was found came in with it: the ref was not just reset to it,
    /// and no legitimate branch has it.
    fn arrived_with_commit(&self, stray: &UnauthorizedUpdate, astray: &BTreeSet<String>) -> bool {
        let Ok(commit) = Oid::parse(stray.is.as_bytes()) else { return false };
        let was = Oid::parse(stray.was.as_bytes()).ok();
        if was.is_some_and(|was| self.repo.contains(&was, &commit).unwrap_or(false)) {
            return false;
        }
        self.repo.branches_with(&commit).is_ok_and(|names| names.iter().all(|name| astray.contains(name)))
    }

    fn baseline(&self, why: &str, refs: Vec<crate::domain::audit::journal_entry::RefState>) -> JournalEntry {
        JournalEntry::Baseline { at: clock::now().wall, by: self.by.clone(), why: why.to_owned(), refs }
    }

    /// Adds the refs that the previous policy did not protect to the baseline; and all refs when there never
    /// was a baseline, or the beginning of the journal is lost: that requires `may_begin_anew`, since it
    /// accepts all earlier movements.
    pub fn set_baseline_for_newly_watched(
        &self,
        before: &Policy,
        may_begin_anew: bool,
    ) -> Result<(), Failure> {
        let old = RefChecker { policy: before, ..*self };
        let is_newly = |name: &str| self.watch(name) != WatchLevel::No && old.watch(name) == WatchLevel::No;
        let is_wanted = |book: &RefLedger, name: &str| match book.has_baseline() {
            true => is_newly(name),
            false => may_begin_anew,
        };
        self.set_baseline("protected from now on", is_wanted)
    }

    /// Records the current refs as the baseline. `which`: selects the refs.
    pub fn set_baseline(&self, why: &str, which: impl Fn(&RefLedger, &str) -> bool) -> Result<(), Failure> {
        for _ in 0..TRIES {
            let chain = journal::read_chain(self.disk, &BTreeSet::new())?;
            let book = RefLedger::of(chain.entries.iter().map(|line| &line.entry));
            let mut all = self.repo.ref_snapshot().map_err(|e| git_ref_failure(&e))?;
            for name in book.names() {
                // A deleted ref is recorded as deleted.
                all.entry(name.to_owned()).or_default();
            }
            let wanted = all.iter().filter(|(name, _)| which(&book, name));
            let seen: Vec<_> = wanted.map(|(name, seen)| seen.to_ref_state(name)).collect();
            // A new repository may have no ref yet.
            if seen.is_empty() && (book.has_baseline() || !all.is_empty()) {
                return Ok(());
            }
            // One line stays below the size limit of readers.
            let mut entries: Vec<JournalEntry> = Vec::new();
            let (mut some, mut bytes) = (Vec::new(), 0);
            for sighting in seen {
                bytes += sighting.name.len() + sighting.log.len() + 80;
                some.push(sighting);
                if bytes > 128 << 10 {
                    entries.push(self.baseline(why, std::mem::take(&mut some)));
                    bytes = 0;
                }
            }
            entries.push(self.baseline(why, some));
            if journal::append_at(self.disk, chain.end, |_| true, &entries)? {
                return Ok(());
            }
        }
        Err(journal_busy("cmw-init"))
    }
}

fn journal_busy(next: &str) -> Failure {
    Failure::with_next_step(Exit::Busy, "refs kept moving while they were checked", next)
}

/// Returns a test of whether another entry concerns a ref of these entries, or the journal itself.
fn touches(entries: &[JournalEntry]) -> impl Fn(&JournalEntry) -> bool + use<> {
    let names: BTreeSet<String> = entries.iter().flat_map(JournalEntry::names).map(str::to_owned).collect();
    let of_journal = |entry: &JournalEntry| {
        matches!(entry, JournalEntry::Strayed { cause: ViolationCause::Journal { .. }, .. })
    };
    let is_of_journal = entries.iter().any(of_journal);
    move |other| (is_of_journal && of_journal(other)) || other.names().any(|name| names.contains(name))
}

/// Groups findings into violations: all in one when git does not run our hooks, which is one common cause;
/// else one for each ref, with both names of a renamed one together.
fn group_violations(found: LedgerFindings, cause: &ViolationCause) -> Vec<Vec<UnauthorizedUpdate>> {
    let LedgerFindings { mut strays, revealed, .. } = found;
    let one_cause = matches!(cause, ViolationCause::HooksOff { .. });
    let mut groups: Vec<Vec<UnauthorizedUpdate>> = Vec::new();
    while let Some((stray, from)) = strays.pop() {
        let mut group = vec![stray];
        if let Some(at) = from.and_then(|from| strays.iter().position(|(other, _)| other.name == from)) {
            group.insert(0, strays.remove(at).0);
        }
        groups.push(group);
    }
    groups.reverse();
    groups.extend(revealed.into_iter().map(|stray| vec![stray]));
    if !one_cause {
        return groups;
    }
    let all: Vec<UnauthorizedUpdate> = groups.into_iter().flatten().collect();
    all.chunks(REFS_MAX).map(<[UnauthorizedUpdate]>::to_vec).collect()
}

/// Returns the faults of the journal itself that were not reported yet: the first fault of the chain, and
/// contradictions to anchors.
fn faults(chain: &JournalContents, book: &RefLedger, wanted: &[(u64, String)]) -> Vec<(u64, String)> {
    let mut faults: Vec<(u64, String)> = chain.faults.clone();
    for (line, hash) in wanted {
        match chain.hashes.get(line) {
            Some(found) if found == hash => {}
            Some(_) => faults.push((*line, "it is not the line that was anchored".to_owned())),
            None => {
                let why = format!("it was anchored, and the journal has only {} lines", chain.lines);
                faults.push((*line, why));
            }
        }
    }
    // A changed line shows in the next one too.
    let mut before = u64::MAX - 1;
    faults.sort();
    faults.retain(|(line, _)| {
        let shown_before = std::mem::replace(&mut before, *line);
        !book.knows_fault(*line) && *line != shown_before && *line != shown_before + 1
    });
    faults
}
