//! The quick check that git calls our hooks; `cmw-doctor` checks in depth.

use crate::adapters::git::Repo;
use crate::domain::util::sanitize;
use crate::store::disk::{Disk, RealDisk};

use crate::app::error::with_causes;
use crate::app::guard::hook_chain::former_common_dir;
use crate::app::workspace::Context;
use crate::store::guard::hookdir::{self, OWN_HOOKS};

/// Returns why git would not run our hooks in this work tree; `None` when it would. Starts one git process.
#[must_use]
pub fn problem(context: &Context<'_>) -> Option<String> {
    problem_in(&context.repo, context.store.disk())
}

/// Returns the warning that commits are not judged, for this reason.
#[must_use]
pub fn warning(problem: &str) -> String {
    format!("warning: git does not run cmw's hooks ({problem}): no check is made\nnext: cmw-init")
}

/// Does the same as [`problem`] for this repository.
#[must_use]
pub fn problem_in(repo: &Repo, disk: &RealDisk) -> Option<String> {
    for name in OWN_HOOKS {
        match disk.program(&format!("{}/{name}", hookdir::DIR)) {
            Ok(Some(file)) if file.is_executable => {}
            Ok(Some(_)) => return Some(format!("the hook {name} is not executable")),
            Ok(None) => return Some(format!("the hook {name} is missing")),
            Err(error) => return Some(format!("the hook {name}: {}", sanitize::line(&error.to_string()))),
        }
    }
    let config = match repo.read_all() {
        Ok(config) => config,
        Err(error) => return Some(with_causes(&error)),
    };
    let ours = repo.common_dir.join(hookdir::DIR);
    match config.get("core.hooksPath") {
        None => Some("git is not told where cmw's hooks are".to_owned()),
        Some(entry) if std::path::Path::new(entry.text()) == ours => None,
        Some(entry) => {
            let (path, origin) = (sanitize::line(entry.text()), sanitize::line(&entry.origin));
            if former_common_dir(entry.text(), &repo.common_dir).is_some() {
                // The remedy comes first: the screen cuts long lines.
                return Some(format!("the repository was moved: cmw-init (git looks in {path})"));
            }
            Some(format!("git looks for hooks in {path} ({origin})"))
        }
    }
}
