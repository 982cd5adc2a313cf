//! Owns the words of `cmw-init`.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::json;

use crate::adapters::clock;
use crate::adapters::git::Repo;
use crate::adapters::git::config::Config;
use crate::domain::decide::{Asker, Command};
use crate::domain::policy::{Mode, Policy, Preset};
use crate::domain::refusal::Refusal;
use crate::domain::role::Actor;
use crate::domain::state::{Session, State};
use crate::store::disk::{Disk, RealDisk};
use crate::store::error::StoreError;
use crate::store::{hookdir, layout};

use super::context::Context;
use super::env::Env;
use super::exit::Exit;
use super::failure::{Failure, with_causes};
use super::identity::{identify, looks_like_a_person};
use super::output::{Answer, Style};
use super::{Common, policy_config, uninstall};

/// The hooks that decide something.
pub const OWN_HOOKS: [&str; 2] = ["pre-commit", "reference-transaction"];

/// How long one `cmw-init` waits for another.
const INIT_WAIT_MS: u64 = 20_000;

/// Set up cmw in this repository; running it again applies changed configuration
#[derive(Parser, Debug)]
#[command(name = "cmw-init", version, after_help = policy_config::KEYS)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    /// How many checks the hooks make: solo, team or strict
    #[arg(long)]
    preset: Option<Preset>,
    /// shared: all instances in one work tree; worktrees: one for each
    #[arg(long)]
    mode: Option<Mode>,
    /// How many roles
    #[arg(long, value_name = "N", value_parser = role_count)]
    roles: Option<usize>,
    /// The tmux session's name
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// What panes run (default: the demo agent)
    #[arg(long, value_name = "COMMAND")]
    agent: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove everything of ours, restore everything of theirs
    #[arg(long)]
    uninstall: bool,
}

fn role_count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|n| policy_config::ROLES.contains(n));
    count.ok_or_else(|| {
        format!("a number from {} to {}", policy_config::ROLES.start(), policy_config::ROLES.end())
    })
}

/// Runs `cmw-init`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    super::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = Context::open(env, &cli.common)?;
    if context.repo.bare {
        let what = format!(
            "{} is a bare repository; cmw guards a repository with a work tree",
            context.repo.common_dir.display()
        );
        return Err(Failure::told(Exit::Config, what, "cd into a clone of it, then cmw-init"));
    }
    let setter = Setter::of(&context, cli.uninstall)?;
    if cli.uninstall {
        return uninstall::run(&context, &setter, cli.dry_run);
    }
    let plan = Plan::of(&context, cli, &setter)?;
    if cli.dry_run {
        return Ok(plan.answer("would be set up"));
    }
    let _lock = lock(context.store.disk())?;
    // Another cmw-init may have finished while this one waited: what it did is not done twice.
    let plan = Plan::of(&context, cli, &setter)?;
    plan.carry_out(&context, cli, &setter.asker)?;
    context.refresh_views();
    Ok(plan.answer("is set up"))
}

/// Keeps other runs of `cmw-init` out.
///
/// # Errors
/// [`StoreError`] when another one does not end.
pub fn lock(disk: &RealDisk) -> Result<impl Drop, StoreError> {
    disk.ensure_dir("cmw").map_err(|e| StoreError::io("make", "cmw", e))?;
    disk.lock(layout::INIT_LOCK, INIT_WAIT_MS).map_err(|e| StoreError::io("lock", layout::INIT_LOCK, e))
}

/// Who runs `cmw-init`.
#[derive(Debug)]
pub struct Setter {
    /// Who.
    pub asker: Asker,
    /// Whether it may change what was settled.
    may_change: bool,
    session_up: bool,
}

