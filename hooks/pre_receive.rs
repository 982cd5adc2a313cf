//! Owns `pre-receive`: a push into this repository, from itself or from a clone.
//!
//! The authority would refuse it too, but then git tells the pusher no more than that the other side
//! hung up. Here the refusal is heard. Nothing is journaled: that is the authority's, which is asked
//! afterwards.

use cmw::app::error::Failure;
use cmw::app::exit::Exit;
use cmw::domain::guard::hook_input::{RefLine, parse_receive};
use cmw::domain::guard::ref_rules::{ClassifyCtx, Current, classify};
use cmw::domain::policy::mode::Mode;

use crate::chain;
use crate::chain::Call;
use crate::context::{House, Scene};
use crate::reference_transaction::judge_line;

/// Judges what is pushed; then the chained hook runs.
///
/// # Errors
/// [`Failure`]: the refusal.
pub(crate) fn run(call: &Call<'_>) -> Result<u8, Failure> {
    let stdin = chain::read_stdin()?;
    judge(call.house, &stdin)?;
    Ok(call.run_chained(&stdin)?.unwrap_or(0))
}

fn judge(house: &House, stdin: &[u8]) -> Result<(), Failure> {
    let lines =
        parse_receive(stdin).map_err(|e| Failure::told(Exit::Damaged, e.to_string(), "cmw-doctor"))?;
    let repo = house.repo()?;
    let present: Vec<(&RefLine, Current)> = lines.iter().map(|line| (line, repo.current(line))).collect();
    // A push removes no loose copy of a ref.
    let strict = ClassifyCtx { own_role: None, mode: Mode::Shared, protect: &[], prune_possible: false };
    let may_count =
        |(line, current): &(&RefLine, Current)| classify(line, current, &strict).stops_when_frozen();
    if !present.iter().any(may_count) {
        return Ok(());
    }
    let mut scene = Scene::read(house)?;
    for (line, current) in &present {
        let verdict = scene.verdict(line, current, false);
        judge_line(&mut scene, line, current, verdict)?;
    }
    Ok(())
}
