//! Refusals: what was refused, who and why, since when, what is safe, and the next command to type.
//!
//! One text of at most three lines that ends in one runnable command, the same in hook, command,
//! dashboard and client (docs/rules.md R12.3). It never names a way around.

use crate::domain::guard::retry_command::commit_only;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::util::sanitize;
use crate::domain::util::time::{WallTime, human};

/// Why the rules say no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else has the write lock.
    Held {
        /// Who.
        holder: Actor,
        /// What for.
        purpose: String,
        /// Since when.
        since: WallTime,
        /// How much of the lease is left, in milliseconds.
        left_ms: u64,
        /// The place in the queue, from 1, when there is one.
        place: Option<usize>,
    },
    /// The lock is kept for somebody who waited for it.
    Offered {
        /// For whom.
        to: Actor,
        /// For how long still, in milliseconds.
        left_ms: u64,
        /// The place in the queue, from 1, when there is one.
        place: Option<usize>,
    },
    /// The lock waits until what its last holder left is saved, which only a command does.
    Unsaved {
        /// Who left it.
        former: Actor,
        /// What the last attempt failed of.
        failure: Option<String>,
        /// The place in the queue, from 1, when there is one.
        place: Option<usize>,
    },
    /// The role shall keep still.
    Paused {
        /// Who wants that.
        by: Actor,
        /// Why; may be empty.
        reason: String,
        /// Since when.
        since: WallTime,
    },
    /// What is staged is, as far as is known, somebody else's work.
    OthersFiles {
        /// Whose it is, and which files, at most a few.
        files: Vec<(String, Role)>,
        /// How many in all.
        count: usize,
        /// What is staged besides; empty also when it is too much to be named.
        own: Vec<String>,
    },
    /// Nobody has the write lock, so whoever wants to move a protected ref takes it first.
    NotHeld {
        /// What was tried.
        action: String,
    },
    /// The lock belongs to somebody else, or to nobody, so there is nothing to give back.
    NotHolder {
        /// Who has it.
        holder: Option<Actor>,
    },
    /// The lease with this token is over.
    StaleToken {
        /// What was given.
        given: u64,
        /// The last token.
        current: u64,
    },
    /// The system is frozen.
    Frozen {
        /// Who froze it.
        by: Actor,
        /// Why.
        reason: String,
        /// Since when.
        since: WallTime,
        /// How many branches are pinned: a hard freeze.
        pinned: usize,
    },
    /// The Librarian reads; it does not write.
    ReadOnly {
        /// The role.
        role: Role,
    },
    /// Only others may do that.
    NotPermitted {
        /// Who asked.
        actor: Actor,
        /// What for.
        action: String,
        /// Who may.
        who_may: String,
        /// Whether a session is up, beside which nobody at a terminal is known.
        session_up: bool,
    },
    /// It has no place in the queue.
    NotQueued {
        /// Who.
        who: Actor,
    },
    /// Files outside the claim would be changed.
    OutsideClaim {
        /// Which, at most a few.
        files: Vec<String>,
        /// How many in all.
        count: usize,
        /// What was claimed.
        claim: String,
    },
    /// Nobody can tell who acts.
    UnknownIdentity {
        /// What was found instead.
        found: String,
    },
    /// A session of this repository runs already.
    SessionUp {
        /// Its name.
        name: String,
    },
    /// Another living process is registered for the role.
    RoleTaken {
        /// The role.
        role: Role,
        /// The process id of the one that has it.
        pid: u32,
    },
    /// It is not frozen.
    NotFrozen,
    /// Somebody went around the hooks, and the person has not looked at it yet.
    Tainted {
        /// The number of the violation.
        violation: u64,
        /// What moved.
        told: String,
        /// When it was found.
        found: WallTime,
    },
    /// A tool would harm others, or get around what protects them.
    Careless {
        /// What is not done, and why.
        what: String,
        /// The command to type instead.
        next: String,
    },
    /// It was only tried whether it would be refused.
    SelfTest,
    /// There is no such violation.
    NoViolation {
        /// What was asked for; none: any.
        id: Option<u64>,
    },
    /// A task is not what it would have to be.
    Task {
        /// Which; none: one that there is not yet.
        id: Option<u64>,
        /// Why not.
        why: String,
    },
    /// Git looks for its hooks elsewhere.
    Diverted {
        /// What tells it so; `None` when nothing tells it where ours are.
        by: Option<String>,
        /// The command to type next.
        next: String,
    },
}

