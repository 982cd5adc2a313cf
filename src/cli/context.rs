//! Owns what most tools start with: the repository, its store, and who is asking.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::adapters::git::{GitEnv, Repo, RepoError, discover};
use crate::adapters::process;
use crate::domain::decide::{Asker, Command, Reply};
use crate::domain::event::Event;
use crate::domain::incident::Ending;
use crate::domain::policy::{Check, Level};
use crate::domain::process::Process;
use crate::domain::refusal::Refusal;
use crate::domain::role::{Actor, Role};
use crate::domain::state::{Facts, Instance, Phase, Session, State};
use crate::store::disk::RealDisk;
use crate::store::error::StoreError;
use crate::store::journal::{self, Entry};
use crate::store::{Store, Transacted, World, beats, health, views};

use super::env::Env;
use super::exit::Exit;
use super::failure::Failure;
use super::identity::{self, identify};
use super::output::write_err;
use super::{Common, patrol, pins, saving};

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
}

impl<'a> Context<'a> {
    /// Finds the repository; nothing is read of its state.
    ///
    /// # Errors
    /// [`Failure`] when there is none, or it is bare.
    pub fn open(env: &'a Env, common: &Common) -> Result<Self, Failure> {
        let repo = find_repo(env, common.repo.as_ref())?;
        let disk = RealDisk::open(&repo.common_dir)
            .map_err(|e| StoreError::io("open", &repo.common_dir.display().to_string(), e))?;
        Ok(Self { env, repo, store: Store::new(disk), as_role: common.as_role.clone() })
    }

    /// The root of this work tree, as far as it can be written down.
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

    /// What a decision may know of the world.
    #[must_use]
    pub fn facts(&self, state: &State) -> Facts {
        Facts { saver: Some(process::me()), ..facts(&self.store, state) }
    }

    /// Who is asking (DECISIONS 3), and whether that is proven.
    ///
    /// # Errors
    /// [`Refusal::UnknownIdentity`] when the signs contradict each other, [`Refusal::NotPermitted`]
    /// when `--as` is used by somebody else than the User.
    pub fn asker(&self, state: &State) -> Result<Asker, Failure> {
        let found = identify(self.env, state, &session_facts(state))?;
        if let Some(refusal) = identity::contradiction(self.env, state, &found) {
            self.contradicted(state, &found, refusal)?;
        }
        let Some(name) = &self.as_role else { return Ok(found) };
        let wanted = if name.eq_ignore_ascii_case("user") {
            Actor::User
        } else {
            Actor::Role(state.policy.roster.resolve(name)?.role.clone())
        };
        if wanted == found.actor || found.actor == Actor::User {
            return Ok(Asker { actor: wanted, ..found });
        }
        let who_may = if matches!(wanted, Actor::User) {
            "a person at a terminal without a running session".to_owned()
        } else {
            format!("{wanted} itself or the User")
        };
        let (actor, action) = (found.actor, format!("acting as {wanted}"));
        let session_up = state.session_is_up(&session_facts(state));
        Err(Refusal::NotPermitted { actor, action, who_may, session_up }.into())
    }

    /// Somebody in a pane claims to be another role: refused as far as the policy says, and kept for
    /// the audit.
    ///
    /// # Errors
    /// That refusal.
    pub(super) fn contradicted(&self, state: &State, asker: &Asker, refusal: Refusal) -> Result<(), Failure> {
        let level = state.policy.checks.level(Check::Identity);
        if level == Level::Enforce {
            let (at, by) = (crate::adapters::clock::now().wall, asker.actor.clone());
            let entry = Entry::Refused { at, by, action: "acting".to_owned(), why: refusal.why() };
            // The refusal stands whatever becomes of its record.
            let _ = journal::append(self.store.disk(), &[entry]);
            return Err(refusal.into());
        }
        if level == Level::Warn {
            write_err(&format!("warning: {}", refusal.why()));
        }
        Ok(())
    }

    /// Decides and publishes; afterwards the guide's views follow. What a former holder left is saved on
    /// the way when that is this command's turn, and who only waited for that is answered anew.
    ///
    /// # Errors
    /// [`Failure`] when the store failed; a refusal stands in the result.
    pub fn transact(&self, asker: &Asker, command: &Command) -> Result<Transacted, Failure> {
        let mut done = self.publish(asker, command)?;
        // First: until it is done a freeze is not hard, and after a thaw no branch moves.
        done.state = pins::settle_beside(self, &done.state, command).unwrap_or(done.state);
        let Some(unsaved) = saving::due(&done.state, asker, command) else { return Ok(done) };
        let mut waits = false;
        if let Command::Acquire { request, stand_in, .. } = command
            && matches!(done.outcome, Ok(Reply::Queued { .. }))
        {
            // While it saves it is there: what comes free then is its own, and no offer.
            let (request, stand_in) = (request.clone(), stand_in.clone());
            self.publish(asker, &Command::Acquire { request, caller: Some(process::me()), stand_in })?;
            waits = true;
        }
        done.state = saving::save(self, asker, &done.state, &unsaved)?;
        if waits {
            done = self.publish(asker, command)?;
            done.outcome = done.outcome.map(|reply| match reply {
                Reply::Renewed(held) => Reply::Granted(held),
                Reply::Granted(_) | Reply::Queued { .. } | Reply::Released { .. } | Reply::Done => reply,
            });
        }
        Ok(done)
    }

