//! `cmw-doctor --fix`: the remedies that are safe. They delete no user data and report every change.

use std::collections::BTreeSet;

use crate::adapters::os::{clock, random};
use crate::app::audit::ref_check::RefChecker;
use crate::app::error::{Failure, with_causes};
use crate::app::freeze::pins;
use crate::app::guard::git_hook_config;
use crate::app::guard::hook_chain::{executable_hooks, read_chained};
use crate::app::programs::hook_program;
use crate::app::rescue::save;
use crate::app::workspace::Context;
use crate::domain::audit::ref_ledger::RefLedger;
use crate::domain::audit::violation::describe_damage;
use crate::domain::command::Command;
use crate::domain::identity::actor::Actor;
use crate::domain::util::sanitize;
use crate::store::audit::journal;
use crate::store::error::StoreError;
use crate::store::guard::hookdir::{self, OWN_HOOKS};
use crate::store::inspect::{self, FileFault};
use crate::store::layout;
use crate::store::layout_check;

use crate::cli::doctor::files::{LEFT_OVER_MS_MIN, can_be_rebuilt};
use crate::cli::doctor::{fix_caller, git_guard};

/// How often damage is looked for again after a repair.
const REPAIRS_MAX: u32 = 20;

/// Repairs what can be repaired; returns a line for each change.
///
/// # Errors
/// [`Failure`] when the state is lost and cannot be rebuilt. Other failures are reported, and found again by
/// the check that follows.
pub(super) fn run(context: &Context<'_>) -> Result<Vec<String>, Failure> {
    let mut done = Vec::new();
    journal_end(context, &mut done);
    if !matches!(context.store.snapshot(), Err(StoreError::NotInitialised)) {
        move_obstacles(context, &mut done);
    }
    match context.store.snapshot() {
        Ok(_) => {}
        Err(error) if can_be_rebuilt(&error) => rebuild(context, &mut done)?,
        // The check that follows reports it.
        Err(_) => return Ok(done),
    }
    damage(context, &mut done);
    baseline(context, &mut done);
    policy(context, &mut done);
    hooks(context, &mut done);
    if git_guard::is_asked(&context.repo) {
        match git_hook_config::set(&context.repo) {
            Ok(true) => done.push("configured the guard that git runs in addition to the hooks".to_owned()),
            Ok(false) => {}
            Err(error) => done.push(format!("could not set the guard: {}", with_causes(&error))),
        }
    }
    done.extend(save::remove_stale_locks(&context.repo));
    oddities(context, &mut done);
    match inspect::cut_torn_tails(context.store.disk()) {
        Ok(cut) => done.extend(cut.iter().map(|file| format!("cut an unfinished line off {file}"))),
        Err(error) => done.push(failed("torn tails", &error)),
    }
    done.extend(pins::repair(context));
    tidy(context, &mut done);
    context.refresh_views();
    Ok(done.iter().map(|line| sanitize::line(line)).collect())
}

fn failed(what: &str, error: &StoreError) -> String {
    format!("could not repair {what}: {}", with_causes(error))
}

/// Moves aside what occupies the path of a file or directory of ours.
fn move_obstacles(context: &Context<'_>, done: &mut Vec<String>) {
    let disk = context.store.disk();
    for misfit in layout_check::layout_problems(disk) {
        match layout_check::repair(disk, misfit, clock::now().wall) {
            Ok(what) => done.push(what),
            Err(error) => done.push(failed(&misfit.what(), &error)),
        }
    }
}

fn rebuild(context: &Context<'_>, done: &mut Vec<String>) -> Result<(), Failure> {
    let by = |state: &_| fix_caller(context, state).actor;
    if let Some(rebuilt) = context.store.rebuild(&clock::now(), &by)? {
        let kept =
            rebuilt.kept.map_or_else(String::new, |file| format!("; the damaged file is kept as {file}"));
        done.push(format!("rebuilt cmw/state.json from {} audit records{kept}", rebuilt.records));
        done.push(format!("tokens continue after {}: lower ones may have been issued", rebuilt.token));
    }
    Ok(())
}

/// Sets the journal aside when nothing can be appended to it.
fn journal_end(context: &Context<'_>, done: &mut Vec<String>) {
    // A directory that is missing, or a lock file of the wrong kind, is repaired next.
    if let Ok(true) = journal::set_aside_if_damaged(context.store.disk(), clock::now().wall) {
        done.push(format!("set aside: the end of {}", layout::JOURNAL));
    }
}

/// Sets damaged files aside: what was whole in them goes on, and the evidence is kept.
fn damage(context: &Context<'_>, done: &mut Vec<String>) {
    // Each repair lets the next look see further.
    let mut before = Vec::new();
    for _ in 0..REPAIRS_MAX {
        match context.store.repair(&|state| context.facts(state), &random::bits) {
            Ok(files) if files.is_empty() => return,
            // What is found again and again is not repaired by this.
            Ok(files) if files.iter().all(|file| before.contains(&file.file)) => return,
            Ok(files) => {
                before.extend(files.iter().map(|file| file.file.clone()));
                done.extend(files.iter().map(|file| format!("set aside: {}", describe_damage(file))));
            }
            Err(error) => return done.push(failed("damage", &error)),
        }
    }
}

