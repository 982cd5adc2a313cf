//! The actions of the `cmw-health --watch` screen: a sentence that says what will happen, and the cmw command
//! that does it. Permissions are checked by that command.

use crate::app::health::role_status::RoleStatus;
use crate::cli::cmw::status::Status;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::identity::role::Role;
use crate::domain::util::sanitize;
use crate::domain::util::time::human;

/// An action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Force-releases the write lock.
    ForceRelease,
    /// Lifts the freeze.
    Thaw,
    /// Restarts an instance.
    Restart(Role),
    /// Pauses an instance.
    Pause(Role),
    /// Resumes an instance.
    Resume(Role),
}

impl Action {
    /// Returns the action of this key, and a sentence that says what would happen.
    ///
    /// # Errors
    /// Why it is not possible.
    pub fn wanted(key: char, status: &Status, row: Option<&RoleStatus>) -> Result<(Self, String), String> {
        let row = || row.ok_or_else(|| "no instance is selected".to_owned());
        match key {
            'f' => force_release(status),
            't' => thaw(status),
            'r' => row().map(restart),
            'p' => row().map(pause),
            _ => Err(format!("{key} does nothing")),
        }
    }

    /// Returns whether the action requires a reason.
    #[must_use]
    pub fn wants_reason(&self) -> bool {
        match self {
            Self::ForceRelease | Self::Thaw => true,
            Self::Restart(_) | Self::Pause(_) | Self::Resume(_) => false,
        }
    }

    /// Returns the program and its arguments.
    #[must_use]
    pub fn words(&self, reason: &str) -> Vec<String> {
        let reason = format!("--reason={reason}");
        let role = |role: &Role| role.to_string();
        match self {
            Self::ForceRelease => vec!["cmw-lock".into(), "force-release".into(), reason],
            Self::Thaw => vec!["cmw-freeze".into(), "thaw".into(), reason],
            Self::Restart(which) => vec!["cmw-health".into(), "restart".into(), role(which)],
            Self::Pause(which) => vec!["cmw".into(), "pause".into(), role(which)],
            Self::Resume(which) => vec!["cmw".into(), "resume".into(), role(which)],
        }
    }

    /// Returns the same as a person would type it.
    #[must_use]
    pub fn typed(words: &[String]) -> String {
        words.iter().map(|word| shell_quote(word)).collect::<Vec<_>>().join(" ")
    }
}

fn force_release(status: &Status) -> Result<(Action, String), String> {
    let Some(held) = status.state.held() else { return Err("the write lock is not held".to_owned()) };
    let since = human(status.facts.now.wall.ms_since(held.granted_at));
    let next = match status.state.queue.as_slice() {
        [] => "then it is free".to_owned(),
        [only] => format!("then {} gets it", only.actor.in_sentence()),
        [first, rest @ ..] => {
            let next = first.actor.in_sentence();
            format!("then {next}, first of {} in the queue, gets it", rest.len() + 1)
        }
    };
    let what = format!(
        "Force-release {}, held by {} for {since}? Its uncommitted work is saved; {next}.",
        held.lock_id(),
        held.holder.in_sentence()
    );
    Ok((Action::ForceRelease, what))
}

fn thaw(status: &Status) -> Result<(Action, String), String> {
    let FreezeState::Frozen { by, reason, since, .. } = &status.state.system else {
        return Err("the system is not frozen".to_owned());
    };
    let ago = human(status.facts.now.wall.ms_since(*since));
    let what = format!(
        "Lift the freeze by {by}, {ago} ago ({})? The queue is served, and messages that were held back are delivered.",
        sanitize::line(reason)
    );
    Ok((Action::Thaw, what))
}

fn restart(row: &RoleStatus) -> (Action, String) {
    let what = format!(
        "Restart {}? The process in its pane is ended, its lock and its place in the queue are released; then it starts again, \
         with its conversation if its client keeps it.",
        row.role
    );
    (Action::Restart(row.role.clone()), what)
}

fn pause(row: &RoleStatus) -> (Action, String) {
    let role = &row.role;
    if row.paused {
        return (Action::Resume(role.clone()), format!("Resume {role}?"));
    }
    let what = format!("Pause {role}? It acquires no lock and changes nothing until it is resumed.");
    (Action::Pause(role.clone()), what)
}
