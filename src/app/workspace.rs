//! The context with which every program starts: the repository, its store, and the caller.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::adapters::git::{GitEnv, Repo, RepoError, discover};
use crate::adapters::os::process;
use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::command::Caller;
use crate::domain::facts::Facts;
use crate::domain::health::incident::ProcessEnd;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::policy::checks::{Check, Level};
use crate::domain::refusal::Refusal;
use crate::domain::session::instance::{Instance, InstancePhase, Session};
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::store::audit::journal;
use crate::store::disk::RealDisk;
use crate::store::error::StoreError;
use crate::store::health::{heartbeats, monitor};
use crate::store::{Store, compat_views};

use crate::app::audit::own_ref_log;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::app::identity::{self, identify};

/// The repository and its store.
#[derive(Debug)]
pub struct Context<'a> {
    /// The environment.
    pub env: &'a Env,
    /// The repository.
    pub repo: Repo,
    /// Its state.
    pub store: Store<RealDisk>,
    as_role: Option<String>,
    /// Whether git waits for this program while it holds locks on refs and index: a hook. Then nothing is
    /// done after a publish that would need those locks (saving, unstaging, pinning), nor the check of HEAD,
    /// which a hook makes for the refs that it is asked about; the next command does the rest.
    pub(crate) in_hook: bool,
}

impl<'a> Context<'a> {
    /// Finds the repository, around the working directory or at the given path; nothing is read of its state.
    /// `as_role`: whom the caller wants to act as, when that is not its own identity.
    ///
    /// # Errors
    /// [`Failure`] when there is none, or it is bare.
    pub fn open(env: &'a Env, at: Option<&PathBuf>, as_role: Option<&str>) -> Result<Self, Failure> {
        let repo = find_repo(env, at)?;
        let recorder = own_ref_log::recorder(&repo.common_dir);
        let repo = repo.recording_own_refs(recorder);
        let disk = RealDisk::open(&repo.common_dir)
            .map_err(|e| StoreError::io("open", &repo.common_dir.display().to_string(), e))?;
        Ok(Self { env, repo, store: Store::new(disk), as_role: as_role.map(str::to_owned), in_hook: false })
    }

    /// Does the same for a hook, around the working directory.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub fn open_in_hook(env: &'a Env) -> Result<Self, Failure> {
        Ok(Self { in_hook: true, ..Self::open(env, None, None)? })
    }

    /// Returns the root of this work tree, as far as it can be written down.
    #[must_use]
    pub fn work_tree_name(&self) -> Option<String> {
        self.repo.work_tree.as_ref().and_then(|path| path.to_str()).map(str::to_owned)
    }

    /// Reads the current state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn state(&self) -> Result<State, Failure> {
        Ok(self.store.snapshot()?)
    }

    /// Returns the facts for a decision; a hook cannot save a former holder's work.
    #[must_use]
    pub fn facts(&self, state: &State) -> Facts {
        Facts { saver: (!self.in_hook).then(process::current), ..facts(&self.store, state) }
    }

    /// Identifies the caller (docs/decisions.md D3).
    ///
    /// # Errors
    /// [`Refusal::UnknownIdentity`] when the signs contradict each other, [`Refusal::NotPermitted`]
    /// when another actor than the User uses `--as`.
    pub fn caller(&self, state: &State) -> Result<Caller, Failure> {
        let found = identify(self.env, state, &facts_for_identity(state))?;
        if let Some(refusal) = identity::contradiction(self.env, state, &found) {
            self.record_identity_conflict(state, &found, refusal)?;
        }
        let Some(name) = &self.as_role else { return Ok(found) };
        let wanted = if name.eq_ignore_ascii_case("user") {
            Actor::User
        } else {
            Actor::Role(state.policy.roster.resolve(name)?.role.clone())
        };
        if wanted == found.actor || found.actor == Actor::User {
            return Ok(Caller { actor: wanted, ..found });
        }
        let who_may = if matches!(wanted, Actor::User) {
            "a person at a terminal without a running session".to_owned()
        } else {
            format!("{wanted} itself or the User")
        };
        let (actor, action) = (found.actor, format!("acting as {wanted}"));
        let session_up = state.session_is_up(&facts_for_identity(state));
        Err(Refusal::NotPermitted { actor, action, who_may, session_up }.into())
    }

    /// Refuses a caller in a pane that claims to be another role, as far as the policy says, and records it
    /// for the audit.
    ///
    /// # Errors
    /// That refusal.
    pub(crate) fn record_identity_conflict(
        &self,
        state: &State,
        caller: &Caller,
        refusal: Refusal,
    ) -> Result<(), Failure> {
        let level = state.policy.checks.level(Check::Identity);
        if level == Level::Enforce {
            self.note_refusal(caller, "acting", &refusal);
            return Err(refusal.into());
        }
        if level == Level::Warn {
            self.env.report(&format!("warning: {}", refusal.why()));
        }
        Ok(())
    }

    /// Records a refusal for the audit; it stands even if it cannot be recorded.
    pub fn note_refusal(&self, caller: &Caller, action: &str, refusal: &Refusal) {
        let (at, by) = (crate::adapters::os::clock::now().wall, caller.actor.clone());
        let entry = JournalEntry::Refused { at, by, action: action.to_owned(), why: refusal.why() };
        let _ = journal::append(self.store.disk(), &[entry]);
    }

    /// Brings the views up to date (docs/rules.md R9.4), as far as that goes: nothing depends on them.
    pub fn refresh_views(&self) {
        let _ = compat_views::refresh(self.store.disk(), &|state| self.facts(state));
    }
}

