//! The context of every hook that decides: the repository, its store, the state, and the caller.

use std::cell::{Cell, OnceCell};
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use cmw::adapters::git::Repo;
use cmw::adapters::os::clock;
use cmw::app::env::Env;
use cmw::app::error::Failure;
use cmw::app::guard::ownership;
use cmw::app::identity::{contradiction, identify};
use cmw::app::workspace::Context;
use cmw::domain::audit::journal_entry::JournalEntry;
use cmw::domain::command::Caller;
use cmw::domain::facts::Facts;
use cmw::domain::guard::git_ref::Oid;
use cmw::domain::guard::hook_input::RefLine;
use cmw::domain::guard::permission::{self, Judgement, Known, Movement, Need, Stop};
use cmw::domain::guard::ref_rules::{CurrentRef, RefContext, RefVerdict, classify};
use cmw::domain::guard::retry_command::commit_only;
use cmw::domain::guard::undo_hint;
use cmw::domain::lock::checks::Owners;
use cmw::domain::lock::checks::Warnings;
use cmw::domain::lock::write_lock::Lease;
use cmw::domain::policy::checks::Check;
use cmw::domain::policy::compiled::Policy;
use cmw::domain::refusal::Refusal;
use cmw::domain::state::State;
use cmw::store::disk::RealDisk;
use cmw::store::health::heartbeats::{self, Heartbeat};
use cmw::store::layout;

use crate::auto_lock;

/// The invocation of a hook, and the repository, which is discovered once and only when needed.
pub(crate) struct HookInvocation {
    /// Lives as long as the program: a hook answers once and ends.
    pub(crate) env: &'static Env,
    called: PathBuf,
    context: OnceCell<Context<'static>>,
    /// Whether git may have changed files before it called the hook.
    late: Cell<bool>,
    /// The commit whose files it may have written, when it is known.
    to: OnceCell<Oid>,
}

impl HookInvocation {
    /// Creates it. `called`: the path under which git called the hook.
    pub(crate) fn new(env: Env, called: &OsStr) -> Self {
        Self {
            env: Box::leak(Box::new(env)),
            called: PathBuf::from(called),
            context: OnceCell::new(),
            late: Cell::new(false),
            to: OnceCell::new(),
        }
    }

    /// Records that git may have changed files before it called the hook: to those of commit `to`, when it is
    /// known.
    pub(crate) fn mark_files_changed(&self, to: Option<Oid>) {
        self.late.set(true);
        if let Some(to) = to {
            let _ = self.to.set(to);
        }
    }

    /// Returns the repository that git is working on.
    ///
    /// # Errors
    /// [`Failure`] when there is none.
    pub(crate) fn repo(&self) -> Result<&Repo, Failure> {
        Ok(&self.context()?.repo)
    }

    /// Returns the repository with its store.
    ///
    /// # Errors
    /// As [`HookInvocation::repo`].
    pub(crate) fn context(&self) -> Result<&Context<'static>, Failure> {
        if let Some(context) = self.context.get() {
            return Ok(context);
        }
        let found = Context::open_in_hook(self.env)?;
        Ok(self.context.get_or_init(|| found))
    }

    /// Returns git's common directory; `None` when there is no repository.
    ///
    /// A hook is in `<common>/cmw/hooks`. When that is also the directory that git names, or would find
    /// first, no discovery is needed: most transactions are about refs that need none.
    pub(crate) fn common_dir(&self) -> Option<PathBuf> {
        if let Some(context) = self.context.get() {
            return Some(context.repo.common_dir.clone());
        }
        let own = || {
            let hooks =
                self.called.parent().filter(|dir| dir.is_absolute() && dir.ends_with(layout::HOOKS))?;
            let common = hooks.ancestors().nth(2)?;
            let elsewhere =
                ["GIT_COMMON_DIR", "GIT_WORK_TREE"].iter().any(|name| self.env.get_os(name).is_some());
            let named = self.env.cwd.as_ref()?.join(self.env.get_os("GIT_DIR").unwrap_or(OsStr::new(".git")));
            let (ours, named) = (std::fs::metadata(common).ok()?, std::fs::metadata(named).ok()?);
            let same = (ours.dev(), ours.ino()) == (named.dev(), named.ino());
            (same && !elsewhere).then(|| common.to_owned())
        };
        own().or_else(|| Some(self.repo().ok()?.common_dir.clone()))
    }
}

/// The repository and its state, read once.
pub(crate) struct HookContext<'a> {
    pub(crate) invocation: &'a HookInvocation,
    pub(crate) context: &'a Context<'static>,
    pub(crate) state: State,
    /// The number of the document that has this state; 0 if it is not known.
    pub(crate) document: u64,
    pub(crate) facts: Facts,
    pub(crate) caller: Caller,
    /// The findings of checks that only warn.
    pub(crate) warnings: Warnings,
}

impl<'a> HookContext<'a> {
    /// Reads everything. Data that cannot be read is a refusal that says how to go on (docs/rules.md I13).
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn read(invocation: &'a HookInvocation) -> Result<Self, Failure> {
        let context = invocation.context()?;
        let (document, state) = context.store.numbered_snapshot()?;
        let facts = context.facts(&state);
        let caller = identify(invocation.env, &state, &facts)?;
        Ok(Self { invocation, context, state, document, facts, caller, warnings: Warnings::new() })
    }

