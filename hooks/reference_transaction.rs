//! `reference-transaction`: the authority. It also runs under `--no-verify`.
//!
//! In state `prepared` git has locked the refs and calls the hook, which judges the values that it reads
//! then. Old values on standard input are not trusted. A transaction is judged as a whole. A state document
//! that cannot be read refuses protected refs only (docs/rules.md I13). In state `committed` the journal
//! records what git did.

use std::os::unix::ffi::OsStrExt;

use cmw::adapters::git::Repo;
use cmw::adapters::git::refs::RefValue;
use cmw::app::audit::ref_check::RefChecker;
use cmw::app::error::Failure;
use cmw::app::exit::Exit;
use cmw::domain::audit::journal_entry::JournalEntry;
use cmw::domain::guard::git_ref::{Oid, RefName, RefTarget};
use cmw::domain::guard::hook_input::{RefLine, TransactionPhase, parse_transaction};
use cmw::domain::guard::permission::{self, Evidence, Known, Movement, Need};
use cmw::domain::guard::ref_rules::{
    self, CurrentRef, Harmless, RefContext, RefVerdict, SELF_TEST_REF, classify,
};
use cmw::domain::lock::checks;
use cmw::domain::lock::claim::Claim;
use cmw::domain::policy::mode::Mode;
use cmw::domain::refusal::Refusal;
use cmw::domain::state::State;
use cmw::domain::util::path_encoding::{from_text, to_text};
use cmw::store::audit::journal;

use crate::auto_lock;
use crate::chain::{self, GitHookCall};
use crate::context::{HookContext, HookInvocation};
use crate::merge_precheck;
use crate::reflog_restore;
use crate::taint;
use cmw::app::error::git_failure;

/// How many file names a journal entry carries.
const FILES_MAX: usize = 100;
/// How many bytes of file names a journal entry carries.
const FILES_BYTES_MAX: usize = 8 << 10;
/// How often a movement is judged again because the state has changed meanwhile.
const TRIES: u32 = 20;
/// For more refs than these, only outcomes of allowed movements are recorded.
const FEW: usize = 16;

/// Judges a transaction, or records its outcome; then runs the chained hook.
///
/// # Errors
/// [`Failure`]: the refusal; git honours it only in state `prepared`.
pub(crate) fn run(call: &GitHookCall<'_>) -> Result<u8, Failure> {
    let phase = TransactionPhase::parse(call.args.first().map_or(b"", |a| a.as_bytes()));
    let stdin = chain::read_stdin()?;
    match phase {
        TransactionPhase::Prepared => {
            merge_precheck::check(call.invocation, &stdin)?;
            let ended = prepared(call, &stdin);
            if !matches!(ended, Ok(0)) {
                reflog_restore::restore_reflogs(call.invocation, &stdin);
                warn_if_files_changed(call.invocation, &stdin);
            }
            ended
        }
        TransactionPhase::Committed | TransactionPhase::Aborted => {
            // Git ignores the result here: an outcome that is not recorded is found by comparing refs and
            // journal.
            let _ = observe(call.invocation, phase, &stdin);
            Ok(call.run_chained(&stdin)?.unwrap_or(0))
        }
        TransactionPhase::Preparing | TransactionPhase::Other => Ok(call.run_chained(&stdin)?.unwrap_or(0)),
    }
}

/// Runs our checks, the chained hook, and our checks once more, because the chained hook took time: the state
/// at the moment when git continues counts.
fn prepared(call: &GitHookCall<'_>, stdin: &[u8]) -> Result<u8, Failure> {
    let mut allowed = judge(call.invocation, stdin)?;
    match call.run_chained(stdin)? {
        None => {}
        Some(0) => allowed = judge(call.invocation, stdin)?,
        Some(code) => return Ok(code),
    }
    for _ in 0..TRIES {
        let Some(mut movements) = allowed.filter(|allowed| !allowed.entries.is_empty()) else { return Ok(0) };
        let disk = call.invocation.context()?.store.disk();
        let is_same = |state: &State| permission::judge_alike(&movements.state, state);
        match journal::append_allowed(disk, movements.document, is_same, &mut movements.entries) {
            Ok(true) => return Ok(0),
            // A publish came in between.
            Ok(false) => allowed = judge(call.invocation, stdin)?,
            Err(error) if movements.must_be_recorded => return Err(error.into()),
            Err(_) => return Ok(0),
        }
    }
    Err(Failure::with_next_step(Exit::Busy, "the state kept changing while the movement was judged", "cmw"))
}

