//! Ends movements that were allowed and whose git is gone without a word (docs/rules.md R6.9).
//!
//! Invariant (the test of the same name is in `tests/fast/audit/open_movements.rs`):
//! * `an_allowed_movement_ends_with_its_git`

use crate::adapters::git::Repo;
use crate::adapters::os::{clock, process};
use crate::app::workspace::Context;
use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::audit::known_ref::OpenMovement;
use crate::domain::audit::ref_ledger::RefLedger;
use crate::domain::guard::git_ref::RefName;
use crate::domain::guard::ref_rules;
use crate::domain::lock::checks;
use crate::domain::policy::checks::{Check, Level};
use crate::domain::state::State;
use crate::domain::util::path_encoding::from_text;
use crate::store::audit::{journal, pending};
use crate::store::disk::RealDisk;
use crate::store::document::Document;

/// Returns the outcomes of open movements whose git is gone: carried out, where the ref has the new value and the
/// movement would still be allowed; else expired, so that a later movement to that value is a violation.
pub(crate) fn outcomes(repo: &Repo, disk: &RealDisk, book: &RefLedger) -> Vec<JournalEntry> {
    let mut state: Option<Option<State>> = None;
    let mut entries = Vec::new();
    for (name, movement) in book.open_movements() {
        let Ok(parsed) = RefName::parse(&from_text(name)) else { continue };
        if !is_over(repo, &parsed, movement) {
            continue;
        }
        // A state that cannot be read counts as frozen.
        let state = state.get_or_insert_with(|| Document::load(disk).ok().map(|document| document.state));
        let Ok(value) = repo.read_ref(&parsed) else { continue };
        let moved = ref_rules::value_text(&value.into()) == movement.new;
        let (at, name, new) = (clock::now().wall, name.to_owned(), movement.new.clone());
        let allowed = state.as_ref().is_some_and(|state| is_still_allowed(state, &parsed, movement.token));
        entries.push(if moved && allowed {
            JournalEntry::Observed { at, name, new, token: movement.token }
        } else {
            JournalEntry::Aborted { at, name, new, expired: true }
        });
    }
    entries
}

/// Whether no git carries it out any more. An entry of the first versions names neither program nor lock.
fn is_over(repo: &Repo, name: &RefName, movement: &OpenMovement) -> bool {
    match (&movement.git, movement.git_lock) {
        (Some(git), _) => !process::is_alive(git),
        (None, Some(lock)) => repo.ref_lock(name) != Some(lock),
        (None, None) => false,
    }
}

/// Whether the lease under which it was allowed still holds; a movement that needed none is allowed unless its
/// ref needs one by now.
fn is_still_allowed(state: &State, name: &RefName, token: u64) -> bool {
    let runs = checks::running(state).is_ok();
    if token > 0 {
        return runs && state.held().is_some_and(|held| held.token == token);
    }
    let needs_lease = state.policy.protect.iter().any(|glob| glob.matches(name.as_str()))
        && state.policy.checks.level(Check::Lock) == Level::Enforce
        && state.glass.is_none();
    runs && !needs_lease
}

/// Ends such movements before a publish, which may end the lease under which they were carried out. Soft: the
/// next check finds them too.
pub(crate) fn end_before_publish(context: &Context<'_>) {
    let disk = context.store.disk();
    let Ok(document) = context.store.document() else { return };
    let Ok(entries) = pending::entries(disk, document.journal_read) else { return };
    let book = RefLedger::of(entries.iter());
    let entries = outcomes(&context.repo, disk, &book);
    if !entries.is_empty() {
        let _ = journal::append(disk, &entries);
    }
}
