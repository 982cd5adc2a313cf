//! `pre-push`: what goes to another repository.
//!
//! Judged is what stands on standard input, never the branch that is checked out. The lock is needed
//! for what others build on: the integration branches (in both modes), the branches of other roles, and
//! to move or remove a tag, notes or replacements. A frozen system pushes nothing. Not the authority:
//! the other repository decides for itself.

use cmw::app::error::Failure;
use cmw::app::exit::Exit;
use cmw::domain::guard::git_ref::RefTarget;
use cmw::domain::guard::hook_input::{PushLine, parse_push};
use cmw::domain::guard::permission::{Evidence, Known, Movement};
use cmw::domain::guard::ref_rules::{ClassifyCtx, Current, Harmless, Verdict, classify};
use cmw::domain::policy::mode::Mode;
use cmw::store::audit::journal;

use crate::auto_lock;
use crate::chain;
use crate::chain::Call;
use crate::context::Scene;
use crate::taint;

/// Judges a push; then the chained hook runs.
///
/// # Errors
/// [`Failure`]: the refusal.
pub(crate) fn run(call: &Call<'_>) -> Result<u8, Failure> {
    let stdin = chain::read_stdin()?;
    judge(call, &stdin)?;
    Ok(call.run_chained(&stdin)?.unwrap_or(0))
}

fn judge(call: &Call<'_>, stdin: &[u8]) -> Result<(), Failure> {
    let lines = parse(stdin)?;
    let lines: Vec<&PushLine> = lines.iter().filter(|line| !is_ours(line)).collect();
    if lines.is_empty() || only_tries() {
        return Ok(());
    }
    let mut scene = match Scene::read(call.house) {
        Ok(scene) => scene,
        // A state that cannot be read refuses what may be protected, and nothing else.
        Err(failure) if lines.iter().any(|line| may_be_protected(line)) => return Err(failure),
        Err(_) => return Ok(()),
    };
    let (mut guarded, mut has_looked) = (false, false);
    for line in lines {
        guarded |= judge_line(&mut scene, line, &mut has_looked)?;
    }
    let warned = scene.warned("pushing");
    if !warned.is_empty() {
        journal::append(scene.disk(), &warned)?;
    }
    if guarded {
        scene.beat();
    }
    Ok(())
}

/// Judges one ref of the other repository; says whether it is protected. `has_looked`: whether every ref was
/// compared with the journal, which is done once.
fn judge_line(scene: &mut Scene<'_>, line: &PushLine, has_looked: &mut bool) -> Result<bool, Failure> {
    let verdict = {
        let ctx = ClassifyCtx {
            own_role: scene.asker.actor.role(),
            mode: Mode::Worktrees,
            protect: &scene.policy().protect,
            prune_possible: false,
        };
        of_a_push(line, &ctx)
    };
    let action = format!("pushing to {}", line.remote);
    let mut known = Known { violation: Evidence::Open, ..Known::default() };
    scene.permit(&Movement::new(verdict, &action).leaving(), &mut known, |scene, _, known| {
        if !std::mem::replace(has_looked, true) {
            taint::look_at_all(scene);
        }
        known.violation = Evidence::Known(taint::pushed(scene, line)?);
        Ok(())
    })?;
    Ok(verdict.needs_lock())
}

/// What a push is. In both modes only the integration branches are what others build on, which is how
/// branches are told apart where each instance has a work tree.
fn of_a_push(line: &PushLine, ctx: &ClassifyCtx<'_>) -> Verdict {
    let current = Current::of(line.remote_oid.clone().map_or(RefTarget::Zero, RefTarget::from));
    classify(&line.movement(), &current, ctx)
}

/// Whether a line may need something, whatever the policy is.
pub(crate) fn may_be_protected(line: &PushLine) -> bool {
    let strict = ClassifyCtx { own_role: None, mode: Mode::Shared, protect: &[], prune_possible: false };
    of_a_push(line, &strict).stops_when_frozen()
}

/// Whether it is one of our own refs, which our programs push at any time.
fn is_ours(line: &PushLine) -> bool {
    let ctx = ClassifyCtx { own_role: None, mode: Mode::Worktrees, protect: &[], prune_possible: false };
    of_a_push(line, &ctx) == Verdict::Harmless(Harmless::Cmw)
}

/// Whether the push that called only tries.
pub(crate) fn only_tries() -> bool {
    auto_lock::caller().is_some_and(|caller| caller.call.is("push") && caller.call.only_tries())
}

/// What git says on standard input.
///
/// # Errors
/// [`Failure`] for a line that git would not write.
pub(crate) fn parse(stdin: &[u8]) -> Result<Vec<PushLine>, Failure> {
    parse_push(stdin).map_err(|e| Failure::told(Exit::Damaged, e.to_string(), "cmw-doctor"))
}
