//! Checks of the setup: the repository, the hooks, where git looks for them, the policy.

use std::path::Path;

use crate::adapters::git::config::{Config, ConfigEntry, Scope};
use crate::adapters::git::{ObjectFormat, RefFormat, Repo};
use crate::app::error::with_causes;
use crate::app::guard::git_hook_config;
use crate::app::guard::hook_chain::{executable_hooks, former_common_dir, read_chained};
use crate::app::policy::config;
use crate::app::programs::hook_program;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::policy::compiled::Policy;
use crate::domain::state::State;
use crate::store::guard::hookdir::OWN_HOOKS;
use crate::store::guard::hookdir::{self, HookState};

use crate::cli::doctor::{CheckContext, Report, git_guard};

pub(super) fn check(check_context: &CheckContext<'_>, report: &mut Report) {
    let repo = &check_context.context.repo;
    repository(repo, report);
    if let Some((state, _)) = &check_context.state {
        // First: with hooks in a wrong path nothing else matters.
        hooks_path(repo, report);
        hooks(check_context, report);
        git_guard::check(repo, report);
        tampered(check_context, state, report);
        match repo.read_lasting() {
            Ok(config) => {
                policy(state, &config, report);
                fsync(&config, report);
            }
            Err(error) => {
                report.finding("config", with_causes(&error), "git config --list --show-origin");
            }
        }
    }
}

fn repository(repo: &Repo, report: &mut Report) {
    let place = repo.common_dir.display();
    let names = match repo.object_format {
        ObjectFormat::Sha1 => "",
        ObjectFormat::Sha256 => ", sha256",
    };
    let refs = match repo.ref_format {
        RefFormat::Files => ", refs in files",
        RefFormat::Reftable => ", reftable",
        RefFormat::Other => ", refs in a format that is read through git",
    };
    report.fine("repository", format!("{place}{names}{refs}"));
    if repo.bare {
        let what = "it is bare: cmw needs a repository with a work tree";
        report.finding("repository", what, "cd into a clone of it, then cmw-init");
    }
    if repo.ref_format == RefFormat::Reftable {
        report.note(
            "repository",
            "reftable: a freeze is enforced by hooks only, branches cannot be pinned",
            "",
        );
    }
}

fn hooks(check_context: &CheckContext<'_>, report: &mut Report) {
    let disk = check_context.context.store.disk();
    let program = match hook_program() {
        Ok(program) => program,
        Err(failure) => {
            let next = failure.hint().unwrap_or_default();
            let text = failure.text();
            let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return report.finding("hooks", what, &next);
        }
    };
    let names: Vec<&str> = OWN_HOOKS.into_iter().chain([git_hook_config::PROGRAM]).collect();
    let found = match hookdir::installed(disk, &program, &names) {
        Ok(found) => found,
        Err(e) => return report.finding("hooks", format!("cannot read {}: {e}", hookdir::DIR), "cmw-init"),
    };
    let mut bad = false;
    for (name, seen) in &found {
        bad |= *seen != HookState::Ok;
        broken_hook(name, *seen, report);
    }
    if let Some(dir) = read_chained(disk) {
        bad |= chained(check_context, &program, &dir, report);
    } else {
        bad = true;
        report.finding("hooks", "it is not recorded which hooks run after ours", "cmw-init");
    }
    if !bad {
        let names = OWN_HOOKS.join(", ");
        report.fine("hooks", format!("installed, and identical to this version's: {names}"));
    }
}

/// Reports what is wrong with a hook, if anything.
fn broken_hook(name: &str, seen: HookState, report: &mut Report) {
    let what = match seen {
        HookState::Ok => return,
        HookState::Missing => "is missing: git does not call us",
        HookState::NotExecutable => "is not executable: git ignores it",
        HookState::Different => "is not this version's program",
        HookState::Foreign => "is a link, a directory or a file of another program",
    };
    report.finding("hooks", format!("{name} {what}"), "cmw-doctor --fix");
}

/// Returns whether something is wrong with the hooks that run after ours.
fn chained(check_context: &CheckContext<'_>, program: &[u8], dir: &str, report: &mut Report) -> bool {
    let repo = &check_context.context.repo;
    let full = repo.work_tree.as_deref().unwrap_or(&repo.common_dir).join(dir);
    // Git's default directory need not exist.
    if !full.is_dir() && full != repo.common_dir.join("hooks") {
        let what = format!("the hooks that ran before ours are gone: {} does not exist", full.display());
        report.finding("hooks", what, "cmw-init");
        return true;
    }
    let names = executable_hooks(&full);
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|n| !OWN_HOOKS.contains(n)).collect();
    let mut bad = false;
    for (name, seen) in
        hookdir::installed(check_context.context.store.disk(), program, &names).unwrap_or_default()
    {
        match seen {
            HookState::Ok => {}
            HookState::Missing => {
                bad = true;
                let what = format!("{name} in {} was added after cmw-init, and does not run", full.display());
                report.finding("hooks", what, "cmw-init --adopt-hooks");
            }
            HookState::NotExecutable | HookState::Different | HookState::Foreign => {
                bad = true;
                broken_hook(&name, seen, report);
            }
        }
    }
    bad
}