impl Refusal {
    /// What was refused and why: one line.
    #[must_use]
    pub fn why(&self) -> String {
        match self {
            Self::Held { holder, purpose, since, left_ms, .. } => {
                let purpose = if purpose.is_empty() {
                    String::new()
                } else {
                    format!(" for {:?}", sanitize::line(purpose))
                };
                let left = if *left_ms == 0 {
                    "its lease has run out".to_owned()
                } else {
                    format!("{} left", human(*left_ms))
                };
                format!("{holder} has the write lock{purpose} since {} ({left})", since.clock())
            }
            Self::Offered { to, left_ms, .. } => {
                format!("the write lock is kept for {to}, who waited for it ({} left)", human(*left_ms))
            }
            Self::Unsaved { former, failure: None, .. } => {
                format!("{former} lost the write lock, and its uncommitted work is not saved yet")
            }
            Self::Unsaved { former, failure: Some(why), .. } => {
                format!("the uncommitted work of {former} could not be saved: {}", sanitize::line(why))
            }
            Self::Paused { by, reason, since } => {
                let reason =
                    if reason.is_empty() { String::new() } else { format!(": {}", sanitize::line(reason)) };
                format!("{by} paused you since {}{reason}", since.clock())
            }
            Self::OthersFiles { files, count, .. } => {
                let shown: Vec<String> =
                    files.iter().map(|(file, role)| format!("{} ({role})", sanitize::line(file))).collect();
                format!(
                    "this would commit the work of others: {}{}",
                    shown.join(", "),
                    more(*count, files.len())
                )
            }
            Self::NotHeld { action } => format!("{action} needs the write lock, and nobody holds it"),
            Self::NotHolder { holder: Some(holder) } => format!("{holder} has the write lock, not you"),
            Self::NotHolder { holder: None } => "nobody has the write lock".to_owned(),
            Self::StaleToken { given, current } => {
                format!("the lease with token {given} is over; the last one given is {current}")
            }
            Self::Frozen { by, reason, since, .. } => {
                format!("the system is frozen by {by} since {}: {}", since.clock(), sanitize::line(reason))
            }
            Self::ReadOnly { role } => format!("{role} is a librarian, and librarians read only"),
            Self::NotPermitted { actor, action, who_may, .. } => {
                format!("{action} is not for {actor}; {who_may} may")
            }
            Self::NotQueued { who } => format!("{who} has no place in the queue"),
            Self::OutsideClaim { files, count, claim } => {
                let shown: Vec<String> = files.iter().map(|f| sanitize::line(f)).collect();
                format!(
                    "{}{} would change, but the lock was taken for {}",
                    shown.join(", "),
                    more(*count, files.len()),
                    sanitize::line(claim)
                )
            }
            Self::UnknownIdentity { found } => {
                format!("nobody can tell who you are: {}", sanitize::line(found))
            }
            Self::SessionUp { name } => {
                format!("a session of this repository runs already: {}", sanitize::line(name))
            }
            Self::RoleTaken { role, pid } => {
                format!("{role} is registered by another living process ({pid})")
            }
            Self::NotFrozen => "the system is not frozen".to_owned(),
            Self::Tainted { violation, told, found } => format!(
                "{told} past the hooks (V{violation}, found {}): it is neither pushed nor merged until the User adopts it",
                found.clock()
            ),
            Self::Careless { what, .. } => sanitize::line(what),
            Self::SelfTest => "this ref moves for nobody: the hooks hold".to_owned(),
            Self::NoViolation { id: Some(id) } => format!("there is no open violation V{id}"),
            Self::Task { id: Some(id), why } => format!("T{id}: {}", sanitize::line(why)),
            Self::Task { id: None, why } => sanitize::line(why),
            Self::NoViolation { id: None } => "there is no open violation".to_owned(),
            Self::Diverted { by: Some(by), .. } => {
                format!("git does not ask us here: it was told to look for hooks elsewhere, by {by}")
            }
            Self::Diverted { by: None, .. } => {
                "git does not ask us here: nothing tells it where our hooks are".to_owned()
            }
        }
    }

    /// What is safe: one line, when there is something to say.
    #[must_use]
    pub fn safe_state_hint(&self) -> Option<String> {
        match self {
            Self::Unsaved { failure: Some(_), .. } => Some(
                "it is tried again; the Orchestrator or the User may give it up: cmw-rescue abandon".to_owned(),
            ),
            Self::Held { place: Some(place), .. }
            | Self::Offered { place: Some(place), .. }
            | Self::Unsaved { place: Some(place), .. } => {
                Some(format!("you are number {place} in the queue; nothing is lost"))
            }
            Self::Held { place: None, .. }
            | Self::Offered { place: None, .. }
            | Self::Unsaved { place: None, .. }
            | Self::NotHeld { .. }
            | Self::OthersFiles { .. }
            | Self::OutsideClaim { .. } => {
                Some("nothing is lost: your files and the index are as they were".to_owned())
            }
            Self::Paused { .. } => Some("nothing is lost: keep your work as it is and wait".to_owned()),
            Self::Frozen { pinned: 1.., .. } => Some(
                "nothing is lost: keep your work uncommitted and wait; it is frozen hard: of a branch that is \
                 pinned git itself says '….lock: File exists'"
                    .to_owned(),
            ),
            Self::Frozen { .. } => Some("nothing is lost: keep your work uncommitted and wait".to_owned()),
            Self::Tainted { .. } => {
                Some("nothing is lost: it stays where it is".to_owned())
            }
            Self::ReadOnly { .. } => {
                Some("ask a role that may commit; your files are as they were".to_owned())
            }
            Self::UnknownIdentity { .. } | Self::Diverted { .. } => Some("nothing was changed".to_owned()),
            Self::Careless { .. } => Some("nothing is lost: nothing was run".to_owned()),
            Self::NotPermitted { actor: Actor::Unproven, session_up: false, .. } => {
                Some("a person is who types at a terminal of his own: outside of tmux, and no agent".to_owned())
            }
            Self::NotPermitted { actor: Actor::Unproven, .. } => Some(
                "while a session is up a terminal does not tell a person from an agent: end it, or ask in the \
                 Orchestrator's or Librarian's pane"
                    .to_owned(),
            ),
            Self::NotHolder { .. }
            | Self::StaleToken { .. }
            | Self::NotPermitted { .. }
            | Self::NotQueued { .. }
            | Self::SessionUp { .. }
            | Self::RoleTaken { .. }
            | Self::NoViolation { .. }
            | Self::Task { .. }
            | Self::SelfTest
            | Self::NotFrozen => None,
        }
    }

