//! Numbers violations: a finding with the cause of an open violation makes that one grow.

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::{UnauthorizedUpdate, ViolationCause};
use crate::domain::audit::violation::Violation;
use crate::domain::state::State;

/// The number of movements up to which a violation grows; the next one is a violation of its own.
const MOVEMENTS_MAX: usize = 50;

/// Numbers a violation that was found: an open one of the same cause grows, so that one tool that took over the
/// hooks is one violation, however many commits it lets through (docs/rules.md R6.4).
pub fn number(state: &State, event: &mut AuditEvent) {
    let AuditEvent::ViolationFound { id, cause, refs, grows } = event else { return };
    let same = state.violations.iter().find(|open| is_of(open, cause, refs));
    *grows = same.is_some();
    *id = same.map_or(state.last.violation + 1, |open| open.id);
}

/// Whether a finding has the cause of an open violation. All movements of one ref without a known cause count as
/// one cause.
fn is_of(open: &Violation, cause: &ViolationCause, refs: &[UnauthorizedUpdate]) -> bool {
    // Each time another part of a file is damaged, its evidence is in another place.
    let is_same = match (&open.cause, cause) {
        (ViolationCause::Damage(old), ViolationCause::Damage(new)) => old.file == new.file,
        (ViolationCause::Message { .. }, ViolationCause::Message { .. }) => true,
        (old, new) => old == new,
    };
    let is_known = *cause != ViolationCause::Unknown;
    is_same
        && open.refs.len() + refs.len() <= MOVEMENTS_MAX
        && (is_known || refs.iter().all(|new| open.refs.iter().any(|old| old.name == new.name)))
}
