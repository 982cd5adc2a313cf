//! `cmw-init`: sets up the repository, and applies changed configuration.

pub mod uninstall;
use std::ffi::OsString;
use std::fmt::Write;

use clap::Parser;
use serde_json::json;

use crate::adapters::git::config::Config;
use crate::adapters::os::clock;
use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::audit::journal_entry::SET_UP;
use crate::domain::command::{Caller, Command};
use crate::domain::identity::actor::Actor;
use crate::domain::policy::checks::Preset;
use crate::domain::policy::compiled::Policy;
use crate::domain::policy::mode::Mode;
use crate::domain::refusal::Refusal;
use crate::domain::session::instance::Session;
use crate::domain::state::State;
use crate::store::audit::journal;
use crate::store::disk::{Disk, RealDisk};
use crate::store::error::StoreError;
use crate::store::guard::hookdir;
use crate::store::layout;

use crate::app::answer::Answer;
use crate::app::audit::ref_check::RefChecker;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::error::git_config_failure;
use crate::app::exit::Exit;
use crate::app::guard::git_hook_config;
use crate::app::guard::hook_chain::{self, HookAdoption, HookChain, write_chained};
use crate::app::identity::{contradiction, identify, is_likely_person};
use crate::app::policy::config;
use crate::app::programs::hook_program;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::output::Style;

/// How long one `cmw-init` waits for another.
const INIT_WAIT_MS: u64 = 60_000;

/// Set up cmw in this repository; run it again to apply changed configuration
#[derive(Parser, Debug)]
#[command(name = "cmw-init", version, after_help = config::KEYS)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    /// Which checks the hooks make: solo, team or strict
    #[arg(long)]
    preset: Option<Preset>,
    /// shared: all instances in one work tree; worktrees: one work tree for each
    #[arg(long)]
    mode: Option<Mode>,
    /// The number of roles
    #[arg(long, value_name = "N", value_parser = role_count)]
    roles: Option<usize>,
    /// The tmux session's name
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// The command that panes run (default: the demo agent)
    #[arg(long, value_name = "COMMAND")]
    agent: Option<String>,
    /// Reinstall our hooks, and run after them the hooks that another tool installed instead (also done
    /// without this option)
    #[arg(long)]
    adopt_hooks: bool,
    /// Only print what would be done
    #[arg(long)]
    dry_run: bool,
    /// Remove everything cmw installed, and restore the previous configuration
    #[arg(long)]
    uninstall: bool,
}

fn role_count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|n| config::ROLES.contains(n));
    count
        .ok_or_else(|| format!("expected a number from {} to {}", config::ROLES.start(), config::ROLES.end()))
}

/// Runs `cmw-init`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    crate::cli::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = cli.common.open(env)?;
    if context.repo.bare {
        let what = format!(
            "{} is a bare repository; cmw needs a repository with a work tree",
            context.repo.common_dir.display()
        );
        return Err(Failure::with_next_step(Exit::Config, what, "cd into a clone of it, then cmw-init"));
    }
    let init_caller = InitCaller::of(&context, cli.uninstall)?;
    if cli.uninstall {
        return uninstall::run(&context, &init_caller, cli.dry_run);
    }
    let plan = SetupPlan::of(&context, cli, &init_caller)?;
    if cli.dry_run {
        return Ok(plan.answer("would be set up"));
    }
    let _lock = lock(context.store.disk())?;
    // Another cmw-init may have finished while this one waited: its changes are not repeated.
    let plan = SetupPlan::of(&context, cli, &init_caller)?;
    plan.carry_out(&context, cli, &init_caller)?;
    context.refresh_views();
    Ok(plan.answer("is set up"))
}

/// Excludes other runs of `cmw-init`.
///
/// # Errors
/// [`StoreError`] when another one does not end in time.
pub fn lock(disk: &RealDisk) -> Result<impl Drop, StoreError> {
    disk.ensure_dir("cmw").map_err(|e| StoreError::io("make", "cmw", e))?;
    disk.lock(layout::INIT_LOCK, INIT_WAIT_MS).map_err(|e| StoreError::io("lock", layout::INIT_LOCK, e))
}

