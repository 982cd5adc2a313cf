//! Owns `pre-commit`: the refusal before the person has typed a message.
//!
//! Not the authority (`--no-verify` skips it), but the friendlier place: nothing has happened
//! yet, and what is staged can be compared with what was claimed.

use std::path::Path;

use cmw::adapters::git::Repo;
use cmw::cli::env::Env;
use cmw::cli::exit::Exit;
use cmw::cli::failure::{Failure, with_causes};
use cmw::domain::gitref::{Oid, RefTarget};
use cmw::domain::guard::{ClassifyCtx, Current, RefLine, Verdict, classify};
use cmw::domain::permit;

use super::scene::{House, Scene};

/// Refuses a commit that the authority would refuse.
///
/// # Errors
/// [`Failure`]: the refusal.
pub(crate) fn check(house: &House) -> Result<(), Failure> {
    let Some(branch) = house.repo()?.head_branch().map_err(git_failure)? else { return Ok(()) };
    let scene = Scene::read(house)?;
    let verdict = {
        let ctx = ClassifyCtx {
            own_role: scene.asker.actor.role(),
            mode: scene.policy().mode,
            protect: &scene.policy().protect,
            prune_possible: false,
        };
        // Where the branch will move is not known yet; that it will move is.
        let somewhere = Oid::parse(&[b'1'; 40]).expect("forty digits are an object id");
        let line = RefLine { old: RefTarget::Zero, new: RefTarget::from(somewhere), name: branch };
        classify(&line, &Current::default(), &ctx)
    };
    may_commit(&house.env, &scene, verdict)?;
    scene.beat();
    Ok(())
}

fn may_commit(env: &Env, scene: &Scene<'_>, verdict: Verdict) -> Result<(), Failure> {
    if verdict.stops_when_frozen() {
        permit::running(&scene.state)?;
    }
    if !verdict.needs_lock() {
        return Ok(());
    }
    let held = permit::lease(&scene.state, &scene.asker, &scene.facts, "committing")?;
    let Some(claim) = permit::claim(scene.policy(), held) else { return Ok(()) };
    let index = env.get_os("GIT_INDEX_FILE").map(Path::new);
    let staged = staged(scene.repo, index)?;
    Ok(permit::within(claim, &staged)?)
}

fn staged(repo: &Repo, index: Option<&Path>) -> Result<Vec<Vec<u8>>, Failure> {
    repo.staged_paths(index).map_err(git_failure)
}

/// What git or the repository said, as a refusal.
pub(crate) fn git_failure(error: cmw::adapters::git::RepoError) -> Failure {
    Failure::told(Exit::Unavailable, with_causes(&error), "git status")
}
