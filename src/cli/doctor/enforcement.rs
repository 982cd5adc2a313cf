//! Checks of the enforcement itself: whether the hooks refuse when tried, which updates bypassed them, and
//! whether those could be detected.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::adapters::git::RefFormat;
use crate::adapters::git::config::Config;
use crate::app::error::with_causes;
use crate::app::guard::self_test;
use crate::domain::audit::journal_entry::JournalEntry;
use crate::domain::audit::violation::{describe_cause, describe_movements};
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::policy::checks::{Check, Level};
use crate::domain::state::State;
use crate::store::audit::journal;
use crate::store::disk::RealDisk;
use crate::store::guard::hookdir;
use crate::store::layout;

use crate::cli::doctor::{CheckContext, Report};

pub(crate) fn check(check_context: &CheckContext<'_>, state: &State, report: &mut Report) {
    try_out(check_context, report);
    writable(check_context.context.store.disk(), report);
    chain(check_context.context.store.disk(), report);
    violations(state, report);
    unenforced(state, report);
    match check_context.context.repo.read_all() {
        Ok(config) => reflogs(check_context, &config, report),
        Err(error) => report.finding("reflogs", with_causes(&error), "git config --list --show-origin"),
    }
}

/// Runs the self-test.
fn try_out(check_context: &CheckContext<'_>, report: &mut Report) {
    match self_test::attempt(&check_context.context.repo) {
        None => report.note("self-test", "there is no commit yet to test the hooks with", ""),
        Some(tried) if tried.held => {
            report.fine("self-test", format!("a forbidden ref update is refused, {}", tried.what));
        }
        Some(tried) => report.finding("self-test", tried.what, "cmw-init"),
    }
}

/// Checks whether another user could replace the hooks or the state.
fn writable(disk: &RealDisk, report: &mut Report) {
    let me = rustix::process::geteuid().as_raw();
    let mut bad = false;
    for dir in ["cmw", hookdir::DIR, layout::AUDIT] {
        let path = disk.path().join(dir);
        // What is missing, or no directory, is reported by the checks of the files.
        let Ok(meta) = path.symlink_metadata() else { continue };
        let path = shell_quote(&path.display().to_string());
        let (what, next) = if meta.uid() != me {
            (format!("{dir} belongs to another user"), format!("sudo chown -R $(id -u) {path}"))
        } else if meta.is_dir() && meta.permissions().mode() & 0o022 != 0 {
            (format!("others may write to {dir}"), format!("chmod go-w {path}"))
        } else {
            continue;
        };
        bad = true;
        report.finding("access", what, &next);
    }
    if !bad {
        report.fine("access", "no other user may write to hooks, state and audit");
    }
}

/// Checks the chain of the ref journal, and whether there is a baseline to compare the refs with.
fn chain(disk: &RealDisk, report: &mut Report) {
    match journal::read_chain(disk, &std::collections::BTreeSet::new()) {
        Err(error) => report.store_error("journal", &error),
        Ok(chain) if !chain.faults.is_empty() => {
            let (line, why) = &chain.faults[0];
            let what = format!("the chain of the ref journal is broken at line {line}: {why}");
            report.note("journal", what, "cmw-audit verify");
        }
        Ok(chain) => {
            let has_baseline =
                chain.entries.iter().any(|line| matches!(line.entry, JournalEntry::Baseline { .. }));
            if has_baseline {
                report.fine("journal", format!("{} lines, chained", chain.lines));
            } else {
                let what = "no baseline of the refs was recorded: bypassed hooks cannot be detected";
                report.finding("journal", what, "cmw-init");
            }
        }
    }
}

fn violations(state: &State, report: &mut Report) {
    for violation in &state.violations {
        let refs = describe_movements(&violation.refs);
        let cause = describe_cause(&violation.cause);
        let what = [refs.join("; "), cause].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
        let what = format!("V{}: {}", violation.id, what.join(": "));
        report.finding("violations", what, "cmw-audit violations");
    }
    if state.violations.is_empty() {
        report.fine("violations", "none is open");
    }
}

/// Checks that the policy weakens although its preset enforces them.
fn unenforced(state: &State, report: &mut Report) {
    for check in [Check::Lock, Check::Freeze] {
        let word = match state.policy.checks.level(check) {
            Level::Enforce => continue,
            Level::Warn => "only warns",
            Level::Off => "is off",
        };
        let what = format!("by policy the check {} {word}: it refuses nothing", check.as_str());
        report.note("policy", what, &format!("git config cmw.check.{} enforce && cmw-init", check.as_str()));
    }
}

/// Checks whether a ref that is moved and moved back leaves a trace.
fn reflogs(check_context: &CheckContext<'_>, config: &Config, report: &mut Report) {
    let off = config.get("core.logAllRefUpdates").filter(|entry| {
        matches!(entry.text().to_ascii_lowercase().as_str(), "false" | "no" | "off" | "0" | "")
    });
    match off {
        Some(_) => report.finding(
            "reflogs",
            "core.logAllRefUpdates is off: an update that bypasses the hooks and is undone leaves no trace",
            "git config core.logAllRefUpdates true",
        ),
        None if check_context.context.repo.ref_format == RefFormat::Reftable => {
            let what = "reftable: git runs no hook when a branch is renamed; cmw-audit verify detects it";
            report.note("reflogs", what, "");
        }
        None => report.fine("reflogs", "enabled"),
    }
}
