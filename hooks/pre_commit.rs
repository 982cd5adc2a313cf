//! Owns `pre-commit`: the refusal before the person has typed a message, and the lock that a commit
//! takes by itself.
//!
//! Not the authority (`--no-verify` skips it), but the friendlier place: nothing has happened
//! yet, and what is staged can be compared with what was claimed.

use std::path::Path;

use cmw::cli::exit::Exit;
use cmw::cli::failure::{Failure, with_causes};
use cmw::domain::guard::{ClassifyCtx, Verdict, of_a_commit};
use cmw::domain::permit;
use cmw::domain::policy::Check;
use cmw::domain::refusal::Refusal;
use cmw::store::journal;

use super::auto;
use super::scene::{House, Scene};

/// Refuses a commit that the authority would refuse; takes a free lock for it.
///
/// # Errors
/// [`Failure`]: the refusal.
pub(crate) fn check(house: &House) -> Result<(), Failure> {
    let Some(branch) = house.repo()?.head_branch().map_err(git_failure)? else { return Ok(()) };
    let mut scene = Scene::read(house)?;
    let verdict = {
        let ctx = ClassifyCtx {
            own_role: scene.asker.actor.role(),
            mode: scene.policy().mode,
            protect: &scene.policy().protect,
            prune_possible: false,
        };
        of_a_commit(branch, &ctx)
    };
    may_commit(&mut scene, verdict)?;
    let warned = scene.warned("committing");
    if !warned.is_empty() {
        journal::append(scene.store.disk(), &warned)?;
    }
    scene.beat();
    Ok(())
}

fn may_commit(scene: &mut Scene<'_>, verdict: Verdict) -> Result<(), Failure> {
    if verdict.stops_when_frozen() {
        let frozen = permit::not_frozen(&scene.state, &scene.asker, &scene.facts);
        scene.check(Check::Freeze, frozen)?;
    }
    if !verdict.needs_lock() {
        return Ok(());
    }
    scene.check_identity()?;
    let mut staged = None;
    let mut warnings = Vec::new();
    let lease = permit::lease(&scene.state, &scene.asker, &scene.facts, "committing", &mut warnings);
    if let Err(refusal) = lease.map(drop) {
        // What would be refused in any case takes no lock; who has to wait learns it in its turn.
        let free = matches!(refusal, Refusal::NotHeld { .. });
        let caller = auto::committer(scene, refusal)?;
        if free {
            only_own(scene, &mut staged)?;
        }
        let paths = staged.map_or_else(|| staged_paths(scene), Ok)?;
        if paths.is_empty() {
            // Git may find that there is nothing to commit; if it does not, the authority takes the lock.
            return Ok(());
        }
        auto::take(scene, caller, &paths)?;
        // Refused after all, this git ends, and its lease with it.
        return if free { Ok(()) } else { only_own(scene, &mut Some(paths)) };
    }
    scene.warnings.append(&mut warnings);
    only_own(scene, &mut staged)?;
    let Some(held) = scene.state.held().filter(|held| !held.auto) else { return Ok(()) };
    let Some(claim) = permit::claim(scene.policy(), held).cloned() else { return Ok(()) };
    let staged = staged.map_or_else(|| staged_paths(scene), Ok)?;
    Ok(scene.check(Check::Claims, permit::within(&claim, &staged))?)
}

/// A commit that was not told its paths must not sweep up what is somebody else's; what is staged is
/// looked up for that only when it can matter.
fn only_own(scene: &mut Scene<'_>, staged: &mut Option<Vec<Vec<u8>>>) -> Result<(), Failure> {
    if auto::told_its_paths(scene) || !scene.knows_owners() {
        return Ok(());
    }
    let paths = staged.take().map_or_else(|| staged_paths(scene), Ok)?;
    scene.check_own(&paths)?;
    *staged = Some(paths);
    Ok(())
}

fn staged_paths(scene: &Scene<'_>) -> Result<Vec<Vec<u8>>, Failure> {
    let index = scene.house.env.get_os("GIT_INDEX_FILE").map(Path::new);
    scene.repo.staged_paths(index).map_err(git_failure)
}

/// What git or the repository said, as a refusal.
pub(crate) fn git_failure(error: cmw::adapters::git::RepoError) -> Failure {
    Failure::told(Exit::Unavailable, with_causes(&error), "git status")
}
