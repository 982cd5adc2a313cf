//! Refusals: what was refused, who and why, since when, what is safe, and the next command to type.
//!
//! The text has at most three lines and ends in one runnable command; it is the same in hook, command,
//! dashboard and client (docs/rules.md R12.3). It never names a way to bypass the rules.

use crate::domain::guard::retry_command::commit_only;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::util::sanitize;
use crate::domain::util::time::{WallTime, human};

/// The reason for which the rules refuse a command or a movement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another actor has the write lock.
    Held {
        /// The holder.
        holder: Actor,
        /// The purpose the holder gave; may be empty.
        purpose: String,
        /// The time of the grant.
        since: WallTime,
        /// Remaining lease time, in milliseconds.
        left_ms: u64,
        /// The caller's place in the queue, from 1, when it has one.
        place: Option<usize>,
    },
    /// The lock is reserved for a waiter.
    Offered {
        /// The waiter.
        to: Actor,
        /// Remaining time of the offer, in milliseconds.
        left_ms: u64,
        /// The caller's place in the queue, from 1, when it has one.
        place: Option<usize>,
    },
    /// The lock stays taken until the last holder's uncommitted work is saved; only a command can save it.
    Unsaved {
        /// The last holder.
        former: Actor,
        /// The reason for which the last attempt failed.
        failure: Option<String>,
        /// The caller's place in the queue, from 1, when it has one.
        place: Option<usize>,
    },
    /// The role is paused.
    Paused {
        /// The actor that paused it.
        by: Actor,
        /// The reason given; may be empty.
        reason: String,
        /// The time of the pause.
        since: WallTime,
    },
    /// Staged files are, as far as is known, the work of other roles.
    OthersFiles {
        /// A few of these files, each with its owner.
        files: Vec<(String, Role)>,
        /// The number of all such files.
        count: usize,
        /// The caller's own staged files; empty also when they are too many to be named.
        own: Vec<String>,
    },
    /// The write lock is free, and the movement needs it.
    NotHeld {
        /// The action that was refused.
        action: String,
    },
    /// The caller does not have the lock and cannot release it.
    NotHolder {
        /// The holder, when there is one.
        holder: Option<Actor>,
    },
    /// The lease with this token is over.
    StaleToken {
        /// The token that was given.
        given: u64,
        /// The last token.
        current: u64,
    },
    /// The system is frozen.
    Frozen {
        /// The actor that froze it.
        by: Actor,
        /// The reason given.
        reason: String,
        /// The time of the freeze.
        since: WallTime,
        /// The number of pinned branches; above 0 the freeze is hard.
        pinned: usize,
    },
    /// The role is a librarian and may not write.
    ReadOnly {
        /// The role of the caller.
        role: Role,
    },
    /// The caller has no right to the action.
    NotPermitted {
        /// The caller.
        actor: Actor,
        /// The action that was refused.
        action: String,
        /// The actors that have the right, as text.
        who_may: String,
        /// Whether a session is up; while it is, a terminal does not identify the User.
        session_up: bool,
    },
    /// The actor has no place in the queue.
    NotQueued {
        /// The actor.
        who: Actor,
    },
    /// Files outside the claim would be changed.
    OutsideClaim {
        /// A few of these files.
        files: Vec<String>,
        /// The number of all such files.
        count: usize,
        /// The claim, as text.
        claim: String,
    },
    /// The identity of the caller cannot be determined.
    UnknownIdentity {
        /// The findings that contradict or do not suffice.
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
        /// The process id of the registered process.
        pid: u32,
    },
    /// The system is not frozen.
    NotFrozen,
    /// The branch was moved bypassing the hooks, and the User has not adopted the violation yet.
    Tainted {
        /// The number of the violation.
        violation: u64,
        /// The movement, as text.
        told: String,
        /// The time at which it was found.
        found: WallTime,
    },
    /// A tool call would harm others, or bypass what protects them.
    Careless {
        /// The text of the refusal.
        what: String,
        /// The command to type instead.
        next: String,
    },
    /// The refusal that the self-test expects.
    SelfTest,
    /// There is no such violation.
    NoViolation {
        /// The number that was asked for; `None`: any.
        id: Option<u64>,
    },
    /// The task does not permit the action.
    Task {
        /// The number of the task; `None`: a task that does not exist yet.
        id: Option<u64>,
        /// The reason.
        why: String,
    },
    /// Git looks for its hooks elsewhere.
    Diverted {
        /// The setting or tool that diverts git; `None` when no setting points to cmw's hooks.
        by: Option<String>,
        /// The command to type next.
        next: String,
    },
}