    /// The one command to type next.
    #[must_use]
    pub fn next(&self) -> String {
        match self {
            Self::Held { .. } | Self::Offered { .. } | Self::Unsaved { .. } | Self::NotHeld { .. } => {
                "cmw-lock acquire --wait 10m".to_owned()
            }
            Self::OthersFiles { own, .. } if own.is_empty() => "git status --short".to_owned(),
            Self::OthersFiles { own, .. } => {
                commit_only(None, own, "").unwrap_or_else(|| "git status --short".to_owned())
            }
            Self::NotHolder { .. } | Self::StaleToken { .. } | Self::NotQueued { .. } => {
                "cmw-lock status".to_owned()
            }
            Self::OutsideClaim { files, .. } => {
                let quoted: Vec<String> = files.iter().map(|f| shell_quote(&sanitize::line(f))).collect();
                format!("cmw-lock acquire --files {}", quoted.join(" --files "))
            }
            // A letter to the User would be one to whoever reads this.
            Self::NotPermitted { actor: Actor::Unproven, session_up: true, .. } => {
                "cmw-session down".to_owned()
            }
            Self::NotPermitted { actor: Actor::Unproven, .. } => "cmw".to_owned(),
            Self::NotPermitted { .. } => "cmw-send User --subject 'please decide' -".to_owned(),
            Self::ReadOnly { .. } => "cmw-send Orchestrator --subject 'please commit' -".to_owned(),
            Self::Frozen { .. }
            | Self::Paused { .. }
            | Self::UnknownIdentity { .. }
            | Self::SelfTest
            | Self::NotFrozen => "cmw".to_owned(),
            Self::Tainted { .. } | Self::NoViolation { .. } => "cmw-audit violations".to_owned(),
            Self::SessionUp { .. } | Self::RoleTaken { .. } => "cmw-session status".to_owned(),
            Self::Task { .. } => "cmw-work".to_owned(),
            Self::Diverted { next, .. } | Self::Careless { next, .. } => next.clone(),
        }
    }

    /// What is one's own of what would have been committed together with the work of others.
    #[must_use]
    pub fn own_files(&self) -> Option<&[String]> {
        if let Self::OthersFiles { own, .. } = self {
            Some(own).filter(|own| !own.is_empty()).map(Vec::as_slice)
        } else {
            None
        }
    }

    /// Whether waiting for the lock is what helps.
    #[must_use]
    pub fn is_about_waiting(&self) -> bool {
        match self {
            Self::Held { .. } | Self::Offered { .. } | Self::Unsaved { .. } | Self::NotHeld { .. } => true,
            Self::Paused { .. }
            | Self::OthersFiles { .. }
            | Self::NotHolder { .. }
            | Self::StaleToken { .. }
            | Self::Frozen { .. }
            | Self::ReadOnly { .. }
            | Self::NotPermitted { .. }
            | Self::NotQueued { .. }
            | Self::OutsideClaim { .. }
            | Self::UnknownIdentity { .. }
            | Self::SessionUp { .. }
            | Self::RoleTaken { .. }
            | Self::Tainted { .. }
            | Self::NoViolation { .. }
            | Self::Task { .. }
            | Self::SelfTest
            | Self::Careless { .. }
            | Self::Diverted { .. }
            | Self::NotFrozen => false,
        }
    }

    /// The whole text: at most three lines, the last one the command.
    #[must_use]
    pub fn lines(&self) -> String {
        self.lines_of(self.safe_state_hint().as_deref(), &self.next())
    }

    /// The same with what fits better: another line about what is safe, another command.
    #[must_use]
    pub fn lines_of(&self, safe: Option<&str>, next: &str) -> String {
        let safe = safe.map_or_else(String::new, |safe| format!("{safe}\n"));
        format!("refused: {}\n{safe}next: {next}", self.why())
    }
}

fn more(count: usize, shown: usize) -> String {
    if count > shown { format!(" and {} more", count - shown) } else { String::new() }
}

#[cfg(test)]
#[path = "refusal_tests.rs"]
mod tests;
