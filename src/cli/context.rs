//! Owns what most tools start with: the repository, its store, and who is asking.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::adapters::git::{GitEnv, Repo, RepoError, discover};
use crate::adapters::process;
use crate::domain::decide::{Asker, Command};
use crate::domain::refusal::Refusal;
use crate::domain::role::{Actor, Role};
use crate::domain::state::{Facts, Phase, Session, State};
use crate::store::disk::RealDisk;
use crate::store::error::StoreError;
use crate::store::{Store, Transacted, World, beats, views};

use super::Common;
use super::env::Env;
use super::exit::Exit;
use super::failure::Failure;

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
        facts(&self.store, state)
    }

    /// Who is asking (DECISIONS 3), and whether that is proven.
    ///
    /// # Errors
    /// [`Refusal::UnknownIdentity`] when the signs contradict each other, [`Refusal::NotPermitted`]
    /// when `--as` is used by somebody else than the User.
    pub fn asker(&self, state: &State) -> Result<Asker, Failure> {
        let found = identify(self.env, state, &session_facts(state))?;
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
        Err(Refusal::NotPermitted { actor: found.actor, action: format!("acting as {wanted}"), who_may }
            .into())
    }

    /// Decides and publishes; afterwards the guide's views follow.
    ///
    /// # Errors
    /// [`Failure`] when the store failed; a refusal stands in the result.
    pub fn transact(&self, asker: &Asker, command: &Command) -> Result<Transacted, Failure> {
        let done = self.store.transact(
            asker,
            command,
            World { facts: &|state| self.facts(state), random: &super::random },
        )?;
        if !done.events.is_empty() {
            self.refresh_views();
        }
        Ok(done)
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

/// What a decision may know of the world: the clocks, which processes are dead, and when the
/// holder was last active.
#[must_use]
pub fn facts(store: &Store<RealDisk>, state: &State) -> Facts {
    let dead = state.processes().filter(|p| !process::is_alive(p)).cloned().collect();
    let holder = state.held().and_then(|held| held.holder.role());
    let beat = |role: &Role| Some((role.clone(), beats::read(store.disk(), role).ok()??.active));
    let active = holder.into_iter().filter_map(beat).collect();
    Facts { now: crate::adapters::clock::now(), dead, active }
}

/// What there is to know for telling who asks: whether the session's server lives, and no more, so
/// that a message costs no look at every process of the state.
fn session_facts(state: &State) -> Facts {
    let server = match &state.session {
        Session::Up { server, .. } => Some(server),
        Session::Down => None,
    };
    let dead = server.into_iter().filter(|p| !process::is_alive(p)).cloned().collect();
    Facts { now: crate::adapters::clock::now(), dead, active: BTreeMap::new() }
}

/// Who this process is (DECISIONS 3): the registered instance among its ancestors; without a
/// session what `CLAUDE_ROLE` says, or a person at a terminal; else nobody knows.
///
/// # Errors
/// [`Refusal::UnknownIdentity`] when `CLAUDE_ROLE` contradicts the ancestors or names nobody.
pub fn identify(env: &Env, state: &State, facts: &Facts) -> Result<Asker, Refusal> {
    let claimed = env.get("CLAUDE_ROLE");
    // Each ancestor costs a look at procfs: none without instances, none beyond the one that fits.
    let instances = || state.instances.iter().filter(|(_, i)| i.phase != Phase::Shutdown);
    let registered = instances()
        .next()
        .and_then(|_| process::lineage().find_map(|p| instances().find(|(_, i)| i.process == p)));
    if let Some((role, instance)) = registered {
        if let Some(claimed) = claimed
            && state.policy.roster.resolve(claimed).is_ok_and(|m| m.role != *role)
        {
            let found = format!("CLAUDE_ROLE says {claimed}, but this process runs in the pane of {role}");
            return Err(Refusal::UnknownIdentity { found });
        }
        return Ok(Asker { actor: Actor::Role(role.clone()), process: instance.process.clone() });
    }
    if state.session_is_up(facts) {
        return Ok(unproven(state));
    }
    if let Some(claimed) = claimed {
        let member = state.policy.roster.resolve(claimed);
        let member = member.map_err(|e| Refusal::UnknownIdentity { found: format!("CLAUDE_ROLE: {e}") })?;
        return Ok(Asker { actor: Actor::Role(member.role.clone()), process: process::owner() });
    }
    if !looks_like_a_person(env) {
        return Ok(unproven(state));
    }
    Ok(Asker { actor: Actor::User, process: process::owner() })
}

/// Somebody unknown. Of unproven ones the process decides who is who, and whoever runs below the
/// holder's process, as what `cmw-lock run` starts does, is the holder.
fn unproven(state: &State) -> Asker {
    let held = state.held().filter(|held| held.holder == Actor::Unproven);
    let above = held.and_then(|held| process::lineage().find(|p| *p == held.process));
    Asker { actor: Actor::Unproven, process: above.unwrap_or_else(process::owner) }
}

/// Somebody at a terminal, and no sign of an agent: all that can be told without a state.
#[must_use]
pub fn looks_like_a_person(env: &Env) -> bool {
    env.has_terminal && env.get("CLAUDECODE").is_none() && env.get("CLAUDE_ROLE").is_none()
}