    /// Returns the repository.
    pub(crate) fn repo(&self) -> &'a Repo {
        &self.context.repo
    }

    /// Returns the repository's state directory.
    pub(crate) fn disk(&self) -> &'a RealDisk {
        self.context.store.disk()
    }

    /// Takes over the state that a publish has left.
    pub(crate) fn take_over(&mut self, state: State) {
        (self.state, self.document) = (state, 0);
        self.facts = self.context.facts(&self.state);
    }

    /// Identifies the caller again, after the state has changed.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn identify(&mut self) -> Result<(), Failure> {
        self.caller = identify(self.invocation.env, &self.state, &self.facts)?;
        Ok(())
    }

    /// Runs the one sequence of checks for a movement; returns the lease under which it is allowed, if there
    /// is one. `look_up` finds the evidence that a check needs.
    ///
    /// # Errors
    /// The refusal, or the failure of `look_up`.
    pub(crate) fn permit(
        &mut self,
        movement: &Movement<'_>,
        known: &mut Known,
        mut look_up: impl FnMut(&mut Self, Need, &mut Known) -> Result<(), Failure>,
    ) -> Result<Option<Lease>, Failure> {
        let mut asked = Vec::new();
        loop {
            known.contradiction = contradiction(self.invocation.env, &self.state, &self.caller);
            let Judgement { permit, warnings } =
                permission::judge(&self.state, &self.caller, &self.facts, movement, known);
            let permit = permit.map(|lease| lease.cloned());
            permission::add_warnings(&mut self.warnings, warnings);
            match permit {
                Ok(lease) => return Ok(lease),
                Err(Stop::Refused(refusal)) => return Err(refusal.into()),
                Err(Stop::Needs(need)) => {
                    assert!(!asked.contains(&need), "{need:?} was looked up and is not known");
                    asked.push(need);
                    look_up(self, need, known)?;
                }
            }
        }
    }

    /// Returns the known owners of these paths.
    pub(crate) fn owners(&self, paths: &[Vec<u8>]) -> Owners {
        match self.repo().work_tree.as_ref().filter(|_| !paths.is_empty()) {
            Some(root) => ownership::owners(self.disk(), root, &self.state, &self.caller.actor, paths),
            None => Owners::new(),
        }
    }

    /// Returns whether any file owner may be known.
    pub(crate) fn knows_owners(&self) -> bool {
        ownership::matters(self.context, &self.state, &self.caller.actor)
    }

    /// Prints the warnings, and returns their journal entries.
    pub(crate) fn warned(&self, action: &str) -> Vec<JournalEntry> {
        let (at, by) = (self.facts.now.wall, self.caller.actor.clone());
        let entry = |(check, refusal): &(Check, Refusal)| {
            cmw::adapters::os::stdio::write_err(&format!("cmw: warning: {}", refusal.why()));
            let (by, action, why) = (by.clone(), action.to_owned(), refusal.why());
            JournalEntry::Warned { at, by, action, check: *check, why }
        };
        self.warnings.iter().map(entry).collect()
    }

    /// Classifies a movement for the caller.
    pub(crate) fn verdict(&self, line: &RefLine, current: &CurrentRef, prune_possible: bool) -> RefVerdict {
        let (own_role, policy) = (self.caller.actor.role(), self.policy());
        let ctx = RefContext { own_role, mode: policy.mode, protect: &policy.protect, prune_possible };
        classify(line, current, &ctx)
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.state.policy
    }

    /// Counts this as work of the role, which renews its lease. Soft: a failed write has no other
    /// consequence.
    pub(crate) fn beat(&self) {
        let Some(role) = self.caller.actor.role() else { return };
        let now = clock::now();
        let disk = self.disk();
        let task = heartbeats::read(disk, role).ok().flatten().and_then(|b| b.task);
        let process = self.caller.process.clone();
        let beat = Heartbeat { at: now.wall, beat: now.boot.clone(), active: now.boot, task, process };
        let _ = heartbeats::write(disk, role, &beat);
    }
}

/// Returns the text of a failure for a person or an agent. When waiting for the lock helps, it names the
/// refused command itself, to be typed again under the lock.
pub(crate) fn text(invocation: &HookInvocation, failure: &Failure) -> String {
    let Failure::Refused(refusal) = failure else { return failure.text() };
    let call = || auto_lock::calling_git().map(|caller| caller.call);
    let next = if let Some(own) = refusal.own_files() {
        let prefix = invocation.env.get("GIT_PREFIX").unwrap_or_default();
        call().and_then(|call| call.message()).and_then(|message| commit_only(Some(&message), own, prefix))
    } else if refusal.is_about_waiting() {
        auto_lock::retry_under_lock(invocation)
    } else {
        None
    };
    let safe = if invocation.late.get() {
        undo_hint::undo_hint(refusal, auto_lock::working_git().as_ref(), invocation.to.get())
    } else {
        refusal.safe_state_hint()
    };
    refusal.lines_of(safe.as_deref(), &next.unwrap_or_else(|| refusal.next()))
}

/// Records a refusal by the hook, if possible: it stands even if it cannot be recorded.
pub(crate) fn note_refusal(invocation: &HookInvocation, hook: &str, failure: &Failure) {
    let Failure::Refused(refusal) = failure else { return };
    if *refusal == Refusal::SelfTest {
        return;
    }
    let Ok(context) = HookContext::read(invocation) else { return };
    context.context.note_refusal(&context.caller, hook, refusal);
}
