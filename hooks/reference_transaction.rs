//! `reference-transaction`: the authority. It also runs under `--no-verify`.
//!
//! In state `prepared` git has locked the refs and asks: what is re-read then is what is judged.
//! Old values on standard input are not trusted. A transaction is judged as a whole. A state that
//! cannot be read refuses protected refs only (I13). In state `committed` the journal learns what
//! git then did.

use std::os::unix::ffi::OsStrExt;

use cmw::adapters::git::Repo;
use cmw::adapters::git::refs::RefValue;
use cmw::app::audit::ref_check::Looker;
use cmw::app::error::Failure;
use cmw::app::exit::Exit;
use cmw::domain::audit::journal_entry::Entry;
use cmw::domain::guard::git_ref::{Oid, RefName, RefTarget};
use cmw::domain::guard::hook_input::{Phase, RefLine, parse_transaction};
use cmw::domain::guard::permission::{Evidence, Known, Movement, Need};
use cmw::domain::guard::ref_rules;
use cmw::domain::guard::ref_rules::{ClassifyCtx, Current, Harmless, SELF_TEST_REF, Verdict, classify};
use cmw::domain::lock::checks;
use cmw::domain::lock::claim::Claim;
use cmw::domain::policy::mode::Mode;
use cmw::domain::refusal::Refusal;
use cmw::domain::util::path_encoding::{from_text, to_text};
use cmw::store::audit::journal;

use crate::auto_lock;
use crate::chain;
use crate::chain::Call;
use crate::context::{House, Scene};
use crate::merge_precheck;
use crate::reflog_restore;
use crate::taint;
use cmw::app::error::git_failure;

/// How many file names a journal entry carries.
const FILES_MAX: usize = 100;
/// How many bytes of file names a journal entry carries.
const FILES_BYTES_MAX: usize = 8 << 10;
/// Of more refs than these it is looked up whether anything was allowed, before their outcome is written down.
const FEW: usize = 16;

/// Judges a transaction, or records its outcome; then the chained hook runs.
///
/// # Errors
/// [`Failure`]: the refusal; git takes it seriously only in state `prepared`.
pub(crate) fn run(call: &Call<'_>) -> Result<u8, Failure> {
    let phase = Phase::parse(call.args.first().map_or(b"", |a| a.as_bytes()));
    let stdin = chain::read_stdin()?;
    match phase {
        Phase::Prepared => {
            merge_precheck::check(call.house, &stdin)?;
            let ended = prepared(call, &stdin);
            if !matches!(ended, Ok(0)) {
                reflog_restore::take_back(call.house, &stdin);
                may_be_late(call.house, &stdin);
            }
            ended
        }
        Phase::Committed | Phase::Aborted => {
            // Git no longer listens: what cannot be recorded is found by comparing refs and journal.
            let _ = observe(call.house, phase, &stdin);
            Ok(call.run_chained(&stdin)?.unwrap_or(0))
        }
        Phase::Preparing | Phase::Other => Ok(call.run_chained(&stdin)?.unwrap_or(0)),
    }
}