impl Setter {
    /// Agents do not change the rules under which they work (DOMAIN section 5): a person does, or
    /// a script without a terminal while no session is up and nothing says that it is an agent's.
    /// A person gets rid of cmw even when its state cannot be read (DESIGN section 3).
    fn of(context: &Context<'_>, uninstall: bool) -> Result<Self, Failure> {
        let by = |actor| Asker { actor, process: crate::adapters::process::owner() };
        let env = context.env;
        let state = match context.store.snapshot() {
            Ok(state) => state,
            Err(StoreError::NotInitialised) => {
                return Ok(Self { asker: by(Actor::Unproven), may_change: true, session_up: false });
            }
            Err(_) if uninstall && looks_like_a_person(env) => {
                return Ok(Self { asker: by(Actor::User), may_change: true, session_up: false });
            }
            Err(error) => return Err(error.into()),
        };
        let facts = context.facts(&state);
        let asker = identify(env, &state, &facts)?;
        let is_agents = env.get("CLAUDECODE").is_some() || env.get("CLAUDE_ROLE").is_some();
        let session_up = state.session_is_up(&facts);
        let may_change = match asker.actor {
            Actor::User => true,
            Actor::Unproven => !is_agents && !session_up,
            Actor::Role(_) | Actor::System => false,
        };
        Ok(Self { asker, may_change, session_up })
    }

    /// Refuses an action to whoever may not change what was settled.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`].
    pub fn require(&self, action: &str) -> Result<(), Refusal> {
        if self.may_change {
            return Ok(());
        }
        let who_may = match self.asker.actor {
            Actor::Unproven => "the User, while no session is up,",
            Actor::Role(_) | Actor::User | Actor::System => "the User",
        };
        let (actor, action) = (self.asker.actor.clone(), action.to_owned());
        Err(Refusal::NotPermitted { actor, action, who_may: who_may.to_owned(), session_up: self.session_up })
    }
}

/// What is to be done, worked out before anything is.
struct Plan {
    policy: Policy,
    /// `core.hooksPath` as it is to be.
    hooks_path: String,
    /// The directory whose hooks run after ours.
    chained: String,
    /// Under which names our program will stand.
    names: Vec<String>,
    /// Whether the state is there already.
    again: bool,
    notes: Vec<String>,
}

impl Plan {
    fn of(context: &Context<'_>, cli: &Cli, setter: &Setter) -> Result<Self, Failure> {
        let repo = &context.repo;
        let config = repo.read_all().map_err(git_failure)?;
        let branch = repo.head_branch().ok().flatten().map(|name| name.to_string());
        let branch = branch.filter(|_| setter.may_change);
        let wanted = with_options(config.clone(), cli);
        let mut policy = policy_config::compile(&wanted, branch.as_deref())?;
        let old = match context.store.snapshot() {
            Ok(state) => Some(state),
            Err(StoreError::NotInitialised) => None,
            Err(error) => return Err(error.into()),
        };
        let ours = repo.common_dir.join(hookdir::DIR);
        let hooks_path = ours.to_str().map(str::to_owned).ok_or_else(|| {
            let what = format!("{} is not UTF-8, and core.hooksPath must be", ours.display());
            Failure::told(Exit::Config, what, "")
        })?;
        let before = config.get("core.hooksPath").map(|e| (e.text().to_owned(), e.is_local()));
        let place = |(path, local): &(String, bool)| local.then(|| former_place(path, &repo.common_dir))?;
        let moved = before.as_ref().and_then(place).filter(|_| old.is_some());
        let taken = before.as_ref().filter(|(path, _)| *path != hooks_path && moved.is_none());
        // Ours is in effect already: what it chains was settled then.
        let former = match (&old, taken) {
            (_, Some((path, true))) => Some(path.clone()),
            (Some(state), None) => state.policy.former_hooks_path.clone(),
            (None, None) | (_, Some((_, false))) => None,
        };
        policy.former_hooks_path = former;
        let chained = match (taken, read_chained(context.store.disk())) {
            (Some((path, _)), _) => path.clone(),
            (None, Some(chained)) if old.is_some() => moved_along(chained, moved.as_deref(), repo),
            (None, _) => repo.common_dir.join("hooks").display().to_string(),
        };
        if let (Some(state), false) = (&old, setter.may_change) {
            policy_config::keep_branch(&mut policy, &state.policy, &wanted);
            let chains_others = read_chained(context.store.disk()).is_some_and(|before| before != chained);
            if policy != state.policy || chains_others {
                setter.require("changing the policy")?;
            }
        }
        let names = names(context, &chained);
        let mut plan = Self { policy, hooks_path, chained, names, again: old.is_some(), notes: Vec::new() };
        plan.propose(&config, context.env);
        Ok(plan)
    }