/// Compares refs with their present values from now on, where the journal that told their former ones is lost. That
/// accepts every movement before, which only the User may do.
fn baseline(context: &Context<'_>, done: &mut Vec<String>) {
    let Ok(state) = context.state() else { return };
    let by = fix_caller(context, &state).actor;
    let disk = context.store.disk();
    let has_one = journal::read_chain(disk, &BTreeSet::new())
        .is_ok_and(|chain| RefLedger::of(chain.entries.iter().map(|line| &line.entry)).has_baseline());
    if by != Actor::User || has_one {
        return;
    }
    let checker = RefChecker { repo: &context.repo, disk, policy: &state.policy, by: &by };
    match checker.set_baseline_for_newly_watched(&state.policy, true) {
        Ok(()) => {
            done.push("the ref journal is lost: refs are compared with their present values".to_owned());
        }
        Err(failure) => {
            done.push(format!(
                "could not compare refs: {}",
                failure.text().lines().next().unwrap_or_default()
            ));
        }
    }
}

/// Restores the recorded policy, if the state was edited by hand.
fn policy(context: &Context<'_>, done: &mut Vec<String>) {
    let (Ok(state), Ok(Some(settled))) = (context.state(), context.store.settled_policy()) else { return };
    if settled == state.policy && state.policy_is_intact() {
        return;
    }
    let keys = state.policy.differing_keys(&settled);
    let command = Command::RestorePolicy(Box::new(settled));
    match context.transact(&fix_caller(context, &state), &command) {
        Ok(_) => done.push(format!("restored the recorded policy: {}", keys.join(", "))),
        Err(failure) => {
            let text = failure.text();
            done.push(format!("could not restore the policy: {}", text.lines().next().unwrap_or_default()));
        }
    }
}

/// Installs our hooks, and an entry for each hook that was chained when `cmw-init` ran.
fn hooks(context: &Context<'_>, done: &mut Vec<String>) {
    let disk = context.store.disk();
    let Ok(program) = hook_program() else { return };
    let root = context.repo.work_tree.as_deref().unwrap_or(&context.repo.common_dir);
    let chained = read_chained(disk).map(|dir| executable_hooks(&root.join(dir))).unwrap_or_default();
    let mut names: Vec<&str> = OWN_HOOKS.into_iter().chain([git_hook_config::PROGRAM]).collect();
    // Hooks that appeared later are left to cmw-init: they may not be meant to run.
    let is_there = |name: &str| {
        hookdir::installed(disk, &program, &[name])
            .is_ok_and(|found| found.iter().any(|(_, seen)| *seen != hookdir::HookState::Missing))
    };
    names.extend(chained.iter().map(String::as_str).filter(|n| !OWN_HOOKS.contains(n) && is_there(n)));
    if let Ok(state) = context.state() {
        let by = fix_caller(context, &state).actor;
        RefChecker { repo: &context.repo, disk, policy: &state.policy, by: &by }
            .check_before_hooks_restored();
    }
    match hookdir::install(disk, &program, &names) {
        Ok(0) => {}
        Ok(n) => done.push(format!("installed {n} hooks")),
        Err(e) => done.push(format!("could not install the hooks: {e}")),
    }
}

fn oddities(context: &Context<'_>, done: &mut Vec<String>) {
    let disk = context.store.disk();
    for oddity in inspect::file_problems(disk, clock::now().wall) {
        let path = &oddity.path;
        let (what, result) = match oddity.fault {
            FileFault::Mode { wanted, .. } => {
                (format!("set the mode of {path} to {wanted:04o}"), inspect::repair_mode(disk, path, wanted))
            }
            FileFault::LeftOver { age_ms } if age_ms >= LEFT_OVER_MS_MIN => {
                (format!("removed the leftover file {path}"), inspect::remove_left_over(disk, path))
            }
            FileFault::Link | FileFault::Special | FileFault::Owner { .. }
                if !path.starts_with(hookdir::DIR) =>
            {
                (
                    format!("moved {path} aside: cmw did not make it"),
                    inspect::displace(disk, path, clock::now().wall).map(drop),
                )
            }
            FileFault::LeftOver { .. }
            | FileFault::Link
            | FileFault::Special
            | FileFault::Owner { .. }
            | FileFault::Unreadable { .. } => continue,
        };
        done.push(match result {
            Ok(()) => what,
            Err(error) => failed(path, &error),
        });
    }
}

/// Performs pending transitions, and completes what a dead process left undone.
fn tidy(context: &Context<'_>, done: &mut Vec<String>) {
    let Ok(state) = context.state() else { return };
    match context.transact(&fix_caller(context, &state), &Command::Observe(Vec::new())) {
        Ok(ended) if ended.events.is_empty() => {}
        Ok(ended) => done.push(format!("performed pending transitions: {} events", ended.events.len())),
        Err(failure) => {
            let text = failure.text();
            done.push(format!(
                "could not perform pending transitions: {}",
                text.lines().next().unwrap_or_default()
            ));
        }
    }
}
