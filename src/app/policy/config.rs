//! Compiles the documented `cmw.*` configuration keys into policy.
//!
//! Only `cmw-init` reads configuration; all other programs read the policy that it compiled.

use crate::adapters::git::config::Config;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::identity::role::{Role, RoleKind};
use crate::domain::identity::roster::{Member, Roster};
use crate::domain::policy::checks::{Check, Checks};
use crate::domain::policy::compiled::Policy;
use crate::domain::policy::ref_glob::RefGlob;
use crate::domain::util::sanitize;
use crate::domain::util::time::parse_duration_ms;

use crate::app::error::Failure;
use crate::app::exit::Exit;

/// Every key, with its meaning; shown by `cmw-init --help`.
pub const KEYS: &str = "\
Configuration (git config KEY VALUE, then cmw-init; what `git -c`, the environment or the
configuration of one work tree says does not count):
  cmw.mode               shared (one work tree for all) or worktrees
  cmw.preset             solo, team (default) or strict
  cmw.check.NAME         enforce, warn or off, against the preset: freeze, identity, role, lock, claims
  cmw.identity           environment (CLAUDE_ROLE counts while no session is up) or ancestry
  cmw.roles              how many roles (default 12), when none is named below
  cmw.role.NAME.kind     names a role: orchestrator, librarian, planner, architect, dev, qa, docs, …
  cmw.role.NAME.pane     its place in the session, from 0 (default: in the order of the configuration)
  cmw.role.NAME.command  what its pane runs
  cmw.agent              what panes run otherwise (default: the demo agent)
  cmw.session            the tmux session's name (default claude-multi)
  cmw.protect            an integration branch, in worktrees mode (repeat it; globs such as release/**)
  cmw.lock.lease         how long a lease of the write lock lasts (default 5m)
  cmw.lock.leaseMax      the longest lease, regardless of the estimate (default 30m)
  cmw.lock.grace         how long after its end a lease is left alone (default 5s)
  cmw.lock.ticket        how long a place in the queue outlives the last sign of its role (default 30m)
  cmw.lock.offer         how long the free lock is reserved for a waiter that is away (default 60s)
  cmw.lock.auto          whether git commit takes a free lock by itself (default true)
  cmw.health.restart     whether the monitor restarts crashed instances (default true)
  cmw.notify.command     tells you of events outside tmux: program and arguments, run without a
                         shell, the event as one line of JSON on its input (cmw-health notify-test)
Read when a client is started: cmw.client.budget, how many bytes its model is told of messages at
once (default 2048).";

/// How many roles there may be.
pub const ROLES: std::ops::RangeInclusive<usize> = 1..=1000;

fn wrong(key: &str, value: &str, why: impl std::fmt::Display) -> Failure {
    let what = format!("{key} = {:?}: {}", sanitize::line(value), sanitize::line(&why.to_string()));
    Failure::with_next_step(Exit::Config, what, &format!("git config --unset-all {}", shell_quote(key)))
}

/// Refuses unknown names: a mistyped protection would protect nothing.
fn only_known(config: &Config) -> Result<(), Failure> {
    let checks = Check::ALL.map(Check::as_str);
    let sections: [(&str, &[&str]); 4] = [
        ("cmw.check.", checks.as_slice()),
        ("cmw.lock.", &LOCK_NAMES),
        ("cmw.health.", &["restart"]),
        ("cmw.notify.", &["command"]),
    ];
    for (section, known) in sections {
        for entry in config.beginning(section) {
            // Section and name are case-insensitive, the part between them is not.
            let name = entry.key.strip_prefix(section);
            if !name.is_some_and(|name| known.contains(&name)) {
                let last = known.last().expect("the lists are not empty");
                let others = known[..known.len() - 1].join(", ");
                let and = if others.is_empty() { "" } else { " and " };
                let why = format!("there is only {section}NAME with {others}{and}{last}");
                return Err(wrong(&entry.key, entry.text(), why));
            }
        }
    }
    Ok(())
}

/// The names below `cmw.lock`, as git gives them.
const LOCK_NAMES: [&str; 6] = ["lease", "leasemax", "grace", "ticket", "offer", "auto"];

/// Compiles the policy. `branch`: the branch that is checked out, protected by default.
///
/// # Errors
/// [`Failure`] (78) that names the key, its value and the error.
pub fn compile(config: &Config, branch: Option<&str>) -> Result<Policy, Failure> {
    only_known(config)?;
    let mut policy = Policy::of(roster(config)?);
    let get = |key: &str| config.get(key).map(|entry| entry.text().to_owned());
    if let Some(value) = get("cmw.mode") {
        policy.mode = value.parse().map_err(|e| wrong("cmw.mode", &value, e))?;
    }
    if let Some(value) = get("cmw.preset") {
        policy.preset = value.parse().map_err(|e| wrong("cmw.preset", &value, e))?;
    }
    policy.checks = Checks::of(policy.preset);
    for check in Check::ALL {
        let key = format!("cmw.check.{}", check.as_str());
        if let Some(value) = get(&key) {
            policy.checks.set(check, value.parse().map_err(|e| wrong(&key, &value, e))?);
        }
    }
    if let Some(value) = get("cmw.identity") {
        policy.identity = value.parse().map_err(|e| wrong("cmw.identity", &value, e))?;
    }
    if let Some(value) = get("cmw.session") {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if value.is_empty() || value.len() > 64 || !value.chars().all(good) {
            return Err(wrong("cmw.session", &value, "letters, digits, - and _, at most 64"));
        }
        policy.session = value;
    }
    policy.agent = get("cmw.agent").filter(|value| !value.is_empty());
    let protect = config.get_all("cmw.protect");
    if !protect.is_empty() {
        policy.protect = Vec::new();
    }
    for entry in protect {
        if entry.text().is_empty() {
            return Err(wrong("cmw.protect", "", "a branch, or a glob such as release/**"));
        }
        let glob = RefGlob::parse(entry.text()).map_err(|e| wrong("cmw.protect", entry.text(), e))?;
        policy.protect.push(glob);
    }
    if let Some(glob) = branch.and_then(|name| RefGlob::parse(name.trim_start_matches("refs/heads/")).ok())
        && !policy.protect.iter().any(|g| g.as_str() == glob.as_str())
        && config.get("cmw.protect").is_none()
    {
        policy.protect.push(glob);
    }
    lock_settings(config, &mut policy)?;
    health_settings(config, &mut policy)?;
    Ok(policy)
}

/// Keeps the branch that was protected because it was checked out when the policy was settled: checking out
/// another one is no change of configuration. `now`: compiled without a branch.
pub fn keep_settled_branch(now: &mut Policy, settled: &Policy, config: &Config) {
    let added = settled.protect.strip_prefix(now.protect.as_slice()).map(<[_]>::len);
    if config.get("cmw.protect").is_none() && added.is_some_and(|n| n <= 1) {
        now.protect.clone_from(&settled.protect);
    }
}

fn lock_settings(config: &Config, policy: &mut Policy) -> Result<(), Failure> {
    let lock = &mut policy.lock;
    for (key, setting) in [
        ("cmw.lock.lease", &mut lock.lease_ms),
        ("cmw.lock.leaseMax", &mut lock.lease_max_ms),
        ("cmw.lock.grace", &mut lock.grace_ms),
        ("cmw.lock.ticket", &mut lock.ticket_ms),
        ("cmw.lock.offer", &mut lock.offer_ms),
    ] {
        if let Some(entry) = config.get(key) {
            *setting = parse_duration_ms(entry.text()).map_err(|e| wrong(key, entry.text(), e))?;
        }
    }
    if let Some(entry) = config.get("cmw.lock.auto") {
        lock.auto =
            truth(entry.text()).ok_or_else(|| wrong("cmw.lock.auto", entry.text(), "true or false"))?;
    }
    if lock.lease_ms == 0 || lock.lease_max_ms < lock.lease_ms {
        return Err(wrong(
            "cmw.lock.lease",
            &format!("{}ms", lock.lease_ms),
            "must be more than 0, and not more than cmw.lock.leaseMax",
        ));
    }
    Ok(())
}

fn health_settings(config: &Config, policy: &mut Policy) -> Result<(), Failure> {
    if let Some(entry) = config.get("cmw.health.restart") {
        let value = truth(entry.text());
        let wrong = || wrong("cmw.health.restart", entry.text(), "true or false");
        policy.health.restart = value.ok_or_else(wrong)?;
    }
    if let Some(entry) = config.get("cmw.notify.command").filter(|entry| !entry.text().is_empty()) {
        let words = shlex::split(entry.text()).filter(|words| words.first().is_some_and(|w| !w.is_empty()));
        if words.is_none() {
            return Err(wrong("cmw.notify.command", entry.text(), "it cannot be parsed as a command"));
        }
        policy.health.notify = Some(entry.text().to_owned());
    }
    Ok(())
}

/// Parses a boolean as git writes it; a key without a value is true.
fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" | "" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Returns the roster: the named roles, or as many as `cmw.roles` says.
fn roster(config: &Config) -> Result<Roster, Failure> {
    let mut named: Vec<Member> = Vec::new();
    let mut placed: Vec<bool> = Vec::new();
    for (name, key, entry) in config.below("cmw.role") {
        let full = format!("cmw.role.{name}.{key}");
        let role = Role::parse(name).map_err(|e| wrong(&full, entry.text(), e))?;
        let at = named.iter().position(|m| m.role == role).unwrap_or_else(|| {
            let pane = u32::try_from(named.len()).unwrap_or(u32::MAX);
            named.push(Member { role: role.clone(), kind: kind_by_name(&role), pane, command: None });
            placed.push(false);
            named.len() - 1
        });
        let value = entry.text();
        match key {
            "kind" => named[at].kind = RoleKind::parse(value).map_err(|e| wrong(&full, value, e))?,
            "pane" => {
                named[at].pane = value.parse().map_err(|_| wrong(&full, value, "a number from 0"))?;
                placed[at] = true;
            }
            "command" => named[at].command = Some(value.to_owned()).filter(|v| !v.is_empty()),
            _ => return Err(wrong(&full, value, "there is only kind, pane and command")),
        }
    }
    if !named.is_empty() {
        if placed.iter().all(|p| !p) || placed.iter().all(|p| *p) {
            return Roster::new(named).map_err(|e| wrong("cmw.role", "", e));
        }
        return Err(wrong("cmw.role", "", "either every role has a pane, or none"));
    }
    let Some(entry) = config.get("cmw.roles") else { return Ok(Roster::of_size(12)) };
    match entry.text().parse::<usize>() {
        Ok(n) if ROLES.contains(&n) => Ok(Roster::of_size(n)),
        Ok(_) | Err(_) => Err(wrong("cmw.roles", entry.text(), "a number from 1 to 1000")),
    }
}

/// Returns the kind that a name implies: `Dev-A` is a dev; so is a name that implies no kind.
fn kind_by_name(role: &Role) -> RoleKind {
    let stem = role.as_str().split('-').next().unwrap_or("dev");
    RoleKind::parse(stem).unwrap_or_else(|_| RoleKind::parse("dev").expect("dev is a kind"))
}