/// The caller of `cmw-init`.
#[derive(Debug)]
pub struct InitCaller {
    /// Its identity.
    pub caller: Caller,
    /// Whether it may change the existing configuration.
    may_change: bool,
    session_up: bool,
}

impl InitCaller {
    /// Agents may not change the rules under which they work (docs/rules.md R5.5): a person may, and so may a
    /// script without a terminal while no session is up and no environment variable marks it as an agent's. A
    /// person can uninstall cmw even when its state cannot be read (docs/rules.md R12.6).
    fn of(context: &Context<'_>, uninstall: bool) -> Result<Self, Failure> {
        let by = |actor| Caller { actor, process: crate::adapters::os::process::owner() };
        let env = context.env;
        let state = match context.store.snapshot() {
            Ok(state) => state,
            Err(StoreError::NotInitialised) => {
                return Ok(Self { caller: by(Actor::Unproven), may_change: true, session_up: false });
            }
            Err(_) if uninstall && is_likely_person(env) => {
                return Ok(Self { caller: by(Actor::User), may_change: true, session_up: false });
            }
            Err(error) => return Err(error.into()),
        };
        let facts = context.facts(&state);
        let caller = identify(env, &state, &facts)?;
        if let Some(refusal) = contradiction(env, &state, &caller) {
            context.record_identity_conflict(&state, &caller, refusal)?;
        }
        let is_agents = env.get_os("CLAUDECODE").is_some() || env.get_os("CLAUDE_ROLE").is_some();
        let session_up = state.session_is_up(&facts);
        let may_change = match caller.actor {
            Actor::User => true,
            Actor::Unproven => !is_agents && !session_up,
            Actor::Role(_) | Actor::System => false,
        };
        Ok(Self { caller, may_change, session_up })
    }

    /// Refuses a change by a caller that may not make it, and records the refusal for the audit.
    ///
    /// # Errors
    /// The refusal.
    fn refuse(
        &self,
        context: &Context<'_>,
        state: &State,
        policy: &Policy,
        adoption: Option<&HookAdoption>,
        dry_run: bool,
    ) -> Result<(), Failure> {
        // A different former hooks path means no more than that hooks were adopted.
        let former_hooks_path = state.policy.former_hooks_path.clone();
        let only_hooks = Policy { former_hooks_path, ..policy.clone() } == state.policy;
        let adoption = adoption.filter(|_| only_hooks);
        let action = if adoption.is_some() { "adopting hooks" } else { "changing the policy" };
        let refused = self.require(action);
        if dry_run {
            return Ok(refused?);
        }
        let command = match adoption {
            Some(adoption) => adoption.command(),
            None => Command::SetPolicy(Box::new(policy.clone())),
        };
        // These the domain refuses in any case; it would accept a script with an agent's environment.
        if self.caller.actor.role().is_some() || !policy.weakens(&state.policy).is_empty() {
            context.transact(&self.caller, &command)?.outcome?;
        } else if let Err(refusal) = &refused {
            let (at, by) = (clock::now().wall, self.caller.actor.clone());
            let entry = JournalEntry::Refused { at, by, action: action.to_owned(), why: refusal.why() };
            // The refusal stands even if it cannot be recorded.
            let _ = journal::append(context.store.disk(), &[entry]);
        }
        Ok(refused?)
    }

    /// Refuses an action unless the caller may change the existing configuration.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`].
    pub fn require(&self, action: &str) -> Result<(), Refusal> {
        if self.may_change {
            return Ok(());
        }
        let who_may = match self.caller.actor {
            Actor::Unproven => "the User, while no session is up,",
            Actor::Role(_) | Actor::User | Actor::System => "the User",
        };
        let (actor, action) = (self.caller.actor.clone(), action.to_owned());
        Err(Refusal::NotPermitted { actor, action, who_may: who_may.to_owned(), session_up: self.session_up })
    }
}

