//! The hooks that come before anything is touched: a commit in the making (`pre-commit`,
//! `prepare-commit-msg`, `pre-merge-commit`, `applypatch-msg`) and a rebase (`pre-rebase`).
//!
//! None of them is the authority: they are the friendlier place, where nothing has happened yet.
//! `prepare-commit-msg` also runs where `pre-commit` is left out, and for commits that git makes of
//! others (cherry-pick, revert, merge). It starts no git while its asker holds the lock, and leaves
//! beats and warnings to those before and after it.

use std::ffi::OsString;
use std::path::Path;

use cmw::app::error::Failure;
use cmw::app::error::git_failure;
use cmw::app::freeze::pins;
use cmw::domain::guard::git_command::GitCall;
use cmw::domain::guard::git_ref::{RefName, RefTarget};
use cmw::domain::guard::permission::{Evidence, Known, Movement, Need};
use cmw::domain::guard::ref_rules::{ClassifyCtx, Verdict, of_a_commit};
use cmw::domain::lock::checks::Owners;
use cmw::domain::refusal::Refusal;
use cmw::store::audit::journal;

use crate::auto_lock;
use crate::context::{House, Scene};
use crate::taint;

/// Where on its way a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// `pre-commit`: what is staged is what will be committed, if anything is.
    Commit,
    /// `pre-merge-commit`: what is staged is what the merge brings.
    Merge,
    /// `applypatch-msg`: nothing is staged yet.
    Patch,
    /// `prepare-commit-msg`: a commit is sure to be made of what is staged.
    Message,
}

impl Moment {
    /// Whether somebody else's file may be among what is staged: not when a merge or patch brings it.
    fn looks_for_others(self, call: Option<&GitCall>) -> bool {
        match self {
            Self::Commit => true,
            Self::Merge | Self::Patch => false,
            Self::Message => call.is_some_and(|call| call.is("commit")),
        }
    }

    /// Whether what is staged is compared with the claim; the authority does it in any case.
    fn looks_at_claims(self) -> bool {
        match self {
            Self::Commit | Self::Merge => true,
            Self::Patch | Self::Message => false,
        }
    }

    /// Whether nothing staged may mean that no commit will follow.
    fn may_find_nothing(self) -> bool {
        match self {
            Self::Commit | Self::Merge => true,
            Self::Patch | Self::Message => false,
        }
    }

    /// Whether git may have changed files, or begun something, before it asked.
    fn is_late(self) -> bool {
        match self {
            Self::Merge | Self::Message | Self::Patch => true,
            Self::Commit => false,
        }
    }

    /// Whether this is the one that says what only warns, and counts as work.
    fn speaks(self) -> bool {
        match self {
            Self::Commit | Self::Merge => true,
            Self::Patch | Self::Message => false,
        }
    }
}

/// Refuses a commit that the authority would refuse; takes a free lock for it.
///
/// # Errors
/// [`Failure`]: the refusal.
pub(crate) fn commit(house: &House, moment: Moment) -> Result<(), Failure> {
    let repo = house.repo()?;
    // Each of its picks would stop, and the branch moves at its end only.
    if moment == Moment::Message && repo.rebase_in_progress() {
        return Ok(());
    }
    let Some(branch) = repo.head_branch().map_err(|e| git_failure(&e))? else { return Ok(()) };
    if moment.is_late() {
        house.mark_late(None);
    }
    let mut scene = Scene::read(house)?;
    if scene.state.pins.as_ref().is_some_and(|pins| !pins.wanted) {
        free_the_branches(&scene);
    }
    let verdict = verdict(&scene, branch.clone());
    may_commit(&mut scene, verdict, &branch, moment)?;
    if !moment.speaks() {
        return Ok(());
    }
    let warned = scene.warned("committing");
    if !warned.is_empty() {
        journal::append(scene.disk(), &warned)?;
    }
    scene.beat();
    Ok(())
}

/// Takes away the pins that a thaw left which was killed: git would stop at them, and say that it crashed.
/// Soft: what stays, a command takes away.
fn free_the_branches(scene: &Scene<'_>) {
    let _ = pins::settle(scene.context, &scene.state, false);
}

/// Refuses a rebase whose end the authority would refuse, before anything is rewritten.
///
/// # Errors
/// [`Failure`]: the refusal.
pub(crate) fn rebase(house: &House, args: &[OsString]) -> Result<(), Failure> {
    let Some(branch) = rebased(house, args)? else { return Ok(()) };
    if house.repo()?.put_aside() {
        house.mark_late(None);
    }
    let mut scene = Scene::read(house)?;
    let verdict = verdict(&scene, branch.clone());
    before_anything(&mut scene, &Movement::new(verdict, &format!("rebasing {branch}")), &branch)
}