    /// Decides and publishes, and no more.
    ///
    /// # Errors
    /// [`Failure`] when the store failed; a refusal stands in the result.
    pub fn publish(&self, asker: &Asker, command: &Command) -> Result<Transacted, Failure> {
        let world = World { facts: &|state| self.facts(state), random: &super::random };
        let mut done = self.store.transact(asker, command, world)?;
        let granted = done.events.iter().any(|event| matches!(event, Event::LockGranted { .. }));
        if granted && patrol::astray(self, &done.state, asker) {
            // Whoever has the lock now learns at once that something went around it.
            let world = World { facts: &|state| self.facts(state), random: &super::random };
            done.state = self.store.transact(asker, &Command::Observe(Vec::new()), world)?.state;
        }
        if !done.events.is_empty() {
            self.refresh_views();
        }
        Ok(done)
    }

    /// The same for what the programs themselves found: nobody's work is saved on the way.
    ///
    /// # Errors
    /// [`Failure`] when the store failed.
    pub fn publish_only(&self, asker: &Asker, command: &Command) -> Result<Transacted, Failure> {
        let facts = |state: &State| facts(&self.store, state);
        Ok(self.store.transact(asker, command, World { facts: &facts, random: &super::random })?)
    }

    /// Brings the guide's views up to date, as far as that goes: nothing depends on them.
    pub fn refresh_views(&self) {
        let _ = views::refresh(self.store.disk(), &|state| self.facts(state));
    }
}

/// Finds the repository around the working directory, or at `--repo`.
///
/// # Errors
/// [`Failure`] when there is none.
pub fn find_repo(env: &Env, at: Option<&PathBuf>) -> Result<Repo, Failure> {
    let cwd = env
        .cwd
        .clone()
        .ok_or_else(|| Failure::told(Exit::Unavailable, "the working directory no longer exists", "cd"))?;
    let start = at.map_or_else(|| cwd.clone(), |path| cwd.join(path));
    // --repo says which repository is meant; the variables of a calling git must not overrule it.
    let git_env = if at.is_some() { GitEnv::default() } else { git_env(env) };
    discover(&start, &git_env).map_err(repo_failure)
}

/// The variables by which git tells its children where they are.
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
    let text = super::failure::with_causes(&error);
    Failure::told(Exit::Config, text, "cd into a git repository, or name one: --repo PATH")
}

/// What a decision may know of the world: the clocks, which processes are dead, and when holder and
/// waiters were last active. Nobody who asks like this can save a former holder's work.
#[must_use]
pub fn facts(store: &Store<RealDisk>, state: &State) -> Facts {
    let dead: BTreeSet<Process> = state.processes().filter(|p| !process::is_alive(p)).cloned().collect();
    let holder = state.held().and_then(|held| held.holder.role());
    let waiters = state.queue.iter().filter_map(|waiter| waiter.actor.role());
    let beat = |role: &Role| Some((role.clone(), beats::read(store.disk(), role).ok()??.active));
    let active = holder.into_iter().chain(waiters).filter_map(beat).collect();
    let endings = endings(store, state, &dead);
    Facts { now: crate::adapters::clock::now(), dead, active, saver: None, endings }
}

/// How those ended who are dead, and were not stopped.
fn endings(store: &Store<RealDisk>, state: &State, dead: &BTreeSet<Process>) -> BTreeMap<Process, Ending> {
    let crashed = |i: &&Instance| matches!(i.phase, Phase::Ready | Phase::Crashed);
    let news = state.instances.values().filter(crashed).filter(|i| dead.contains(&i.process));
    let end = |i: &Instance| {
        let how = health::end_of(store.disk(), i.pane_id.as_deref()?, &i.process)?;
        Some((i.process.clone(), how))
    };
    news.filter_map(end).collect()
}

/// What there is to know for telling who asks: whether the session's server lives, and no more, so
/// that a message costs no look at every process of the state.
#[must_use]
pub fn session_facts(state: &State) -> Facts {
    let server = match &state.session {
        Session::Up { server, .. } => Some(server),
        Session::Down => None,
    };
    let dead = server.into_iter().filter(|p| !process::is_alive(p)).cloned().collect();
    Facts {
        now: crate::adapters::clock::now(),
        dead,
        active: BTreeMap::new(),
        saver: None,
        endings: BTreeMap::new(),
    }
}
