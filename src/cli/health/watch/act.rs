//! Owns what can be changed from the screen of `cmw-health --watch`: what will happen, in words, and the
//! command of ours that does it. The rules are that command's.

use crate::app::health::role_status::Row;
use crate::cli::cmw::status::Status;
use crate::domain::freeze::freeze_state::System;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::identity::role::Role;
use crate::domain::util::sanitize;
use crate::domain::util::time::human;

/// Something that can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Take the write lock from its holder.
    ForceRelease,
    /// Let work go on.
    Thaw,
    /// End an instance, if it runs, and start it again.
    Restart(Role),
    /// Let an instance keep still.
    Pause(Role),
    /// Let it go on.
    Resume(Role),
}

impl Act {
    /// What this key means now, and what would happen.
    ///
    /// # Errors
    /// Why there is nothing to be done.
    pub fn wanted(key: char, status: &Status, row: Option<&Row>) -> Result<(Self, String), String> {
        let row = || row.ok_or_else(|| "no instance is selected".to_owned());
        match key {
            'f' => force_release(status),
            't' => thaw(status),
            'r' => row().map(restart),
            'p' => row().map(pause),
            _ => Err(format!("{key} does nothing")),
        }
    }

    /// Whether a reason has to be given.
    #[must_use]
    pub fn wants_reason(&self) -> bool {
        match self {
            Self::ForceRelease | Self::Thaw => true,
            Self::Restart(_) | Self::Pause(_) | Self::Resume(_) => false,
        }
    }

    /// The program of ours and its arguments.
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

    /// The same as a person would type it.
    #[must_use]
    pub fn typed(words: &[String]) -> String {
        words.iter().map(|word| shell_quote(word)).collect::<Vec<_>>().join(" ")
    }
}

fn force_release(status: &Status) -> Result<(Act, String), String> {
    let Some(held) = status.state.held() else { return Err("nobody holds the write lock".to_owned()) };
    let since = human(status.facts.now.wall.ms_since(held.granted_at));
    let next = match status.state.queue.as_slice() {
        [] => "it is free then".to_owned(),
        [only] => format!("{} gets it then", only.actor),
        [first, rest @ ..] => format!("{}, first of {} who wait, gets it then", first.actor, rest.len() + 1),
    };
    let what = format!(
        "Take {} from {}, who has had it for {since}? Its uncommitted work is saved; {next}.",
        held.lock_id(),
        held.holder
    );
    Ok((Act::ForceRelease, what))
}

fn thaw(status: &Status) -> Result<(Act, String), String> {
    let System::Frozen { by, reason, since, .. } = &status.state.system else {
        return Err("nothing is frozen".to_owned());
    };
    let ago = human(status.facts.now.wall.ms_since(*since));
    let what = format!(
        "Thaw what {by} froze {ago} ago ({})? The queue is served, and messages that were held back arrive.",
        sanitize::line(reason)
    );
    Ok((Act::Thaw, what))
}

fn restart(row: &Row) -> (Act, String) {
    let what = format!(
        "Restart {}? What runs in its pane ends, its lock and its place in the queue go; then it starts again, \
         with its conversation where its client remembers it.",
        row.role
    );
    (Act::Restart(row.role.clone()), what)
}

fn pause(row: &Row) -> (Act, String) {
    let role = &row.role;
    if row.paused {
        return (Act::Resume(role.clone()), format!("Let {role} go on?"));
    }
    let what = format!("Pause {role}? It takes no lock and changes nothing until it is resumed.");
    (Act::Pause(role.clone()), what)
}