    fn propose(&mut self, config: &Config, env: &Env) {
        let named = ["GIT_AUTHOR_EMAIL", "EMAIL"].iter().any(|name| env.get(name).is_some());
        if !named && config.get("user.email").is_none() {
            self.notes.push(
                "git does not know who you are, and refuses commits without a name:\n  git config user.name NAME && git config user.email ADDRESS".to_owned(),
            );
        }
        if config.get("core.fsync").is_none() {
            self.notes.push(
                "git syncs no refs by itself: after a power cut a commit may be gone. To have them synced (about 1 ms a commit):\n  git config core.fsync committed,reference".to_owned(),
            );
        }
    }

    fn carry_out(&self, context: &Context<'_>, cli: &Cli, asker: &Asker) -> Result<(), Failure> {
        let disk = context.store.disk();
        let program = own_program()?;
        if self.again {
            let command = Command::SetPolicy(Box::new(self.policy.clone()));
            context.transact(asker, &command)?.outcome?;
        }
        remember_options(context, cli)?;
        let state = State::new(new_id(), self.policy.clone());
        context.store.create(state, &clock::now(), &asker.actor)?;
        write_chained(disk, &self.chained)?;
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        hookdir::install(disk, &program, &names).map_err(|e| StoreError::io("install", hookdir::DIR, e))?;
        // Last: from here on git asks us, and everything that it needs is there.
        context.repo.set_local("core.hooksPath", &self.hooks_path).map_err(git_failure)
    }

    fn answer(&self, word: &str) -> Answer {
        let policy = &self.policy;
        let roles: Vec<&str> = policy.roster.members().iter().map(|m| m.role.as_str()).collect();
        let mut text =
            format!("cmw {word}: {} roles, mode {}, preset {}\n", roles.len(), policy.mode, policy.preset);
        let _ = writeln!(text, "roles: {}", roles.join(" "));
        let _ = writeln!(text, "hooks: {} (then those in {})", self.hooks_path, self.chained);
        let data = json!({
            "roles": roles, "mode": policy.mode, "preset": policy.preset, "hooks_path": self.hooks_path,
            "chained_hooks": self.chained, "hooks": self.names, "session": policy.session,
            "digest": policy.digest(), "protect": policy.protect,
        });
        let mut note = self.notes.join("\n");
        if !note.is_empty() {
            note.push('\n');
        }
        note.push_str("next: cmw-session up");
        Answer::done(data, text).noting(note)
    }
}

/// Where git's common directory was when `core.hooksPath` was set to our hooks, when that was
/// elsewhere: the repository was moved or copied since.
#[must_use]
pub fn former_place(hooks_path: &str, common_dir: &Path) -> Option<PathBuf> {
    let path = Path::new(hooks_path);
    let place = path.ends_with(hookdir::DIR).then(|| path.parent()?.parent())??;
    (path.is_absolute() && place != common_dir).then(|| place.to_owned())
}

/// A directory of hooks inside the repository has moved with it.
fn moved_along(chained: String, from: Option<&Path>, repo: &Repo) -> String {
    let inside = from.and_then(|from| Path::new(&chained).strip_prefix(from).ok());
    inside.map_or_else(|| chained.clone(), |inside| repo.common_dir.join(inside).display().to_string())
}