/// Finds the repository around the working directory, or at `--repo`.
///
/// # Errors
/// [`Failure`] when there is none.
pub fn find_repo(env: &Env, at: Option<&PathBuf>) -> Result<Repo, Failure> {
    let cwd = env.cwd.clone().ok_or_else(|| {
        Failure::with_next_step(Exit::Unavailable, "the working directory no longer exists", "cd")
    })?;
    let start = at.map_or_else(|| cwd.clone(), |path| cwd.join(path));
    // --repo says which repository is meant; the variables of a calling git must not overrule it.
    let git_env = if at.is_some() { GitEnv::default() } else { git_env(env) };
    discover(&start, &git_env).map_err(repo_failure)
}

/// Returns the variables by which git tells its children where they are.
#[must_use]
pub fn git_env(env: &Env) -> GitEnv {
    let path = |name: &str| env.get_os(name).map(PathBuf::from);
    GitEnv {
        git_dir: path("GIT_DIR"),
        common_dir: path("GIT_COMMON_DIR"),
        work_tree: path("GIT_WORK_TREE"),
        ceiling_directories: env.get_os("GIT_CEILING_DIRECTORIES").map(Into::into),
        index_file: path("GIT_INDEX_FILE"),
        ..GitEnv::default()
    }
}

fn repo_failure(error: RepoError) -> Failure {
    let text = crate::app::error::with_causes(&error);
    Failure::with_next_step(Exit::Config, text, "cd into a git repository, or name one: --repo PATH")
}

/// Returns the facts for a decision: the clocks, which processes are dead, and when holder and waiters were
/// last active. A caller with these facts cannot save a former holder's work.
#[must_use]
pub fn facts(store: &Store<RealDisk>, state: &State) -> Facts {
    let dead: BTreeSet<Process> = state.processes().filter(|p| !process::is_alive(p)).cloned().collect();
    let holder = state.held().and_then(|held| held.holder.role());
    let waiters = state.queue.iter().filter_map(|waiter| waiter.actor.role());
    let beat = |role: &Role| Some((role.clone(), heartbeats::read(store.disk(), role).ok()??.active));
    let active = holder.into_iter().chain(waiters).filter_map(beat).collect();
    let endings = endings(store, state, &dead);
    Facts { now: crate::adapters::os::clock::now(), dead, active, saver: None, endings }
}

/// Returns how dead processes ended that were not stopped.
fn endings(
    store: &Store<RealDisk>,
    state: &State,
    dead: &BTreeSet<Process>,
) -> BTreeMap<Process, ProcessEnd> {
    let crashed = |i: &&Instance| matches!(i.phase, InstancePhase::Ready | InstancePhase::Crashed);
    let news = state.instances.values().filter(crashed).filter(|i| dead.contains(&i.process));
    let end = |i: &Instance| {
        let how = monitor::pane_end(store.disk(), i.pane_id.as_deref()?, &i.process)?;
        Some((i.process.clone(), how))
    };
    news.filter_map(end).collect()
}

/// Returns the facts that identify a caller: whether the session's server lives, and no more, so that a
/// message costs no look at every process of the state.
#[must_use]
pub fn facts_for_identity(state: &State) -> Facts {
    let server = match &state.session {
        Session::Up { server, .. } => Some(server),
        Session::Down => None,
    };
    let dead = server.into_iter().filter(|p| !process::is_alive(p)).cloned().collect();
    Facts {
        now: crate::adapters::os::clock::now(),
        dead,
        active: BTreeMap::new(),
        saver: None,
        endings: BTreeMap::new(),
    }
}
