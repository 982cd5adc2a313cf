//! Taint: until the User adopts a violation, its branch is not pushed, and its commits land nowhere else
//! (docs/rules.md R6.4).

use crate::domain::audit::journal_entry::ViolationCause;
use crate::domain::audit::violation::{self, TaintedRef, Violation};
use crate::domain::policy::mode::Mode;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;

/// Returns the violations with the refs that they moved: their commits must not go elsewhere.
pub fn tainted(state: &State) -> impl Iterator<Item = (&Violation, &TaintedRef)> {
    state.violations.iter().flat_map(|v| v.refs.iter().map(move |place| (v, place)))
}

/// Refuses to land on a tainted branch: in worktrees mode each movement of an integration branch lands there.
/// In shared mode work goes on, and only pushes and merges wait.
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

/// Returns the refusal to move the commits of this violation elsewhere.
#[must_use]
pub fn refusal(violation: &Violation, place: &TaintedRef) -> Refusal {
    Refusal::Tainted { violation: violation.id, told: place.describe(), found: violation.found }
}