/// The options of the command line stand over the configuration, and are kept in it.
fn with_options(mut config: Config, cli: &Cli) -> Config {
    for (key, value) in options(cli) {
        config.overrule(key, &value);
    }
    config
}

fn options(cli: &Cli) -> Vec<(&'static str, String)> {
    let all = [
        ("cmw.preset", cli.preset.map(|p| p.to_string())),
        ("cmw.mode", cli.mode.map(|m| m.to_string())),
        ("cmw.roles", cli.roles.map(|n| n.to_string())),
        ("cmw.session", cli.session.clone()),
        ("cmw.agent", cli.agent.clone()),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn remember_options(context: &Context<'_>, cli: &Cli) -> Result<(), Failure> {
    for (key, value) in options(cli) {
        context.repo.set_local(key, &value).map_err(git_failure)?;
    }
    Ok(())
}

/// Our own hooks, and one for each executable hook that is chained.
fn names(context: &Context<'_>, chained: &str) -> Vec<String> {
    let root = context.repo.work_tree.as_deref().unwrap_or(&context.repo.common_dir);
    let mut names: Vec<String> = OWN_HOOKS.map(str::to_owned).to_vec();
    names.extend(
        executable_hooks(&root.join(chained)).into_iter().filter(|n| !OWN_HOOKS.contains(&n.as_str())),
    );
    names
}

/// The executable files of a hooks directory that git could call.
#[must_use]
pub fn executable_hooks(dir: &std::path::Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let is_hook = |entry: &std::fs::DirEntry| {
        std::fs::metadata(entry.path()).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(is_hook)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        .collect();
    names.sort();
    names
}

/// The program that stands under the hooks' names: it lies beside this one.
///
/// # Errors
/// [`Failure`] when it does not.
pub fn own_program() -> Result<Vec<u8>, Failure> {
    let here = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("cmw-hook")));
    let path = here.unwrap_or_else(|| "cmw-hook".into());
    std::fs::read(&path).map_err(|e| {
        let what = format!("the hook program {} cannot be read: {e}", path.display());
        Failure::told(Exit::Unavailable, what, "build all programs: cargo build --release")
    })
}

/// The directory whose hooks run after ours, as it was settled.
#[must_use]
pub fn read_chained(disk: &RealDisk) -> Option<String> {
    let bytes = disk.read(layout::CHAINED_HOOKS, 8 << 10).ok()??;
    Some(String::from_utf8(bytes).ok()?.trim_end_matches('\n').to_owned())
}

fn write_chained(disk: &RealDisk, chained: &str) -> Result<(), StoreError> {
    let (file, tmp) = (layout::CHAINED_HOOKS, "cmw/chained-hooks.tmp");
    if read_chained(disk).as_deref() == Some(chained) {
        return Ok(());
    }
    disk.remove(tmp)
        .and_then(|()| disk.create_new(tmp, format!("{chained}\n").as_bytes()))
        .and_then(|()| disk.sync(tmp))
        .and_then(|()| disk.rename(tmp, file))
        .and_then(|()| disk.sync_dir("cmw"))
        .map_err(|e| StoreError::io("write", file, e))
}

/// A new ULID, for the repository's name.
fn new_id() -> String {
    ulid::Ulid::from_parts(u64::try_from(clock::now().wall.0).unwrap_or(0), super::random()).to_string()
}

/// What git said, as a failure.
pub fn git_failure(error: crate::adapters::git::RepoError) -> Failure {
    Failure::told(Exit::Config, with_causes(&error), "git config --list --show-origin")
}

/// Whether a session is up, for those who must not pull the ground from under it.
#[must_use]
pub fn session_name(state: &State, context: &Context<'_>) -> Option<String> {
    match &state.session {
        Session::Up { name, .. } if state.session_is_up(&context.facts(state)) => Some(name.clone()),
        Session::Up { .. } | Session::Down => None,
    }
}
