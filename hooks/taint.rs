//! Owns what a movement of refs must not do while nobody has looked at what went around the hooks: carry it
//! elsewhere. And that refs of ours are moved by programs of ours.

use cmw::adapters::os::process;
use cmw::app::audit::ref_check::Looker;
use cmw::app::error::Failure;
use cmw::domain::audit::taint;
use cmw::domain::audit::taint::tainted;
use cmw::domain::audit::violation::{Tainted, Violation};
use cmw::domain::guard::git_ref::{Oid, RefName, RefTarget};
use cmw::domain::guard::hook_input::{PushLine, RefLine};
use cmw::domain::guard::ref_rules::Current;
use cmw::domain::identity::actor::Actor;
use cmw::domain::refusal::Refusal;

use crate::auto_lock;
use crate::context::Scene;
use cmw::app::error::git_failure;

/// Refuses what lands on a tainted branch, or brings commits from one (DOMAIN section 5).
///
/// # Errors
/// The refusal.
pub(super) fn may_land(scene: &mut Scene<'_>, line: &RefLine, current: &Current) -> Result<(), Failure> {
    let RefTarget::Oid(new) = &line.new else { return on_branch(scene, &line.name) };
    // A commit of its own is on no branch yet.
    if auto_lock::caller().is_none_or(|caller| caller.call.takes_tips()) {
        look_at_sources(scene, std::slice::from_ref(new));
    }
    let old = match &current.value {
        Some(RefTarget::Oid(old)) => Some(old),
        Some(RefTarget::Zero | RefTarget::Symref(_)) | None => None,
    };
    may_bring(scene, &line.name, old, new)
}

/// Refuses to land on a tainted branch.
///
/// # Errors
/// The refusal.
pub(super) fn on_branch(scene: &Scene<'_>, branch: &RefName) -> Result<(), Failure> {
    Ok(taint::may_land_on(&scene.state, branch.as_str())?)
}

/// The same, and to bring there what another one has.
///
/// # Errors
/// The refusal.
pub(super) fn may_bring(
    scene: &Scene<'_>,
    branch: &RefName,
    old: Option<&Oid>,
    new: &Oid,
) -> Result<(), Failure> {
    if scene.state.violations.is_empty() {
        return Ok(());
    }
    on_branch(scene, branch)?;
    for (of, place, commit) in carriers(scene) {
        let had = old.is_some_and(|old| scene.repo.contains(old, &commit).unwrap_or(false));
        if place.name != branch.as_str()
            && !had
            && scene.repo.contains(new, &commit).map_err(|e| git_failure(&e))?
        {
            return Err(taint::refusal(of, place).into());
        }
    }
    Ok(())
}

/// Refuses to push a tainted branch, or what came in with one, under whatever name.
///
/// # Errors
/// The refusal.
pub(super) fn may_push(scene: &Scene<'_>, line: &PushLine) -> Result<(), Failure> {
    if scene.state.violations.is_empty() {
        return Ok(());
    }
    let Some(pushed) = &line.local_oid else { return Ok(()) };
    for name in [line.local.as_str(), line.remote.as_str()] {
        taint::may_leave(&scene.state, name)?;
    }
    for (of, place, commit) in carriers(scene) {
        if scene.repo.contains(pushed, &commit).map_err(|e| git_failure(&e))? {
            return Err(taint::refusal(of, place).into());
        }
    }
    Ok(())
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
        let (repo, disk) = (scene.repo, scene.store.disk());
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
    let (repo, disk) = (scene.repo, scene.store.disk());
    let looker = Looker { repo, disk, policy: scene.policy(), by: &scene.asker.actor };
    if looker.all(&[]).is_ok_and(|looked| looked.new > 0) {
        let _ = auto_lock::take_in(scene);
    }
}

/// Refuses to move refs of ours to whoever is neither a program of ours nor the person: a rescue that an
/// agent tidies away is lost work (DECISIONS 1).
///
/// # Errors
/// The refusal.
pub(super) fn only_ours(scene: &Scene<'_>, line: &RefLine) -> Result<(), Refusal> {
    if scene.asker.actor == Actor::User || is_called_by_ours() {
        return Ok(());
    }
    Err(Refusal::NotPermitted {
        actor: scene.asker.actor.clone(),
        action: format!("moving {}", line.name),
        who_may: "cmw itself or the User".to_owned(),
        session_up: scene.state.session_is_up(&scene.facts),
    })
}

/// Whether the git that called this hook was started by one of our programs. Only against mistakes:
/// whoever names a program so passes.
fn is_called_by_ours() -> bool {
    let git = process::stat(std::process::id()).map(|stat| stat.parent);
    let starter = git.and_then(process::stat).map(|stat| stat.parent);
    let program = starter.and_then(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok());
    program.is_some_and(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name == "cmw" || name.starts_with("cmw-"))
    })
}
