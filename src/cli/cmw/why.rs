//! `cmw why`: shows what would refuse a commit, in the words of a hook.
//!
//! It tries, acquires and writes nothing.

use serde_json::{Value, json};

use crate::adapters::os::process;
use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::audit::taint;
use crate::domain::command::Caller;
use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::guard::explain::CommitOutlook;
use crate::domain::guard::explain::Explained;
use crate::domain::guard::explain::predict;
use crate::domain::guard::git_ref::RefName;
use crate::domain::guard::permission::{Evidence, Known, Need};
use crate::domain::guard::ref_rules::{RefContext, of_a_commit};
use crate::domain::identity::actor::Actor;
use crate::domain::lock::checks::Owners;
use crate::domain::lock::checks::Warnings;
use crate::domain::lock::describe::action_name;
use crate::domain::lock::event::LockEvent;
use crate::domain::policy::mode::Mode;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::WallTime;
use crate::store::audit::reader::AuditReader;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::{Failure, with_causes};
use crate::app::exit::Exit;
use crate::app::guard::{hook_check, ownership};
use crate::app::workspace::{self, Context};
use crate::cli::Common;
use crate::cli::lock::show::lock_data;

/// How long a refusal is shown, in milliseconds.
const RECENT_MS: i64 = 3_600_000;

/// Runs `cmw why`: for the caller, or for a role.
///
/// # Errors
/// [`Failure`]: no repository, no state, or an unknown caller; a refusal of the commit is no error.
pub fn run(env: &Env, common: &Common, role: Option<&str>) -> Result<Answer, Failure> {
    let context = common.open(env)?;
    let state = context.state()?;
    // A hook's knowledge: it cannot save a former holder's work.
    let facts = workspace::facts(&context.store, &state);
    let whose = whose(&context, &state, role)?;
    let branch = context.repo.head_branch().map_err(|e| git_failed(&e))?;
    let verdict = branch.clone().map(|branch| {
        let ctx = RefContext {
            own_role: whose.caller.actor.role(),
            mode: state.policy.mode,
            protect: &state.policy.protect,
            prune_possible: false,
        };
        of_a_commit(branch, &ctx)
    });
    // This index does not show what another role would commit. A contradiction between variables and pane was
    // reported when the caller was identified.
    let mut known = Known {
        violation: Evidence::Known(
            branch.as_ref().and_then(|branch| taint::may_land_on(&state, branch.as_str()).err()),
        ),
        paths: Evidence::open_if(whose.is_me),
        owners: Evidence::open_if(whose.is_me),
        ..Known::default()
    };
    let (way, warnings): (CommitOutlook, Warnings) = loop {
        let Explained { way, warnings } = predict(&state, &whose.caller, &facts, verdict, &known);
        match way {
            Ok(way) => break (way, warnings),
            Err(need) => look_up(&context, &state, &whose.caller.actor, need, &mut known)?,
        }
    };
    let last = last_refusal(&context, &whose.caller.actor, &facts)?;
    let unguarded = hook_check::problem(&context);
    let mut notes: Vec<String> = Vec::from_iter(unguarded.as_deref().map(hook_check::warning));
    notes.extend(warnings.iter().map(|(_, r)| format!("warning: {}", r.why())));
    if whose.caller.actor == Actor::Unproven {
        notes.push("cannot tell who you are: while others wait for the lock, you come last".to_owned());
    }
    notes.extend(crate::cli::bypass::line(&state, &facts));
    let left = crate::app::freeze::pins::status(context.store.disk(), &state).filter(|look| !look.wanted);
    notes
        .extend(left.map(|left| format!("{}, and stop every git until then: cmw-doctor --fix", left.line())));
    notes.extend(last.as_ref().map(PastRefusal::line));
    let exit = match &way {
        CommitOutlook::Refused(refusal) => Failure::Refused(refusal.clone()).exit(),
        CommitOutlook::Held { .. }
        | CommitOutlook::Free { .. }
        | CommitOutlook::FreeBranch
        | CommitOutlook::NoBranch
        | CommitOutlook::NotAsked
        | CommitOutlook::BreakGlass { .. } => Exit::Done,
    };
    let mine = state.is_holder(&whose.caller.actor, &whose.caller.process);
    let data = json!({
        "role": whose.caller.actor,
        "refused": refused(&way),
        "branch": branch.as_ref().map(RefName::as_str),
        "hooks_off": unguarded,
        "warnings": warnings.iter().map(|(_, r)| r.why()).collect::<Vec<_>>(),
        "last_refusal": last.as_ref().map(PastRefusal::data),
        "lock": lock_data(&state, &facts, mine),
    });
    let mut answer =
        Answer::done(data, whose.said(&way, branch.as_ref(), &state)).noting(notes.join("\n")).exiting(exit);
    answer.hint = match &way {
        CommitOutlook::Refused(refusal) => Some(refusal.next()),
        CommitOutlook::Held { .. }
        | CommitOutlook::Free { .. }
        | CommitOutlook::FreeBranch
        | CommitOutlook::NoBranch
        | CommitOutlook::NotAsked
        | CommitOutlook::BreakGlass { .. } => None,
    };
    Ok(answer)
}

fn git_failed(error: &crate::adapters::git::RepoError) -> Failure {
    Failure::with_next_step(Exit::Unavailable, with_causes(error), "git status")
}

/// The actor that would commit.
struct Committer {
    caller: Caller,
    is_me: bool,
}