/// Records that git may have changed files before it called the hook, to those of the branch's new commit.
fn warn_if_files_changed(invocation: &HookInvocation, stdin: &[u8]) {
    let Ok(lines) = parse(stdin) else { return };
    let mut branches = lines.into_iter().filter(|line| line.name.as_str().starts_with("refs/heads/"));
    let to = branches.find_map(|line| if let RefTarget::Oid(to) = line.new { Some(to) } else { None });
    // If HEAD is there already nothing differs, unless a rebase has moved it before it calls the hook.
    let stays = |to: &Oid| {
        let Ok(repo) = invocation.repo() else { return false };
        repo.head_commit().ok().flatten().as_ref() == Some(to) && !repo.rebase_in_progress()
    };
    if !to.as_ref().is_some_and(stays) {
        invocation.mark_files_changed(to);
    }
}

/// The journal entries to be written before git continues.
struct AllowedMovements {
    entries: Vec<JournalEntry>,
    /// The state by which they are allowed.
    state: State,
    /// The number of its document; 0 if it is not known.
    document: u64,
    /// Whether one of the movements is refused when writing them fails.
    must_be_recorded: bool,
}

/// Returns the lines that may need a check, by name alone: for these the state must be read.
fn of_interest(lines: &[RefLine]) -> Vec<&RefLine> {
    // The strictest reading: shared mode, no own branch, current values unknown.
    let ctx = RefContext { own_role: None, mode: Mode::Shared, protect: &[], prune_possible: false };
    let matters =
        |verdict: RefVerdict| verdict.stops_when_frozen() || verdict == RefVerdict::Harmless(Harmless::Cmw);
    lines.iter().filter(|line| matters(classify(line, &CurrentRef::default(), &ctx))).collect()
}

fn parse(stdin: &[u8]) -> Result<Vec<RefLine>, Failure> {
    parse_transaction(stdin).map_err(|e| Failure::with_next_step(Exit::Damaged, e.to_string(), "cmw-doctor"))
}

/// Returns whether a transaction may move something protected, under any policy.
pub(crate) fn may_be_protected(invocation: &HookInvocation, stdin: &[u8]) -> Result<bool, Failure> {
    let lines = parse(stdin)?;
    let interesting = of_interest(&lines);
    if interesting.is_empty() {
        return Ok(false);
    }
    let repo = invocation.repo()?;
    let prune_possible = repo.prune_possible(&lines);
    let strict = RefContext { own_role: None, mode: Mode::Shared, protect: &[], prune_possible };
    Ok(interesting.iter().any(|line| classify(line, &repo.current(line), &strict).stops_when_frozen()))
}

/// Judges a transaction; returns the entries to be journaled before git continues, or `None` when nothing is
/// protected.
fn judge(invocation: &HookInvocation, stdin: &[u8]) -> Result<Option<AllowedMovements>, Failure> {
    let lines = parse(stdin)?;
    let interesting = of_interest(&lines);
    if interesting.is_empty() {
        return Ok(None);
    }
    if interesting.iter().any(|line| line.name.as_str() == SELF_TEST_REF && line.new != RefTarget::Zero) {
        return Err(Refusal::SelfTest.into());
    }
    let repo = invocation.repo()?;
    let prune_possible = repo.prune_possible(&lines);
    let present: Vec<(&RefLine, CurrentRef)> =
        interesting.into_iter().map(|l| (l, repo.current(l))).collect();
    // A transaction that moves nothing needs no state: it must pass even when the state cannot be read.
    let strict = RefContext { own_role: None, mode: Mode::Shared, protect: &[], prune_possible };
    let verdicts: Vec<RefVerdict> = present.iter().map(|(line, c)| classify(line, c, &strict)).collect();
    let ours_only = verdicts.iter().all(|verdict| !verdict.stops_when_frozen());
    if ours_only && !verdicts.contains(&RefVerdict::Harmless(Harmless::Cmw)) {
        return Ok(None);
    }
    let mut context = HookContext::read(invocation)?;
    quick_check(&context, &present);
    let judged = match judge_all(&mut context, &present, prune_possible) {
        Err(Failure::Refused(refusal)) => {
            // A commit that skipped the early hook, or one of several: it acquires a free lock here.
            let caller = auto_lock::committer(&context, refusal)?;
            let paths = moved_paths(&context, &present)?;
            if caller.call.is("commit") {
                only_own(&mut context, &present, prune_possible, &paths)?;
            }
            auto_lock::acquire(&mut context, caller, &paths)?;
            judge_all(&mut context, &present, prune_possible)?
        }
        other => other?,
    };
    let (entries, must_be_recorded) = judged;
    let HookContext { state, document, .. } = context;
    Ok(Some(AllowedMovements { entries, state, document, must_be_recorded }))
}

