//! `pre-push`: checks what is pushed to another repository.
//!
//! It judges the lines on standard input, never the branch that is checked out. The lock is needed for what
//! others build on: the integration branches (in both modes), the branches of other roles, and to move or
//! remove a tag, notes or replacements. While frozen, nothing is pushed. It is not the authority: the other
//! repository decides for itself.

use cmw::app::error::Failure;
use cmw::app::exit::Exit;
use cmw::domain::guard::git_ref::RefTarget;
use cmw::domain::guard::hook_input::{PushLine, parse_push};
use cmw::domain::guard::permission::{Evidence, Known, Movement};
use cmw::domain::guard::ref_rules::{CurrentRef, Harmless, RefContext, RefVerdict, classify};
use cmw::domain::policy::mode::Mode;
use cmw::store::audit::journal;

use crate::auto_lock;
use crate::chain::{self, GitHookCall};
use crate::context::HookContext;
use crate::taint;

/// Judges a push, then runs the chained hook.
///
/// # Errors
/// [`Failure`]: the refusal.
pub(crate) fn run(call: &GitHookCall<'_>) -> Result<u8, Failure> {
    let stdin = chain::read_stdin()?;
    judge(call, &stdin)?;
    Ok(call.run_chained(&stdin)?.unwrap_or(0))
}

fn judge(call: &GitHookCall<'_>, stdin: &[u8]) -> Result<(), Failure> {
    let lines = parse(stdin)?;
    let lines: Vec<&PushLine> = lines.iter().filter(|line| !is_ours(line)).collect();
    if lines.is_empty() || is_dry_run() {
        return Ok(());
    }
    let mut context = match HookContext::read(call.invocation) {
        Ok(context) => context,
        // A state that cannot be read refuses what may be protected, and nothing else.
        Err(failure) if lines.iter().any(|line| may_be_protected(line)) => return Err(failure),
        Err(_) => return Ok(()),
    };
    let (mut guarded, mut has_looked) = (false, false);
    for line in lines {
        guarded |= judge_line(&mut context, line, &mut has_looked)?;
    }
    let warned = context.warned("pushing");
    if !warned.is_empty() {
        journal::append(context.disk(), &warned)?;
    }
    if guarded {
        context.beat();
    }
    Ok(())
}

/// Judges one ref of the other repository; returns whether it is protected. `has_looked`: whether all refs
/// were compared with the journal, which is done once.
fn judge_line(
    context: &mut HookContext<'_>,
    line: &PushLine,
    has_looked: &mut bool,
) -> Result<bool, Failure> {
    let verdict = {
        let ctx = RefContext {
            own_role: context.caller.actor.role(),
            mode: Mode::Worktrees,
            protect: &context.policy().protect,
            prune_possible: false,
        };
        of_a_push(line, &ctx)
    };
    let action = format!("pushing to {}", line.remote);
    let mut known = Known { violation: Evidence::Open, ..Known::default() };
    context.permit(&Movement::new(verdict, &action).leaving(), &mut known, |context, _, known| {
        if !std::mem::replace(has_looked, true) {
            taint::check_all_refs(context);
        }
        known.violation = Evidence::Known(taint::pushed(context, line)?);
        Ok(())
    })?;
    Ok(verdict.needs_lock())
}

/// Classifies a push. In both modes others build only on the integration branches: branches are told apart as
/// in mode `worktrees`.
fn of_a_push(line: &PushLine, ctx: &RefContext<'_>) -> RefVerdict {
    let current = CurrentRef::of(line.remote_oid.clone().map_or(RefTarget::Zero, RefTarget::from));
    classify(&line.movement(), &current, ctx)
}

/// Returns whether a line may need a check, under any policy.
pub(crate) fn may_be_protected(line: &PushLine) -> bool {
    let strict = RefContext { own_role: None, mode: Mode::Shared, protect: &[], prune_possible: false };
    of_a_push(line, &strict).stops_when_frozen()
}

/// Returns whether it is one of our own refs, which our programs push at any time.
fn is_ours(line: &PushLine) -> bool {
    let ctx = RefContext { own_role: None, mode: Mode::Worktrees, protect: &[], prune_possible: false };
    of_a_push(line, &ctx) == RefVerdict::Harmless(Harmless::Cmw)
}

/// Returns whether the calling push is a dry run.
pub(crate) fn is_dry_run() -> bool {
    auto_lock::calling_git().is_some_and(|caller| caller.call.is("push") && caller.call.is_dry_run())
}

/// Parses git's input.
///
/// # Errors
/// [`Failure`] for a line that git would not write.
pub(crate) fn parse(stdin: &[u8]) -> Result<Vec<PushLine>, Failure> {
    parse_push(stdin).map_err(|e| Failure::with_next_step(Exit::Damaged, e.to_string(), "cmw-doctor"))
}
