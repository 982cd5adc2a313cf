//! `pre-receive`: a push into this repository, from itself or from a clone.
//!
//! The authority would refuse it too, but git then tells the pusher only that the other side hung up. Here
//! the pusher sees the refusal. Nothing is journaled: the authority, which is called afterwards, does that.

use cmw::app::error::Failure;
use cmw::app::exit::Exit;
use cmw::domain::guard::hook_input::{RefLine, parse_receive};
use cmw::domain::guard::ref_rules::{CurrentRef, RefContext, classify};
use cmw::domain::policy::mode::Mode;

use crate::chain::{self, GitHookCall};
use crate::context::{HookContext, HookInvocation};
use crate::reference_transaction::judge_line;

/// Judges a push, then runs the chained hook.
///
/// # Errors
/// [`Failure`]: the refusal.
pub(crate) fn run(call: &GitHookCall<'_>) -> Result<u8, Failure> {
    let stdin = chain::read_stdin()?;
    judge(call.invocation, &stdin)?;
    Ok(call.run_chained(&stdin)?.unwrap_or(0))
}

fn judge(invocation: &HookInvocation, stdin: &[u8]) -> Result<(), Failure> {
    let lines = parse_receive(stdin)
        .map_err(|e| Failure::with_next_step(Exit::Damaged, e.to_string(), "cmw-doctor"))?;
    let repo = invocation.repo()?;
    let present: Vec<(&RefLine, CurrentRef)> = lines.iter().map(|line| (line, repo.current(line))).collect();
    // A push removes no loose copy of a ref.
    let strict = RefContext { own_role: None, mode: Mode::Shared, protect: &[], prune_possible: false };
    let may_count =
        |(line, current): &(&RefLine, CurrentRef)| classify(line, current, &strict).stops_when_frozen();
    if !present.iter().any(may_count) {
        return Ok(());
    }
    let mut context = HookContext::read(invocation)?;
    for (line, current) in &present {
        let verdict = context.verdict(line, current, false);
        judge_line(&mut context, line, current, verdict)?;
    }
    Ok(())
}