/// Checks whether each of these refs has its value in the journal: an unauthorized update is recorded before
/// the next movement covers it. Soft: a failed check must not block other work.
fn quick_check(context: &HookContext<'_>, present: &[(&RefLine, CurrentRef)]) {
    let (repo, disk) = (context.repo(), context.disk());
    let looker = RefChecker { repo, disk, policy: context.policy(), by: &context.caller.actor };
    for (line, current) in present {
        if let Some(value) = &current.value {
            let _ = looker.quick_check(&line.name, value);
        }
    }
}

/// Refuses a commit that would move files of another role, before it acquires the lock here.
fn only_own(
    context: &mut HookContext<'_>,
    present: &[(&RefLine, CurrentRef)],
    prune_possible: bool,
    paths: &[Vec<u8>],
) -> Result<(), Failure> {
    if !context.knows_owners() {
        return Ok(());
    }
    let owners = Evidence::Known(context.owners(paths));
    let mut known = Known { owners, paths: Evidence::Known(paths.to_vec()), ..Known::default() };
    for (line, current) in present {
        let verdict = context.verdict(line, current, prune_possible);
        let movement = Movement::new(verdict, "committing").taking_the_lock();
        context.permit(&movement, &mut known, |_, _, _| Ok(()))?;
    }
    Ok(())
}