/// The branch that will move: the second argument, or the one that is checked out. What is no branch is
/// rebased without one.
fn rebased(house: &House, args: &[OsString]) -> Result<Option<RefName>, Failure> {
    use std::os::unix::ffi::OsStrExt;
    let repo = house.repo()?;
    let Some(name) = args.get(1) else { return repo.head_branch().map_err(|e| git_failure(&e)) };
    let full = [b"refs/heads/", name.as_bytes()].concat();
    let Ok(branch) = RefName::parse(&full) else { return Ok(None) };
    let value = repo.read_ref(&branch).map_err(|e| git_failure(&e))?;
    Ok(Some(branch).filter(|_| RefTarget::from(value) != RefTarget::Zero))
}

/// What a commit on this branch is.
pub(crate) fn verdict(scene: &Scene<'_>, branch: RefName) -> Verdict {
    let ctx = ClassifyCtx {
        own_role: scene.asker.actor.role(),
        mode: scene.policy().mode,
        protect: &scene.policy().protect,
        prune_possible: false,
    };
    of_a_commit(branch, &ctx)
}

/// Runs the sequence where it is not known yet what will change.
///
/// # Errors
/// The refusal.
pub(crate) fn before_anything(
    scene: &mut Scene<'_>,
    movement: &Movement<'_>,
    branch: &RefName,
) -> Result<(), Failure> {
    let mut known = Known { violation: taint::evidence(scene, branch), ..Known::default() };
    scene.permit(movement, &mut known, |_, _, _| Ok(())).map(drop)
}

fn may_commit(
    scene: &mut Scene<'_>,
    verdict: Verdict,
    branch: &RefName,
    moment: Moment,
) -> Result<(), Failure> {
    let movement = Movement::new(verdict, "committing");
    let mut known = Known {
        violation: taint::evidence(scene, branch),
        owners: Evidence::open_if(moment.looks_for_others(None)),
        paths: Evidence::open_if(moment.looks_at_claims()),
        ..Known::default()
    };
    let refusal = match scene.permit(&movement, &mut known, look_up) {
        Ok(_) => return Ok(()),
        Err(Failure::Refused(refusal)) => refusal,
        Err(failure) => return Err(failure),
    };
    // What would be refused in any case takes no lock; who has to wait learns it in its turn.
    let free = matches!(refusal, Refusal::NotHeld { .. });
    let caller = auto_lock::committer(scene, refusal)?;
    let looks = moment.looks_for_others(Some(&caller.call));
    known.owners = Evidence::open_if(looks);
    if free && looks {
        scene.permit(&movement.taking_the_lock(), &mut known, look_up)?;
    }
    let paths = match &known.paths {
        Evidence::Known(paths) => paths.clone(),
        Evidence::Open | Evidence::Skipped => staged_paths(scene)?,
    };
    let unknown = moment == Moment::Patch && free;
    if unknown || paths.is_empty() && moment.may_find_nothing() {
        // Git may find that there is nothing to commit; if it does not, the authority takes the lock.
        return Ok(());
    }
    auto_lock::take(scene, caller, &paths)?;
    if free || !looks {
        return Ok(());
    }
    // Refused after all, this git ends, and its lease with it.
    known.paths = Evidence::Known(paths);
    scene.permit(&movement, &mut known, look_up).map(drop)
}

/// What is staged, and whose it is: that is looked up only when it can matter, and a commit that was told its
/// paths sweeps up nothing else.
fn look_up(scene: &mut Scene<'_>, need: Need, known: &mut Known) -> Result<(), Failure> {
    if need == Need::Owners && (auto_lock::told_its_paths(scene) || !scene.knows_owners()) {
        known.owners = Evidence::Known(Owners::new());
        return Ok(());
    }
    let paths = match std::mem::take(&mut known.paths) {
        Evidence::Known(paths) => paths,
        Evidence::Open | Evidence::Skipped => staged_paths(scene)?,
    };
    if need == Need::Owners {
        known.owners = Evidence::Known(scene.owners(&paths));
    }
    known.paths = Evidence::Known(paths);
    Ok(())
}

fn staged_paths(scene: &Scene<'_>) -> Result<Vec<Vec<u8>>, Failure> {
    let index = scene.house.env.get_os("GIT_INDEX_FILE").map(Path::new);
    scene.repo().staged_paths(index).map_err(|e| git_failure(&e))
}
