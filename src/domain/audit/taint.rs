//! What a violation forbids until the User adopts it: nothing of its branch is pushed, and none of it lands
//! elsewhere (docs/rules.md R6.4).

use crate::domain::audit::journal_entry::ViolationCause;
use crate::domain::audit::violation::{self, TaintedRef, Violation};
use crate::domain::policy::mode::Mode;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

/// The violations whose commits must not go elsewhere: which refs they moved, and to where.
pub fn tainted(state: &State) -> impl Iterator<Item = (&Violation, &TaintedRef)> {
    state.violations.iter().flat_map(|v| v.refs.iter().map(move |place| (v, place)))
}

/// Refuses to land on a tainted branch: where each instance has a branch of its own, whatever moves an
/// integration branch lands there. Where all share one, work goes on, and only pushes and merges wait.
///
/// # Errors
/// [`Refusal::Tainted`].
pub fn may_land_on(state: &State, name: &str) -> Result<(), Refusal> {
    match state.policy.mode {
        Mode::Shared => Ok(()),
        Mode::Worktrees => may_leave(state, name),
    }
}

/// Refuses to push a tainted branch, or to merge it.
///
/// # Errors
/// [`Refusal::Tainted`].
pub fn may_leave(state: &State, name: &str) -> Result<(), Refusal> {
    if let Some((violation, place)) = tainted(state).find(|(_, place)| place.name == name) {
        return Err(refusal(violation, place));
    }
    let of_pin =
        |v: &&Violation| matches!(&v.cause, ViolationCause::Pin { reference } if reference.as_str() == name);
    match state.violations.iter().find(of_pin) {
        None => Ok(()),
        Some(v) => Err(Refusal::Tainted {
            violation: v.id,
            told: violation::describe_cause(&v.cause),
            found: v.found,
        }),
    }
}

/// Why what this violation moved must stay where it is.
#[must_use]
pub fn refusal(violation: &Violation, place: &TaintedRef) -> Refusal {
    Refusal::Tainted { violation: violation.id, told: place.describe(), found: violation.found }
}