/// Returns all paths that the movements of branches change.
fn moved_paths(
    context: &HookContext<'_>,
    present: &[(&RefLine, CurrentRef)],
) -> Result<Vec<Vec<u8>>, Failure> {
    let mut all = Vec::new();
    for (line, current) in present {
        all.extend(changed(context, line, current)?.unwrap_or_default());
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// Returns the entries of movements that are all allowed, and whether these must be recorded.
fn judge_all(
    context: &mut HookContext<'_>,
    present: &[(&RefLine, CurrentRef)],
    prune_possible: bool,
) -> Result<(Vec<JournalEntry>, bool), Failure> {
    context.warnings.clear();
    let (mut entries, mut must_be_recorded) = (Vec::new(), false);
    for (line, current) in present {
        let verdict = context.verdict(line, current, prune_possible);
        entries.extend(judge_line(context, line, current, verdict)?);
        must_be_recorded |= verdict.needs_record();
    }
    entries.extend(context.warned("moving a protected ref"));
    Ok((entries, must_be_recorded))
}

/// Judges one movement; returns the journal entry if it is allowed.
pub(crate) fn judge_line(
    context: &mut HookContext<'_>,
    line: &RefLine,
    current: &CurrentRef,
    verdict: RefVerdict,
) -> Result<Option<JournalEntry>, Failure> {
    let is_commit = || auto_lock::calling_git().is_some_and(|caller| caller.call.is("commit"));
    let action = format!("moving {}", line.name);
    let mut known = Known {
        violation: Evidence::Open,
        paths: Evidence::Open,
        owners: Evidence::Open,
        ..Known::default()
    };
    let lease = context.permit(&Movement::new(verdict, &action), &mut known, |context, need, known| {
        match need {
            Need::Violation => known.violation = Evidence::Known(taint::landing(context, line, current)?),
            Need::Paths => known.paths = paths(context, line, current)?,
            Need::Owners => {
                // For a commit that acquired the lock itself: paths that were staged after the early hook
                // ran, or never shown to it. Any other lease has claimed what it moves.
                let taken = context.state.held().filter(|held| held.auto).filter(|_| is_commit());
                let claim = taken.map(|held| held.request.files.clone()).filter(|claim| *claim != Claim::All);
                let mut beyond = Vec::new();
                if let Some(claim) = claim.filter(|_| context.knows_owners()) {
                    known.paths = paths(context, line, current)?;
                    if let Evidence::Known(paths) = &known.paths {
                        beyond = claim.uncovered(paths).into_iter().cloned().collect();
                    }
                }
                known.owners = Evidence::Known(context.owners(&beyond));
            }
        }
        Ok(())
    })?;
    let (token, mut files, mut outside) =
        (lease.as_ref().map_or(0, |held| held.token), Vec::new(), Vec::new());
    if let Some(held) = lease.filter(|held| held.request.files != Claim::All) {
        if known.paths == Evidence::Open {
            known.paths = paths(context, line, current)?;
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
    // Without git's own lock no movement is under way: there is nothing to be recorded as allowed.
    let Some(git_lock) = context.repo().ref_lock(&line.name) else { return Ok(None) };
    let old = current.value.as_ref().map(ref_rules::value_text).unwrap_or_default();
    Ok(Some(JournalEntry::Intent {
        at: context.facts.now.wall,
        when: context.facts.now.boot.clone(),
        by: context.caller.actor.clone(),
        token,
        name: line.name.as_str().to_owned(),
        old,
        new: ref_rules::value_text(&line.new),
        files,
        outside,
        git: auto_lock::moving_git(),
        git_lock: Some(git_lock),
        document: 0,
    }))
}

/// Returns the paths that a movement changes, as evidence; skipped where a comparison means nothing.
fn paths(
    context: &HookContext<'_>,
    line: &RefLine,
    current: &CurrentRef,
) -> Result<Evidence<Vec<Vec<u8>>>, Failure> {
    Ok(changed(context, line, current)?.map_or(Evidence::Skipped, Evidence::Known))
}

/// Returns the paths that moving a ref to a commit changes.
fn changed(
    context: &HookContext<'_>,
    line: &RefLine,
    current: &CurrentRef,
) -> Result<Option<Vec<Vec<u8>>>, Failure> {
    if line.name.as_str() == SELF_TEST_REF {
        return Ok(None);
    }
    let RefTarget::Oid(new) = &line.new else { return Ok(None) };
    let old: Option<&Oid> = match &current.value {
        Some(RefTarget::Oid(old)) => Some(old),
        Some(RefTarget::Zero | RefTarget::Symref(_)) | None => None,
    };
    let paths = match old {
        Some(old) => context.repo().changed_paths(Some(old), new),
        // A new branch changes what its own commits change, not all that it contains.
        None => context.repo().introduced_paths(new),
    };
    paths.map(Some).map_err(|e| git_failure(&e))
}

/// Returns the first names, at most [`FILES_MAX`] and [`FILES_BYTES_MAX`].
fn shown(paths: &[impl AsRef<[u8]>]) -> Vec<String> {
    let mut bytes = 0;
    let fits = |name: &String| {
        bytes += name.len();
        bytes <= FILES_BYTES_MAX
    };
    paths.iter().take(FILES_MAX).map(|p| to_text(p.as_ref())).take_while(fits).collect()
}

/// Records what git did with the judged refs; a movement counts as work.
fn observe(invocation: &HookInvocation, phase: TransactionPhase, stdin: &[u8]) -> Result<(), Failure> {
    let lines = parse(stdin)?;
    let interesting = of_interest(&lines);
    if interesting.is_empty() {
        return Ok(());
    }
    let repo = invocation.repo()?;
    // Packing refs looks like deleting them one by one; they still exist.
    let is_prune = |line: &&RefLine| {
        line.new == RefTarget::Zero && repo.read_ref(&line.name).is_ok_and(|value| value != RefValue::Missing)
    };
    let is_test = |line: &&RefLine| line.name.as_str() == SELF_TEST_REF;
    let moved = interesting.into_iter().filter(|line| !is_test(line) && !is_prune(line));
    let moved: Vec<&RefLine> = moved.collect();
    if moved.is_empty() {
        return Ok(());
    }
    let context = HookContext::read(invocation)?;
    let at = context.facts.now.wall;
    let running = checks::running(&context.state).is_ok();
    let token = context.state.held().filter(|_| running).map_or(0, |held| held.token);
    let many = moved.len() > FEW;
    let entry = |line: &RefLine| {
        let (name, new) = (line.name.as_str().to_owned(), ref_rules::value_text(&line.new));
        if phase == TransactionPhase::Committed {
            JournalEntry::Observed { at, name, new, token }
        } else {
            JournalEntry::Aborted { at, name, new, expired: false }
        }
    };
    let mut entries: Vec<JournalEntry> = moved.into_iter().map(entry).collect();
    if many {
        // Packing also looks like creating them all at once: no movement was allowed for these.
        journal::keep_allowed(context.disk(), &mut entries)?;
    }
    entries.retain_mut(|entry| should_record(repo, entry));
    if !entries.is_empty() {
        journal::append(context.disk(), &entries)?;
    }
    if phase == TransactionPhase::Committed {
        context.beat();
        auto_lock::give_back(&context)?;
    }
    Ok(())
}

/// Returns whether an outcome is to be recorded. Since 2.50 git reports a transaction as committed that left
/// out single refs: a ref that is missing was not created, and a ref with another value may or may not have
/// had the new one first.
fn should_record(repo: &Repo, entry: &mut JournalEntry) -> bool {
    let JournalEntry::Observed { at, name, new, .. } = entry else { return true };
    let is_there = |name: &RefName| repo.read_ref(name).map(|value| ref_rules::value_text(&value.into()));
    let parsed = RefName::parse(&from_text(name)).ok().filter(|_| !new.is_empty());
    match parsed.as_ref().map(is_there) {
        Some(Ok(value)) if value.is_empty() => {
            *entry = JournalEntry::Aborted { at: *at, name: name.clone(), new: new.clone(), expired: false };
            true
        }
        // Writing through a symbolic ref moves another ref.
        Some(Ok(value)) => value == *new || value.starts_with("ref:"),
        Some(Err(_)) | None => true,
    }
}
