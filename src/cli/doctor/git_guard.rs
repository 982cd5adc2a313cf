//! Checks the guard, which git 2.54 and later runs in addition to the hooks.

use std::collections::BTreeSet;

use crate::adapters::git::Repo;
use crate::adapters::git::config::{ConfigEntry, Scope};
use crate::adapters::git::worktrees::version_number;
use crate::app::guard::git_hook_config::{self, EVENTS, HookConfigProblem};

use crate::cli::doctor::Report;

/// Returns whether the git in use runs the guard.
pub(crate) fn is_asked(repo: &Repo) -> bool {
    let version = repo.git_version().ok();
    version.and_then(|text| version_number(&text)).is_some_and(|found| found >= git_hook_config::GIT_MIN)
}

/// Reports what is missing or disabled, in any work tree; an older git runs no guard, so nothing is missing.
pub(crate) fn check(repo: &Repo, report: &mut Report) {
    if !is_asked(repo) {
        return;
    }
    // Work trees that cannot be examined are reported with the hooks.
    let trees = repo.work_trees().unwrap_or_default();
    let configs = trees.iter().filter_map(|tree| repo.in_work_tree(tree).ok()?.read_all().ok());
    let found: BTreeSet<(String, String)> = configs
        .flat_map(|config| git_hook_config::problems(repo, &config))
        .map(|gap| explanation(&gap))
        .collect();
    for (what, next) in &found {
        report.finding("guard", what.clone(), next);
    }
    if found.is_empty() {
        report.fine("guard", format!("runs in addition to the hooks: {}", EVENTS.join(", ")));
    }
}

fn explanation(gap: &HookConfigProblem) -> (String, String) {
    match gap {
        HookConfigProblem::Missing { event } => {
            let what = format!("git does not run it at {event}: diverted hooks would refuse nothing");
            (what, "cmw-doctor --fix".to_owned())
        }
        HookConfigProblem::Disabled { entry } => {
            let what = format!("{} is {} ({})", entry.key, entry.text(), entry.origin);
            (what, remedy(entry))
        }
    }
}

fn remedy(entry: &ConfigEntry) -> String {
    let unset = |place: &str| format!("git config {place} --unset-all {}", entry.key);
    match entry.scope {
        Scope::Command => "unset GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS".to_owned(),
        Scope::Worktree => unset("--worktree"),
        Scope::Global => unset("--global"),
        Scope::System => unset("--system"),
        Scope::Local | Scope::Unknown => "cmw-doctor --fix".to_owned(),
    }
}