/// What is to be done, determined before any change.
struct SetupPlan {
    policy: Policy,
    hooks: HookChain,
    /// Whether the state exists already.
    again: bool,
    /// The policy that was recorded last, if the state has a different one.
    settled: Option<Policy>,
    /// What the new policy enforces less than the old one.
    weakens: Vec<String>,
    notes: Vec<String>,
}

impl SetupPlan {
    fn of(context: &Context<'_>, cli: &Cli, init_caller: &InitCaller) -> Result<Self, Failure> {
        let repo = &context.repo;
        let config = repo.read_lasting().map_err(|e| git_config_failure(&e))?;
        let branch = repo.head_branch().ok().flatten().map(|name| name.to_string());
        let branch = branch.filter(|_| init_caller.may_change);
        let wanted = with_options(config.clone(), cli);
        let mut policy = config::compile(&wanted, branch.as_deref())?;
        let mut old = match context.store.snapshot() {
            Ok(state) => Some(state),
            Err(StoreError::NotInitialised) => None,
            Err(error) => return Err(error.into()),
        };
        // A policy that was edited by hand was never approved, so it is not compared with.
        let settled = old.as_ref().and_then(|state| tampered_policy(context, state));
        if let (Some(state), Some(settled)) = (&mut old, &settled) {
            state.policy = settled.clone();
        }
        let hooks = HookChain::of(context, &config, old.as_ref())?;
        policy.former_hooks_path.clone_from(&hooks.former);
        if let (Some(state), false) = (&old, init_caller.may_change) {
            config::keep_settled_branch(&mut policy, &state.policy, &wanted);
            if policy != state.policy || hooks.adoption.is_some() {
                init_caller.refuse(context, state, &policy, hooks.adoption.as_ref(), cli.dry_run)?;
            }
        }
        let weakens = old.as_ref().map(|state| policy.weakens(&state.policy)).unwrap_or_default();
        let again = old.is_some();
        let mut plan = Self { policy, hooks, again, settled, weakens, notes: Vec::new() };
        plan.propose(&config, context.env);
        if cli.adopt_hooks && plan.hooks.adoption.is_none() {
            plan.notes.push("there are no other hooks to adopt".to_owned());
        }
        plan.notes.extend(hook_chain::remaining_diversion(repo, &plan.hooks.path).filter(|_| plan.again));
        Ok(plan)
    }

    fn propose(&mut self, config: &Config, env: &Env) {
        let named = ["GIT_AUTHOR_EMAIL", "EMAIL"].iter().any(|name| env.get(name).is_some());
        if !named && config.get("user.email").is_none() {
            self.notes.push(
                "git has no user name and email, and refuses commits without them:\n  git config user.name NAME && git config user.email ADDRESS".to_owned(),
            );
        }
        if config.get("core.fsync").is_none() {
            self.notes.push(
                "git does not sync refs by default: a power failure may lose a commit. To have them synced (about 1 ms per commit):\n  git config core.fsync committed,reference".to_owned(),
            );
        }
    }

