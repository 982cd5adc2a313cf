//! Violations as evidence for the sequence of checks: whether a movement or a push would carry one elsewhere. And
//! which program moves refs of ours.

use cmw::adapters::os::process;
use cmw::app::audit::ref_check::Looker;
use cmw::app::error::Failure;
use cmw::domain::audit::taint;
use cmw::domain::audit::taint::tainted;
use cmw::domain::audit::violation::{Tainted, Violation};
use cmw::domain::guard::git_ref::{Oid, RefName, RefTarget};
use cmw::domain::guard::hook_input::{PushLine, RefLine};
use cmw::domain::guard::permission::Evidence;
use cmw::domain::guard::ref_rules::Current;
use cmw::domain::refusal::Refusal;

use crate::auto_lock;
use crate::context::Scene;
use cmw::app::error::git_failure;

/// The violation on whose branch this lands, or whose commits it brings (DOMAIN section 5).
///
/// # Errors
/// [`Failure`] of git.
pub(super) fn landing(
    scene: &mut Scene<'_>,
    line: &RefLine,
    current: &Current,
) -> Result<Option<Refusal>, Failure> {
    let RefTarget::Oid(new) = &line.new else { return Ok(on_branch(scene, &line.name)) };
    // A commit of its own is on no branch yet.
    if auto_lock::caller().is_none_or(|caller| caller.call.takes_tips()) {
        look_at_sources(scene, std::slice::from_ref(new));
    }
    let old = match &current.value {
        Some(RefTarget::Oid(old)) => Some(old),
        Some(RefTarget::Zero | RefTarget::Symref(_)) | None => None,
    };
    brought(scene, &line.name, old, new)
}

/// The violation of a branch on which this lands.
pub(super) fn on_branch(scene: &Scene<'_>, branch: &RefName) -> Option<Refusal> {
    taint::may_land_on(&scene.state, branch.as_str()).err()
}

/// The same, as evidence.
pub(super) fn evidence(scene: &Scene<'_>, branch: &RefName) -> Evidence<Option<Refusal>> {
    Evidence::Known(on_branch(scene, branch))
}

/// The violation of that branch, or that of another one which comes along.
///
/// # Errors
/// [`Failure`] of git.
pub(super) fn brought(
    scene: &Scene<'_>,
    branch: &RefName,
    old: Option<&Oid>,
    new: &Oid,
) -> Result<Option<Refusal>, Failure> {
    if scene.state.violations.is_empty() {
        return Ok(None);
    }
    let found = on_branch(scene, branch);
    if found.is_some() {
        return Ok(found);
    }
    for (of, place, commit) in carriers(scene) {
        let had = old.is_some_and(|old| scene.repo().contains(old, &commit).unwrap_or(false));
        if place.name != branch.as_str()
            && !had
            && scene.repo().contains(new, &commit).map_err(|e| git_failure(&e))?
        {
            return Ok(Some(taint::refusal(of, place)));
        }
    }
    Ok(None)
}

/// The violation of what is pushed, or of what came in with it, under whatever name.
///
/// # Errors
/// [`Failure`] of git.
pub(super) fn pushed(scene: &Scene<'_>, line: &PushLine) -> Result<Option<Refusal>, Failure> {
    if scene.state.violations.is_empty() {
        return Ok(None);
    }
    let Some(pushed) = &line.local_oid else { return Ok(None) };
    for name in [line.local.as_str(), line.remote.as_str()] {
        if let Err(refusal) = taint::may_leave(&scene.state, name) {
            return Ok(Some(refusal));
        }
    }
    for (of, place, commit) in carriers(scene) {
        if scene.repo().contains(pushed, &commit).map_err(|e| git_failure(&e))? {
            return Ok(Some(taint::refusal(of, place)));
        }
    }
    Ok(None)
}

/// The commits that came in around the hooks, and are not adopted.
fn carriers<'s>(scene: &'s Scene<'_>) -> impl Iterator<Item = (&'s Violation, &'s Tainted, Oid)> {
    let brought = tainted(&scene.state).filter(|(_, place)| place.brings);
    brought.filter_map(|(of, place)| Some((of, place, Oid::parse(place.is.as_bytes()).ok()?)))
}

/// Looks at the branches that are where something is taken from, before it is taken: what moved them around
/// us is a violation from now on. Soft: who cannot look must not stop everybody for that.
pub(super) fn look_at_sources(scene: &mut Scene<'_>, tips: &[Oid]) {
    let found = {
        let (repo, disk) = (scene.repo(), scene.disk());
        let looker = Looker { repo, disk, policy: scene.policy(), by: &scene.asker.actor };
        let branches = tips.iter().filter_map(|tip| repo.branches_at(tip).ok()).flatten();
        let astray = |name: &RefName| {
            repo.read_ref(name).is_ok_and(|value| looker.glance(name, &value.into()).unwrap_or(false))
        };
        branches.filter(astray).count() > 0
    };
    if found {
        let _ = auto_lock::take_in(scene);
    }
}

/// The same with every ref: for what leaves the repository.
pub(super) fn look_at_all(scene: &mut Scene<'_>) {
    let (repo, disk) = (scene.repo(), scene.disk());
    let looker = Looker { repo, disk, policy: scene.policy(), by: &scene.asker.actor };
    if looker.all(&[]).is_ok_and(|looked| looked.new > 0) {
        let _ = auto_lock::take_in(scene);
    }
}

/// Whether the git that called this hook was started by one of our programs. Only against mistakes:
/// whoever names a program so passes.
pub(super) fn is_called_by_ours() -> bool {
    let git = process::stat(std::process::id()).map(|stat| stat.parent);
    let starter = git.and_then(process::stat).map(|stat| stat.parent);
    let program = starter.and_then(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok());
    program.is_some_and(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name == "cmw" || name.starts_with("cmw-"))
    })
}