/// Returns the actor that would commit. Only the name of another role is known: it is assumed to be alive.
fn whose(context: &Context<'_>, state: &State, role: Option<&str>) -> Result<Committer, Failure> {
    let Some(name) = role else { return Ok(Committer { caller: context.caller(state)?, is_me: true }) };
    let actor = if name.eq_ignore_ascii_case("user") {
        Actor::User
    } else {
        Actor::Role(state.policy.roster.resolve(name)?.role.clone())
    };
    match context.caller(state) {
        Ok(caller) if caller.actor == actor => Ok(Committer { caller, is_me: true }),
        Ok(_) | Err(_) => {
            Ok(Committer { caller: Caller { actor, process: process::current() }, is_me: false })
        }
    }
}

impl Committer {
    /// Returns the text for a terminal.
    fn said(&self, way: &CommitOutlook, branch: Option<&RefName>, state: &State) -> String {
        let who = &self.caller.actor;
        let (in_way, holds, keeps) = if self.is_me {
            ("nothing is in your way".to_owned(), "you hold".to_owned(), "you".to_owned())
        } else {
            (format!("nothing is in the way of {who}"), "it holds".to_owned(), "it".to_owned())
        };
        let branch = branch.map_or_else(|| "HEAD".to_owned(), short);
        match way {
            CommitOutlook::Refused(refusal) if self.is_me => refusal.lines(),
            CommitOutlook::Refused(refusal) => {
                // The branch of another role is not known where each has its own.
                let there = match state.policy.mode {
                    Mode::Shared => String::new(),
                    Mode::Worktrees => format!(" on {branch}"),
                };
                format!("git would tell {who}{there}:\n{}", refusal.lines())
            }
            CommitOutlook::Held { held, until } => {
                let files = sanitize::line(&held.request.files.to_string());
                format!("{in_way}: {holds} {} until {} for {files}", held.lock_id(), until.clock())
            }
            CommitOutlook::Free { kept_until: None } => {
                format!("{in_way}: git commit takes the write lock by itself")
            }
            CommitOutlook::Free { kept_until: Some(until) } => {
                let until = until.clock();
                format!(
                    "{in_way}: the write lock is reserved for {keeps} until {until}, and git commit takes it"
                )
            }
            CommitOutlook::FreeBranch => format!("{in_way}: a commit on {branch} needs no lock"),
            CommitOutlook::NoBranch => {
                format!("{in_way}: no branch is checked out here, so that a commit moves none")
            }
            CommitOutlook::BreakGlass { until } => {
                format!("{in_way}: break-glass is active until {}, and no lock is needed", until.clock())
            }
            CommitOutlook::NotAsked => format!("{in_way}: the policy requires no lock"),
        }
    }
}

fn short(branch: &RefName) -> String {
    let shown = branch.to_string();
    shown.strip_prefix("refs/heads/").unwrap_or(&shown).to_owned()
}

fn refused(way: &CommitOutlook) -> Value {
    match way {
        CommitOutlook::Refused(refusal) => {
            json!({"why": refusal.why(), "safe": refusal.safe_state_hint(), "next": refusal.next()})
        }
        CommitOutlook::Held { .. }
        | CommitOutlook::Free { .. }
        | CommitOutlook::FreeBranch
        | CommitOutlook::NoBranch
        | CommitOutlook::NotAsked
        | CommitOutlook::BreakGlass { .. } => Value::Null,
    }
}

/// Looks up the staged paths and their owners. A commit of given paths looks at those instead.
fn look_up(
    context: &Context<'_>,
    state: &State,
    me: &Actor,
    need: Need,
    known: &mut Known,
) -> Result<(), Failure> {
    let staged = || context.repo.staged_paths(None).map_err(|e| git_failed(&e));
    let looks = need != Need::Owners || ownership::matters(context, state, me);
    if looks && known.paths == Evidence::Open {
        // Without a work tree nothing is staged.
        known.paths = match &context.repo.work_tree {
            Some(_) => Evidence::Known(staged()?),
            None => Evidence::Skipped,
        };
    }
    if need == Need::Owners {
        known.owners = Evidence::Known(match (&known.paths, &context.repo.work_tree) {
            (Evidence::Known(paths), Some(root)) if looks => {
                ownership::owners(context.store.disk(), root, state, me, paths)
            }
            (_, _) => Owners::new(),
        });
    }
    Ok(())
}

/// A recorded refusal.
struct PastRefusal {
    at: WallTime,
    action: String,
    why: String,
}

impl PastRefusal {
    fn line(&self) -> String {
        let (action, why) = (action_name(&self.action), sanitize::line(&self.why));
        format!("last refusal: {} {action}: {why}", self.at.clock())
    }

    fn data(&self) -> Value {
        json!({"at": self.at, "action": self.action, "why": self.why})
    }
}

/// Returns the last refusal of the last hour: the hooks' journal is newer than the audit.
fn last_refusal(context: &Context<'_>, who: &Actor, facts: &Facts) -> Result<Option<PastRefusal>, Failure> {
    let oldest = WallTime(facts.now.wall.0.saturating_sub(RECENT_MS));
    let mut trail = AuditReader::open(context.store.disk())?;
    let noted = trail.pending_entries().into_iter().rev().find_map(|entry| match entry {
        JournalEntry::Refused { at, by, action, why } if by == *who => Some(PastRefusal { at, action, why }),
        JournalEntry::Refused { .. }
        | JournalEntry::Intent { .. }
        | JournalEntry::Observed { .. }
        | JournalEntry::Aborted { .. }
        | JournalEntry::Warned { .. }
        | JournalEntry::Baseline { .. }
        | JournalEntry::Strayed { .. } => None,
    });
    if noted.is_some() {
        return Ok(noted.filter(|refused| refused.at >= oldest));
    }
    while let Some(record) = trail.previous().filter(|record| record.at >= oldest) {
        if let Event::Lock(LockEvent::LockRefused { who: refused, action, why }) = record.event
            && refused == *who
        {
            return Ok(Some(PastRefusal { at: record.at, action, why }));
        }
    }
    Ok(None)
}