/// Checks the effective `core.hooksPath` of every work tree.
fn hooks_path(repo: &Repo, report: &mut Report) {
    let trees = match repo.work_trees() {
        Ok(trees) => trees,
        Err(error) => return report.finding("hooksPath", with_causes(&error), "git worktree list"),
    };
    let ours = repo.common_dir.join(hookdir::DIR);
    let mut good = 0;
    for tree in &trees {
        let config = repo.in_work_tree(tree).and_then(|other| other.read_all());
        match config {
            Err(error) => report.finding("hooksPath", with_causes(&error), "git worktree list"),
            Ok(config) => match config.get("core.hooksPath") {
                None => report.finding("hooksPath", in_tree(tree, "core.hooksPath is not set"), "cmw-init"),
                Some(entry) if Path::new(entry.text()) == ours => good += 1,
                Some(entry) => diverted(repo, tree, entry, report),
            },
        }
    }
    if good == trees.len() {
        let trees = if good == 1 { "the work tree".to_owned() } else { format!("all {good} work trees") };
        report.fine("hooksPath", format!("ours in {trees}"));
    }
}

fn in_tree(tree: &Path, what: &str) -> String {
    format!("in {}: {what}", tree.display())
}

/// Reports that git looks for hooks elsewhere: which configuration sets it, and how to undo it.
fn diverted(repo: &Repo, tree: &Path, entry: &ConfigEntry, report: &mut Report) {
    let (path, origin) = (entry.text(), &entry.origin);
    let quoted = shell_quote(&tree.display().to_string());
    let next = match entry.scope {
        Scope::Command => "unset GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS".to_owned(),
        Scope::Worktree => format!("git -C {quoted} config --worktree --unset-all core.hooksPath"),
        Scope::Local | Scope::Unknown if former_common_dir(path, &repo.common_dir).is_none() => {
            "cmw-init --adopt-hooks".to_owned()
        }
        Scope::Local | Scope::Global | Scope::System | Scope::Unknown => "cmw-init".to_owned(),
    };
    let by = match entry.scope {
        Scope::Command => "the environment",
        Scope::Worktree => "this work tree's configuration",
        Scope::Global => "the user's configuration",
        Scope::System => "the machine's configuration",
        Scope::Local | Scope::Unknown => "the repository's configuration",
    };
    let moved =
        former_common_dir(path, &repo.common_dir).map_or("", |_| "; the repository was moved or copied");
    let what = format!("core.hooksPath is {path} by {by} ({origin}): git does not call us{moved}");
    report.finding("hooksPath", in_tree(tree, &what), &next);
}

/// Checks whether the configuration differs from the policy that was compiled from it.
fn policy(state: &State, config: &Config, report: &mut Report) {
    let mut now = match config::compile(config, None) {
        Ok(policy) => policy,
        Err(failure) => {
            let next = failure.hint().unwrap_or_default();
            let text = failure.text();
            let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            return report.finding("policy", what, &next);
        }
    };
    let settled = &state.policy;
    now.former_hooks_path.clone_from(&settled.former_hooks_path);
    config::keep_settled_branch(&mut now, settled, config);
    if now.digest() == settled.digest() {
        return report.fine("policy", format!("{}, {}, as configured", settled.mode, settled.preset));
    }
    let keys = settled.differing_keys(&now).join(", ");
    let what = format!("configuration has changed since cmw-init: {keys}{}", weaker(&now, settled));
    report.finding("policy", what, "cmw-init");
}

/// Returns what running `cmw-init` would weaken: the person is warned before.
fn weaker(new: &Policy, old: &Policy) -> String {
    let weakens = new.weakens(old);
    if weakens.is_empty() {
        String::new()
    } else {
        format!("; cmw-init would weaken: {}", weakens.join("; "))
    }
}

/// Checks whether the policy in the state was edited by hand: its digest differs from the recorded one, or it
/// is not the policy that the audit recorded last.
fn tampered(check_context: &CheckContext<'_>, state: &State, report: &mut Report) {
    let settled = check_context.context.store.settled_policy().ok().flatten();
    match settled {
        Some(settled) if settled != state.policy => {
            let keys = state.policy.differing_keys(&settled).join(", ");
            let what = format!("the policy in the state is not the recorded one: {keys}");
            report.finding("policy", what, "cmw-doctor --fix");
        }
        Some(_) | None if !state.policy_is_intact() => {
            let what = "the policy in the state does not match its recorded digest";
            report.finding("policy", what, if settled.is_some() { "cmw-doctor --fix" } else { "cmw-init" });
        }
        Some(_) | None => {}
    }
}

fn fsync(config: &Config, report: &mut Report) {
    if config.get("core.fsync").is_none() {
        let what = "git does not sync refs by default: a power failure may lose a commit";
        report.note("fsync", what, "git config core.fsync committed,reference");
    }
}