/// Ours, theirs, and ours again when theirs took time: what counts is how things stand when git
/// goes on.
fn prepared(call: &Call<'_>, stdin: &[u8]) -> Result<u8, Failure> {
    let mut allowed = judge(call.house, stdin)?;
    match call.run_chained(stdin)? {
        None => {}
        Some(0) => allowed = judge(call.house, stdin)?,
        Some(code) => return Ok(code),
    }
    if let Some(allowed) = allowed.filter(|allowed| !allowed.entries.is_empty()) {
        match journal::append(call.house.context()?.store.disk(), &allowed.entries) {
            Err(error) if allowed.must_be_recorded => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(0)
}

/// Git asks about a branch when it may have changed files to those of the commit to which it is to move.
fn may_be_late(house: &House, stdin: &[u8]) {
    let Ok(lines) = parse(stdin) else { return };
    let mut branches = lines.into_iter().filter(|line| line.name.as_str().starts_with("refs/heads/"));
    let to = branches.find_map(|line| if let RefTarget::Oid(to) = line.new { Some(to) } else { None });
    // Then nothing differs, unless a rebase has gone there before it asks.
    let stays = |to: &Oid| {
        let Ok(repo) = house.repo() else { return false };
        repo.head_commit().ok().flatten().as_ref() == Some(to) && !repo.rebase_in_progress()
    };
    if !to.as_ref().is_some_and(stays) {
        house.mark_late(to);
    }
}

/// What is to be journaled before git goes on.
#[derive(Default)]
struct Allowed {
    entries: Vec<Entry>,
    /// Whether one of the movements is refused when that fails.
    must_be_recorded: bool,
}

/// Lines that can need something, judged by name alone: for these the state must be read.
fn of_interest(lines: &[RefLine]) -> Vec<&RefLine> {
    // The strictest reading: shared mode, nobody's own branch, nothing known of the present.
    let ctx = ClassifyCtx { own_role: None, mode: Mode::Shared, protect: &[], prune_possible: false };
    let matters =
        |verdict: Verdict| verdict.stops_when_frozen() || verdict == Verdict::Harmless(Harmless::Cmw);
    lines.iter().filter(|line| matters(classify(line, &Current::default(), &ctx))).collect()
}

fn parse(stdin: &[u8]) -> Result<Vec<RefLine>, Failure> {
    parse_transaction(stdin).map_err(|e| Failure::told(Exit::Damaged, e.to_string(), "cmw-doctor"))
}

/// Whether a transaction may move what is protected, whatever the policy is.
pub(crate) fn may_be_protected(house: &House, stdin: &[u8]) -> Result<bool, Failure> {
    let lines = parse(stdin)?;
    let interesting = of_interest(&lines);
    if interesting.is_empty() {
        return Ok(false);
    }
    let repo = house.repo()?;
    let prune_possible = repo.prune_possible(&lines);
    let strict = ClassifyCtx { own_role: None, mode: Mode::Shared, protect: &[], prune_possible };
    Ok(interesting.iter().any(|line| classify(line, &repo.current(line), &strict).stops_when_frozen()))
}

/// Judges; gives what is to be journaled before git goes on, or `None` when nothing is protected.
fn judge(house: &House, stdin: &[u8]) -> Result<Option<Allowed>, Failure> {
    let lines = parse(stdin)?;
    let interesting = of_interest(&lines);
    if interesting.is_empty() {
        return Ok(None);
    }
    if interesting.iter().any(|line| line.name.as_str() == SELF_TEST_REF && line.new != RefTarget::Zero) {
        return Err(Refusal::SelfTest.into());
    }
    let repo = house.repo()?;
    let prune_possible = repo.prune_possible(&lines);
    let present: Vec<(&RefLine, Current)> = interesting.into_iter().map(|l| (l, repo.current(l))).collect();
    // What moves nothing needs no state: it must pass even when the state cannot be read.
    let strict = ClassifyCtx { own_role: None, mode: Mode::Shared, protect: &[], prune_possible };
    let verdicts: Vec<Verdict> = present.iter().map(|(line, c)| classify(line, c, &strict)).collect();
    let ours_only = verdicts.iter().all(|verdict| !verdict.stops_when_frozen());
    if ours_only && !verdicts.contains(&Verdict::Harmless(Harmless::Cmw)) {
        return Ok(None);
    }
    let mut scene = match Scene::read(house) {
        // What was saved for somebody goes to its place whatever state the state is in.
        Err(_) if ours_only => return Ok(None),
        other => other?,
    };
    glance(&scene, &present);
    let allowed = match judge_all(&mut scene, &present, prune_possible) {
        Err(Failure::Refused(refusal)) => {
            // A commit that skipped the friendlier hook, or one of several: it takes a free lock here.
            let caller = auto_lock::committer(&scene, refusal)?;
            let paths = moved_paths(&scene, &present)?;
            if caller.call.is("commit") {
                only_own(&mut scene, &present, prune_possible, &paths)?;
            }
            auto_lock::take(&mut scene, caller, &paths)?;
            judge_all(&mut scene, &present, prune_possible)?
        }
        other => other?,
    };
    Ok(Some(allowed))
}

/// Whether each of these refs is where the journal leaves it: what went around us is noted before the next
/// movement covers it. Soft: who cannot look must not stop everybody for that.
fn glance(scene: &Scene<'_>, present: &[(&RefLine, Current)]) {
    let (repo, disk) = (scene.repo(), scene.disk());
    let looker = Looker { repo, disk, policy: scene.policy(), by: &scene.asker.actor };
    for (line, current) in present {
        if let Some(value) = &current.value {
            let _ = looker.glance(&line.name, value);
        }
    }
}

/// Before a commit acquires the lock here: none of what it moves is somebody else's.
fn only_own(
    scene: &mut Scene<'_>,
    present: &[(&RefLine, Current)],
    prune_possible: bool,
    paths: &[Vec<u8>],
) -> Result<(), Failure> {
    if !scene.knows_owners() {
        return Ok(());
    }
    let owners = Evidence::Known(scene.owners(paths));
    let mut known = Known { owners, paths: Evidence::Known(paths.to_vec()), ..Known::default() };
    for (line, current) in present {
        let verdict = scene.verdict(line, current, prune_possible);
        let movement = Movement::new(verdict, "committing").taking_the_lock();
        scene.permit(&movement, &mut known, |_, _, _| Ok(()))?;
    }
    Ok(())
}

/// What the movements of branches change, all in all.
fn moved_paths(scene: &Scene<'_>, present: &[(&RefLine, Current)]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut all = Vec::new();
    for (line, current) in present {
        all.extend(changed(scene, line, current)?.unwrap_or_default());
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn judge_all(
    scene: &mut Scene<'_>,
    present: &[(&RefLine, Current)],
    prune_possible: bool,
) -> Result<Allowed, Failure> {
    scene.warnings.clear();
    let mut allowed = Allowed::default();
    for (line, current) in present {
        let verdict = scene.verdict(line, current, prune_possible);
        allowed.entries.extend(judge_line(scene, line, current, verdict)?);
        allowed.must_be_recorded |= verdict.needs_record();
    }
    allowed.entries.extend(scene.warned("moving a protected ref"));
    Ok(allowed)
}

/// Judges one movement; gives the journal entry for what is allowed.
pub(crate) fn judge_line(
    scene: &mut Scene<'_>,
    line: &RefLine,
    current: &Current,
    verdict: Verdict,
) -> Result<Option<Entry>, Failure> {
    let is_commit = || auto_lock::caller().is_some_and(|caller| caller.call.is("commit"));
    let action = format!("moving {}", line.name);
    let mut known = Known {
        by_ours: Evidence::Open,
        violation: Evidence::Open,
        paths: Evidence::Open,
        owners: Evidence::Open,
        ..Known::default()
    };
    let lease = scene.permit(&Movement::new(verdict, &action), &mut known, |scene, need, known| {
        match need {
            Need::Program => known.by_ours = Evidence::Known(taint::is_called_by_ours()),
            Need::Violation => known.violation = Evidence::Known(taint::landing(scene, line, current)?),
            Need::Paths => known.paths = paths(scene, line, current)?,
            Need::Owners => {
                // Of a commit that took the lock itself: what was staged after the friendlier hook had looked, or
                // was never shown to it. Any other lease has claimed what it moves.
                let taken = scene.state.held().filter(|held| held.auto).filter(|_| is_commit());
                let claim = taken.map(|held| held.request.files.clone()).filter(|claim| *claim != Claim::All);
                let mut beyond = Vec::new();
                if let Some(claim) = claim.filter(|_| scene.knows_owners()) {
                    known.paths = paths(scene, line, current)?;
                    if let Evidence::Known(paths) = &known.paths {
                        beyond = claim.uncovered(paths).into_iter().cloned().collect();
                    }
                }
                known.owners = Evidence::Known(scene.owners(&beyond));
            }
        }
        Ok(())
    })?;
    let (token, mut files, mut outside) =
        (lease.as_ref().map_or(0, |held| held.token), Vec::new(), Vec::new());
    if let Some(held) = lease.filter(|held| held.request.files != Claim::All) {
        if known.paths == Evidence::Open {
            known.paths = paths(scene, line, current)?;
        }
        if let Evidence::Known(paths) = &known.paths {
            let beyond: Vec<&Vec<u8>> = held.request.files.uncovered(paths);
            outside = if held.auto { Vec::new() } else { shown(&beyond) };
            files = shown(paths);
        }
    }
    if !verdict.is_journaled() {
        return Ok(None);
    }
    let old = current.value.as_ref().map(ref_rules::value_text).unwrap_or_default();
    Ok(Some(Entry::Intent {
        at: scene.facts.now.wall,
        when: scene.facts.now.boot.clone(),
        by: scene.asker.actor.clone(),
        token,
        name: line.name.as_str().to_owned(),
        old,
        new: ref_rules::value_text(&line.new),
        files,
        outside,
    }))
}

/// What a movement changes, as evidence; nothing is compared where that means nothing.
fn paths(scene: &Scene<'_>, line: &RefLine, current: &Current) -> Result<Evidence<Vec<Vec<u8>>>, Failure> {
    Ok(changed(scene, line, current)?.map_or(Evidence::Skipped, Evidence::Known))
}

/// What a movement of a ref to a commit changes.
fn changed(scene: &Scene<'_>, line: &RefLine, current: &Current) -> Result<Option<Vec<Vec<u8>>>, Failure> {
    if line.name.as_str() == SELF_TEST_REF {
        return Ok(None);
    }
    let RefTarget::Oid(new) = &line.new else { return Ok(None) };
    let old: Option<&Oid> = match &current.value {
        Some(RefTarget::Oid(old)) => Some(old),
        Some(RefTarget::Zero | RefTarget::Symref(_)) | None => None,
    };
    let paths = match old {
        Some(old) => scene.repo().changed_paths(Some(old), new),
        // A new branch changes what its own commits change, not all that it has.
        None => scene.repo().introduced_paths(new),
    };
    paths.map(Some).map_err(|e| git_failure(&e))
}

/// The first names, at most [`FILES_MAX`] and [`FILES_BYTES_MAX`].
fn shown(paths: &[impl AsRef<[u8]>]) -> Vec<String> {
    let mut bytes = 0;
    let fits = |name: &String| {
        bytes += name.len();
        bytes <= FILES_BYTES_MAX
    };
    paths.iter().take(FILES_MAX).map(|p| to_text(p.as_ref())).take_while(fits).collect()
}

/// Records what git did with the refs that were judged; a movement counts as work.
fn observe(house: &House, phase: Phase, stdin: &[u8]) -> Result<(), Failure> {
    let lines = parse(stdin)?;
    let interesting = of_interest(&lines);
    if interesting.is_empty() {
        return Ok(());
    }
    let repo = house.repo()?;
    // Who packs refs seems to delete them one by one; they are still there.
    let is_prune = |line: &&RefLine| {
        line.new == RefTarget::Zero && repo.read_ref(&line.name).is_ok_and(|value| value != RefValue::Missing)
    };
    let is_test = |line: &&RefLine| line.name.as_str() == SELF_TEST_REF;
    let moved = interesting.into_iter().filter(|line| !is_test(line) && !is_prune(line));
    let moved: Vec<&RefLine> = moved.collect();
    if moved.is_empty() {
        return Ok(());
    }
    let scene = Scene::read(house)?;
    let at = scene.facts.now.wall;
    let running = checks::running(&scene.state).is_ok();
    let token = scene.state.held().filter(|_| running).map_or(0, |held| held.token);
    let many = moved.len() > FEW;
    let entry = |line: &RefLine| {
        let (name, new) = (line.name.as_str().to_owned(), ref_rules::value_text(&line.new));
        if phase == Phase::Committed {
            Entry::Observed { at, name, new, token }
        } else {
            Entry::Aborted { at, name, new }
        }
    };
    let mut entries: Vec<Entry> = moved.into_iter().map(entry).collect();
    if many {
        // And seems to create them all at once: nothing was allowed for these.
        journal::keep_allowed(scene.disk(), &mut entries)?;
    }
    entries.retain_mut(|entry| settle(repo, entry));
    if !entries.is_empty() {
        journal::append(scene.disk(), &entries)?;
    }
    if phase == Phase::Committed {
        scene.beat();
        auto_lock::give_back(&scene)?;
    }
    Ok(())
}

/// Whether an outcome is to be written down. Since 2.50 git calls a transaction carried out of which it has
/// left out single refs: one that is not there did not appear; and of one that is elsewhere nobody knows
/// whether it got there first.
fn settle(repo: &Repo, entry: &mut Entry) -> bool {
    let Entry::Observed { at, name, new, .. } = entry else { return true };
    let is_there = |name: &RefName| repo.read_ref(name).map(|value| ref_rules::value_text(&value.into()));
    let parsed = RefName::parse(&from_text(name)).ok().filter(|_| !new.is_empty());
    match parsed.as_ref().map(is_there) {
        Some(Ok(value)) if value.is_empty() => {
            *entry = Entry::Aborted { at: *at, name: name.clone(), new: new.clone() };
            true
        }
        // Who writes through a symbolic ref moves another one.
        Some(Ok(value)) => value == *new || value.starts_with("ref:"),
        Some(Err(_)) | None => true,
    }
}