impl Refusal {
    /// Returns what was refused and why: one line.
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
                let holder = holder.in_sentence();
                format!("{holder} has the write lock{purpose} since {} ({left})", since.clock())
            }
            Self::Offered { to, left_ms, .. } => {
                let (to, left) = (to.in_sentence(), human(*left_ms));
                format!("the write lock is reserved for {to}, who waited for it ({left} left)")
            }
            Self::Unsaved { former, failure: None, .. } => {
                let former = former.in_sentence();
                format!("{former} lost the write lock, and its uncommitted work is not saved yet")
            }
            Self::Unsaved { former, failure: Some(why), .. } => {
                let former = former.in_sentence();
                format!("the uncommitted work of {former} could not be saved: {}", sanitize::line(why))
            }
            Self::Paused { by, reason, since } => {
                let reason =
                    if reason.is_empty() { String::new() } else { format!(": {}", sanitize::line(reason)) };
                format!("{} paused you since {}{reason}", by.in_sentence(), since.clock())
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
            Self::NotHeld { action } => format!("{action} needs the write lock, and it is free"),
            Self::NotHolder { holder: Some(holder) } => {
                format!("{} has the write lock, not you", holder.in_sentence())
            }
            Self::NotHolder { holder: None } => "the write lock is not held".to_owned(),
            Self::StaleToken { given, current } => {
                format!("the lease with token {given} is over; the last one given is {current}")
            }
            Self::Frozen { by, reason, since, .. } => {
                let by = by.in_sentence();
                format!("the system is frozen by {by} since {}: {}", since.clock(), sanitize::line(reason))
            }
            Self::ReadOnly { role } => format!("{role} is a librarian, and librarians read only"),
            Self::NotPermitted { actor, action, who_may, .. } => {
                format!("{action} is not for {}; {who_may} may", actor.in_sentence())
            }
            Self::NotQueued { who } => format!("{} has no place in the queue", who.in_sentence()),
            Self::OutsideClaim { files, count, claim } => {
                let shown: Vec<String> = files.iter().map(|f| sanitize::line(f)).collect();
                format!(
                    "{}{} would change, but the lock was taken for {}",
                    shown.join(", "),
                    more(*count, files.len()),
                    sanitize::line(claim)
                )
            }
            Self::UnknownIdentity { found } => format!("cannot tell who you are: {}", sanitize::line(found)),
            Self::SessionUp { name } => {
                format!("a session of this repository runs already: {}", sanitize::line(name))
            }
            Self::RoleTaken { role, pid } => {
                format!("{role} is registered by another living process ({pid})")
            }
            Self::NotFrozen => "the system is not frozen".to_owned(),
            Self::Tainted { violation, told, found } => format!(
                "{told} bypassing the hooks (V{violation}, found {}): it is neither pushed nor merged until \
                 the User adopts it",
                found.clock()
            ),
            Self::Careless { what, .. } => sanitize::line(what),
            Self::SelfTest => "this ref never moves: the hooks work".to_owned(),
            Self::NoViolation { id: Some(id) } => format!("there is no open violation V{id}"),
            Self::Task { id: Some(id), why } => format!("T{id}: {}", sanitize::line(why)),
            Self::Task { id: None, why } => sanitize::line(why),
            Self::NoViolation { id: None } => "there is no open violation".to_owned(),
            Self::Diverted { by: Some(by), .. } => {
                format!("git does not run cmw's hooks here: it was told to look for hooks elsewhere, by {by}")
            }
            Self::Diverted { by: None, .. } => {
                "git does not run cmw's hooks here: no setting points to them".to_owned()
            }
        }
    }

    /// Returns what is safe: one line, when there is something to say.
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
            Self::NotPermitted { actor: Actor::Unproven, session_up: false, .. } => Some(
                "a person is recognised by a terminal of their own: outside tmux, and not an \
                 agent's"
                    .to_owned(),
            ),
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

    /// Returns the one command to type next.
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
            // A message to the User would be one to its own reader.
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

    /// Returns the caller's own files among those staged together with the work of others.
    #[must_use]
    pub fn own_files(&self) -> Option<&[String]> {
        if let Self::OthersFiles { own, .. } = self {
            Some(own).filter(|own| !own.is_empty()).map(Vec::as_slice)
        } else {
            None
        }
    }

    /// Whether waiting for the lock helps.
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

    /// Returns the whole text: at most three lines, the last one the command.
    #[must_use]
    pub fn lines(&self) -> String {
        self.lines_of(self.safe_state_hint().as_deref(), &self.next())
    }

    /// Returns the same with another line about what is safe and another command.
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