    fn carry_out(&self, context: &Context<'_>, cli: &Cli, init_caller: &InitCaller) -> Result<(), Failure> {
        let caller = &init_caller.caller;
        let disk = context.store.disk();
        let program = hook_program()?;
        let before = context.store.snapshot().ok().map(|state| state.policy);
        if let Some(before) = &before {
            RefChecker { repo: &context.repo, disk, policy: before, by: &caller.actor }
                .check_before_hooks_restored();
        }
        if let Some(settled) = &self.settled {
            let command = Command::RestorePolicy(Box::new(settled.clone()));
            context.transact(caller, &command)?.outcome?;
        }
        if self.again {
            let command = Command::SetPolicy(Box::new(self.policy.clone()));
            context.transact(caller, &command)?.outcome?;
        }
        if let Some(adoption) = &self.hooks.adoption {
            context.transact(caller, &adoption.command())?.outcome?;
        }
        remember_options(context, cli)?;
        let state = State::new(new_id(), self.policy.clone());
        context.store.create(state, &clock::now(), &caller.actor)?;
        write_chained(disk, &self.hooks.chained)?;
        let names = self.hooks.names.iter().map(String::as_str).chain([git_hook_config::PROGRAM]);
        let names: Vec<&str> = names.collect();
        hookdir::install(disk, &program, &names).map_err(|e| StoreError::io("install", hookdir::DIR, e))?;
        // Last: from here on git runs our hooks, and everything they need exists.
        context.repo.set_local("core.hooksPath", &self.hooks.path).map_err(|e| git_config_failure(&e))?;
        git_hook_config::set(&context.repo).map(drop).map_err(|e| git_config_failure(&e))?;
        let looker = RefChecker { repo: &context.repo, disk, policy: &self.policy, by: &caller.actor };
        match before {
            Some(before) => looker.set_baseline_for_newly_watched(&before, init_caller.may_change)?,
            None => looker.set_baseline(SET_UP, |_, _| true)?,
        }
        // Publishes the journal's entries under the name of the caller.
        context.publish(caller, &Command::Observe(Vec::new())).map(drop)
    }

    fn answer(&self, word: &str) -> Answer {
        let (policy, hooks) = (&self.policy, &self.hooks);
        let roles: Vec<&str> = policy.roster.members().iter().map(|m| m.role.as_str()).collect();
        let mut text =
            format!("cmw {word}: {} roles, mode {}, preset {}\n", roles.len(), policy.mode, policy.preset);
        let _ = writeln!(text, "roles: {}", roles.join(" "));
        let _ = writeln!(text, "hooks: {} (then those in {})", hooks.path, hooks.chained);
        if let Some(adoption) = &hooks.adoption {
            let _ = writeln!(text, "{}", adoption.text());
        }
        for weaker in &self.weakens {
            let _ = writeln!(text, "weakened: {weaker}");
        }
        if self.settled.is_some() {
            text.push_str("the policy had been edited by hand; it was restored, and the change recorded\n");
        }
        let data = json!({
            "roles": roles, "mode": policy.mode, "preset": policy.preset, "hooks_path": hooks.path,
            "chained_hooks": hooks.chained, "hooks": hooks.names, "session": policy.session,
            "digest": policy.digest(), "protect": policy.protect, "weakens": self.weakens,
            "adopted": hooks.adoption.as_ref().map(|_| &hooks.chained),
        });
        let mut note = self.notes.join("\n");
        if !note.is_empty() {
            note.push('\n');
        }
        note.push_str("next: cmw-session up");
        Answer::done(data, text).noting(note)
    }
}

/// Returns the policy that was recorded last, if the state has a different one.
fn tampered_policy(context: &Context<'_>, state: &State) -> Option<Policy> {
    let settled = context.store.settled_policy().ok()??;
    (settled != state.policy || !state.policy_is_intact()).then_some(settled)
}

/// Applies the options of the command line: they override the configuration, and are stored in it.
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
        context.repo.set_local(key, &value).map_err(|e| git_config_failure(&e))?;
    }
    Ok(())
}

/// Returns a new ULID, as the repository's id.
fn new_id() -> String {
    ulid::Ulid::from_parts(
        u64::try_from(clock::now().wall.0).unwrap_or(0),
        crate::adapters::os::random::bits(),
    )
    .to_string()
}

/// Returns the name of the running session, if one is up.
#[must_use]
pub fn session_name(state: &State, context: &Context<'_>) -> Option<String> {
    match &state.session {
        Session::Up { name, .. } if state.session_is_up(&context.facts(state)) => Some(name.clone()),
        Session::Up { .. } | Session::Down => None,
    }
}
