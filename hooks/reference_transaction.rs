//! Owns `reference-transaction`: the authority. It also runs under `--no-verify`.
//!
//! In state `prepared` git has locked the refs and asks: what is re-read then is what is judged.
//! Old values on standard input are not trusted. A transaction is judged as a whole. A state that
//! cannot be read refuses protected refs only (I13). In state `committed` the journal learns what
//! git then did.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use cmw::cli::exit::Exit;
use cmw::cli::failure::Failure;
use cmw::domain::bytes::to_text;
use cmw::domain::claim::Claim;
use cmw::domain::gitref::{Oid, RefTarget};
use cmw::domain::guard::{
    ClassifyCtx, Current, Phase, RefLine, SELF_TEST_REF, Verdict, classify, parse_transaction,
};
use cmw::domain::permit;
use cmw::domain::policy::Mode;
use cmw::store::journal::{self, Entry};

use super::pre_commit::git_failure;
use super::scene::{House, Scene};

/// How many file names a journal entry carries.
const FILES_MAX: usize = 100;
/// Most of what git may say on standard input: two hundred thousand refs.
const STDIN_BYTES_MAX: u64 = 64 << 20;

/// Judges a transaction, or records its outcome. Gives back what was read.
///
/// # Errors
/// [`Failure`]: the refusal; git takes it seriously only in state `prepared`.
pub(crate) fn check(house: &House, args: &[OsString]) -> Result<Vec<u8>, Failure> {
    let phase = Phase::parse(args.first().map_or(b"", |a| a.as_bytes()));
    let mut stdin = Vec::new();
    std::io::stdin().lock().take(STDIN_BYTES_MAX).read_to_end(&mut stdin).map_err(|e| {
        Failure::told(Exit::Unavailable, format!("cannot read what git says: {e}"), "cmw-doctor")
    })?;
    match phase {
        Phase::Prepared => judge(house, &stdin)?,
        // The outcome is recorded as far as possible; git no longer listens.
        Phase::Committed => observe(house, &stdin)?,
        Phase::Preparing | Phase::Aborted | Phase::Other => {}
    }
    Ok(stdin)
}

/// Lines that can need something, judged by name alone: for these the state must be read.
fn of_interest(lines: &[RefLine]) -> Vec<&RefLine> {
    // The strictest reading: shared mode, nobody's own branch, nothing known of the present.
    let ctx = ClassifyCtx { own_role: None, mode: Mode::Shared, protect: &[], prune_possible: false };
    lines.iter().filter(|line| classify(line, &Current::default(), &ctx).stops_when_frozen()).collect()
}

fn parse(stdin: &[u8]) -> Result<Vec<RefLine>, Failure> {
    parse_transaction(stdin).map_err(|e| Failure::told(Exit::Damaged, e.to_string(), "cmw-doctor"))
}

fn judge(house: &House, stdin: &[u8]) -> Result<(), Failure> {
    let lines = parse(stdin)?;
    let interesting = of_interest(&lines);
    if interesting.is_empty() {
        return Ok(());
    }
    let repo = house.repo()?;
    let prune_possible = repo.prune_possible(&lines);
    let present: Vec<(&RefLine, Current)> = interesting.into_iter().map(|l| (l, repo.current(l))).collect();
    // What moves nothing needs no state: it must pass even when the state cannot be read.
    let strict = ClassifyCtx { own_role: None, mode: Mode::Shared, protect: &[], prune_possible };
    if !present.iter().any(|(line, current)| classify(line, current, &strict).stops_when_frozen()) {
        return Ok(());
    }
    let scene = Scene::read(house)?;
    let ctx = ClassifyCtx {
        own_role: scene.asker.actor.role(),
        mode: scene.policy().mode,
        protect: &scene.policy().protect,
        prune_possible,
    };
    let mut entries = Vec::new();
    for (line, current) in &present {
        let verdict = classify(line, current, &ctx);
        if let Some(entry) = judge_line(&scene, line, current, verdict)? {
            entries.push(entry);
        }
    }
    if !entries.is_empty() {
        journal::append(scene.store.disk(), &entries)?;
    }
    Ok(())
}

/// Judges one movement; gives the journal entry for what is allowed.
fn judge_line(
    scene: &Scene<'_>,
    line: &RefLine,
    current: &Current,
    verdict: Verdict,
) -> Result<Option<Entry>, Failure> {
    if verdict.stops_when_frozen() {
        permit::running(&scene.state)?;
    }
    let mut token = 0;
    let (mut files, mut outside) = (Vec::new(), Vec::new());
    if verdict.needs_lock() {
        let action = format!("moving {}", line.name);
        let held = permit::lease(&scene.state, &scene.asker, &scene.facts, &action)?;
        token = held.token;
        let claim = &held.request.files;
        if let Some(paths) = compared(scene, line, current, claim)? {
            if permit::claim(scene.policy(), held).is_some() {
                permit::within(claim, &paths)?;
            }
            outside = shown(&claim.uncovered(&paths));
            files = shown(&paths);
        }
    }
    if !verdict.is_journaled() {
        return Ok(None);
    }
    let old = current.value.as_ref().map(value_text).unwrap_or_default();
    Ok(Some(Entry::Intent {
        at: scene.facts.now.wall,
        by: scene.asker.actor.clone(),
        token,
        name: line.name.to_string(),
        old,
        new: value_text(&line.new),
        files,
        outside,
    }))
}

/// What a movement of a branch changes, when the claim is not everything.
fn compared(
    scene: &Scene<'_>,
    line: &RefLine,
    current: &Current,
    claim: &Claim,
) -> Result<Option<Vec<Vec<u8>>>, Failure> {
    if *claim == Claim::All || line.name.as_str() == SELF_TEST_REF {
        return Ok(None);
    }
    let RefTarget::Oid(new) = &line.new else { return Ok(None) };
    let old: Option<&Oid> = match &current.value {
        Some(RefTarget::Oid(old)) => Some(old),
        Some(RefTarget::Zero | RefTarget::Symref(_)) | None => None,
    };
    scene.repo.changed_paths(old, new).map(Some).map_err(git_failure)
}

fn shown(paths: &[impl AsRef<[u8]>]) -> Vec<String> {
    paths.iter().take(FILES_MAX).map(|p| to_text(p.as_ref())).collect()
}

fn value_text(value: &RefTarget) -> String {
    match value {
        RefTarget::Zero => String::new(),
        RefTarget::Oid(oid) => oid.to_string(),
        RefTarget::Symref(name) => format!("ref:{name}"),
    }
}

/// Records what git did with the refs that were judged, and counts it as work.
fn observe(house: &House, stdin: &[u8]) -> Result<(), Failure> {
    let lines = parse(stdin)?;
    let interesting = of_interest(&lines);
    if interesting.is_empty() {
        return Ok(());
    }
    let scene = Scene::read(house)?;
    let entry = |line: &RefLine| Entry::Observed {
        at: scene.facts.now.wall,
        name: line.name.to_string(),
        new: value_text(&line.new),
    };
    let entries: Vec<Entry> = interesting.into_iter().map(entry).collect();
    journal::append(scene.store.disk(), &entries)?;
    scene.beat();
    Ok(())
}
