//! The self-test: tries a movement that the hooks must refuse, in every work tree (docs/rules.md R6.6). Its
//! ref is used for nothing else; the result is no violation.

use crate::adapters::git::Repo;
use crate::adapters::os::clock;
use crate::domain::command::{Caller, Command};
use crate::domain::guard::ref_rules::SELF_TEST_REF;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use crate::domain::util::sanitize;

use crate::app::error::{Failure, with_causes};
use crate::app::workspace::Context;

/// How old the last result is before the same one is recorded again, in milliseconds.
const AGAIN_MS: u64 = 600_000;

/// The result of a self-test.
#[derive(Clone, Debug)]
pub struct SelfTestResult {
    /// Whether the hooks refused it everywhere.
    pub held: bool,
    /// The work tree in which they did not, and what git did; or the work trees in which it was tried.
    pub what: String,
}

/// Tries it in every work tree; returns `None` when there is no commit yet that a ref could be moved to. An
/// error of git is a result, too.
#[must_use]
pub fn attempt(repo: &Repo) -> Option<SelfTestResult> {
    let trees = match repo.work_trees() {
        Ok(trees) => trees,
        Err(error) => return Some(SelfTestResult { held: false, what: with_causes(&error) }),
    };
    let commit = trees.iter().find_map(|tree| repo.in_work_tree(tree).ok()?.head_commit().ok()?)?;
    for tree in &trees {
        let told = repo.in_work_tree(tree).and_then(|there| there.try_ref(SELF_TEST_REF, &commit));
        let what = match told {
            Ok(None) => "git moved a ref without running cmw's hooks".to_owned(),
            Ok(Some(said)) if said.contains(&Refusal::SelfTest.why()) => continue,
            Ok(Some(said)) => format!("git refused, but for another reason: {}", sanitize::line(&said)),
            Err(error) => with_causes(&error),
        };
        return Some(SelfTestResult { held: false, what: format!("in {}: {what}", tree.display()) });
    }
    let trees =
        if trees.len() == 1 { "the work tree".to_owned() } else { format!("all {} work trees", trees.len()) };
    Some(SelfTestResult { held: true, what: format!("in {trees}") })
}

/// Records a result, unless the same one was recorded not long ago.
///
/// # Errors
/// [`Failure`] of the store.
pub fn record(
    context: &Context<'_>,
    state: &State,
    caller: &Caller,
    tried: &SelfTestResult,
) -> Result<(), Failure> {
    let now = clock::now().wall;
    let is_known = state
        .self_test
        .as_ref()
        .is_some_and(|last| last.held == tried.held && now.ms_since(last.at) < AGAIN_MS);
    if is_known {
        return Ok(());
    }
    let command = Command::SelfTest { held: tried.held, what: tried.what.clone() };
    context.publish(caller, &command).map(drop)
}
