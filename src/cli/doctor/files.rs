//! Checks of the files on disk: state, audit, messages, journal, modes, leftovers, gates.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::adapters::os::clock;
use crate::adapters::os::system_info::{LockHolder, lock_holder};
use crate::app::error::with_causes;
use crate::domain::audit::ref_ledger::RefLedger;
use crate::domain::audit::violation::ranges;
use crate::domain::guard::retry_command::shell_quote;
use crate::domain::util::time::human;
use crate::store::audit::journal;
use crate::store::audit::log::{self, Trail};
use crate::store::disk::{Disk, RealDisk};
use crate::store::document::Document;
use crate::store::error::StoreError;
use crate::store::inspect::{self, FileFault, FileProblem};
use crate::store::layout;
use crate::store::layout_check;
use crate::store::mail::receipts;
use crate::store::mail::registry::Registry;
use crate::store::repair::undeclared_messages;

use crate::cli::doctor::{CheckContext, Report};

/// A younger temporary file may still be in use, in milliseconds.
pub(super) const LEFT_OVER_MS_MIN: u64 = 3_600_000;
/// A gate is held for milliseconds; a process that holds it for this long is stopped or hangs.
const GATE_HELD_MAX: Duration = Duration::from_millis(1_500);
/// How often a gate is checked for having been released.
const GATE_LOOK: Duration = Duration::from_millis(50);
/// How many unchanged looks make a broken audit chain count as damage; how many looks in all, and the pause
/// between them.
const STILL: u32 = 4;
const LOOKS_MAX: u32 = 40;
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// How many oddities of one kind are listed.
const NAMED_MAX: usize = 5;

pub(super) fn check(check_context: &CheckContext<'_>, report: &mut Report) {
    let disk = check_context.context.store.disk();
    gates(check_context, report);
    let document = check_context.context.store.document().ok();
    if let Some(document) = &document {
        report.fine("state", format!("event {}, format {}", document.seq, document.format));
    }
    check_audit_chain(check_context, report);
    messages(check_context, document.as_ref(), report);
    journal(check_context, document.as_ref(), report);
    modes(check_context, report);
    match inspect::torn_tails(disk) {
        Ok(torn) => {
            for (file, bytes) in torn {
                let what = format!("{file} ends with {bytes} bytes of an incomplete line");
                report.note("files", what, "cmw-doctor --fix");
            }
        }
        Err(error) => report.store_error("files", &error),
    }
}

/// Reports what is not the file or directory that must be there.
pub(super) fn check_layout(check_context: &CheckContext<'_>, report: &mut Report) {
    let disk = check_context.context.store.disk();
    let misfits = layout_check::layout_problems(disk);
    for misfit in &misfits {
        report.damage("places", misfit.what(), "cmw-doctor --fix");
    }
    if misfits.is_empty()
        && let Err(error) = journal::can_append(disk)
    {
        unwritable(check_context, &error, report);
    }
}

/// The audit's chain at one moment.
struct AuditChainStatus {
    /// The document's sequence number, if there is a document.
    seq: Option<u64>,
    records: usize,
    /// How many of them are so far only in the document.
    unsettled: usize,
    /// The reason why it is broken, if it is.
    broken: Option<String>,
    /// Lines and files that are not what a log consists of.
    damage: Vec<StoreError>,
}

impl AuditChainStatus {
    fn read(disk: &RealDisk, document: Option<&Document>) -> Result<Self, StoreError> {
        // Published records that are still missing are appended by the next command.
        let Trail { records, damage, unsettled } = match document {
            Some(document) => log::read_published(disk, &document.outbox.records)?,
            None => log::read_trail(disk)?,
        };
        let found = match document {
            Some(document) => log::verify(&records, &document.head),
            None => log::head(&records).map(|_| ()),
        };
        let (seq, records) = (document.map(|document| document.seq), records.len());
        Ok(Self { seq, records, unsettled, broken: found.err(), damage })
    }
}

/// Checks the audit's chain up to the document's head. Other processes publish meanwhile and append their
/// records afterwards: only a fault that persists counts as damage.
fn check_audit_chain(check_context: &CheckContext<'_>, report: &mut Report) {
    let (mut before, mut same) = (None, 0);
    for look in 1.. {
        let document = check_context.context.store.document().ok();
        let chain = match AuditChainStatus::read(check_context.context.store.disk(), document.as_ref()) {
            Ok(chain) => chain,
            Err(error) => return report.store_error("audit", &error),
        };
        let now = Some((chain.seq, chain.records));
        same = if before == now { same + 1 } else { 0 };
        before = now;
        if chain.broken.is_none() || same >= STILL || look >= LOOKS_MAX {
            return report_chain(&chain, report);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn report_chain(chain: &AuditChainStatus, report: &mut Report) {
    for error in &chain.damage {
        report.store_error("audit", error);
    }
    match &chain.broken {
        None if !chain.damage.is_empty() => {}
        None => report.fine("audit", format!("{} records, chain intact", chain.records)),
        Some(why) => report.damage("audit", format!("the chain is broken: {why}"), "cmw-doctor --fix"),
    }
    if chain.unsettled > 0 {
        let unsettled = chain.unsettled;
        let what = format!("{unsettled} records are not yet in the audit: the next command appends them");
        report.note("outbox", what, "");
    }
}

/// Checks the hooks' journal, and whether the document's read offset is at the start of a line.
fn journal(check_context: &CheckContext<'_>, document: Option<&Document>, report: &mut Report) {
    let disk = check_context.context.store.disk();
    let chain = match journal::read_chain(disk, &BTreeSet::new()) {
        Ok(chain) => chain,
        Err(error) => return report.store_error("journal", &error),
    };
    let entries = chain.entries.len();
    // A fault is in the journal for good: what counts is whether a check has made it a violation.
    let book = RefLedger::of(chain.entries.iter().map(|line| &line.entry));
    if let Some((line, why)) = chain.faults.iter().find(|(line, _)| !book.explains_fault(*line)) {
        let what = format!("{} is damaged: line {line}: {why}", layout::JOURNAL);
        report.damage("journal", what, "cmw-audit verify");
    }
    let offset = document.map_or(0, |document| document.journal_read);
    match misplaced(disk, offset) {
        Ok(None) => report.fine("journal", format!("{entries} entries")),
        Ok(Some(why)) => {
            let what = format!("{} was read up to byte {offset}, and {why}", layout::JOURNAL);
            report.finding("journal", what, "cmw-doctor --fix");
        }
        Err(error) => report.store_error("journal", &StoreError::io("read", layout::JOURNAL, error)),
    }
}

/// Reports that the journal cannot be written to: no protected ref can be updated until it can.
fn unwritable(check_context: &CheckContext<'_>, error: &StoreError, report: &mut Report) {
    let StoreError::Io { file, source, .. } = error else { return report.store_error("journal", error) };
    let full = shell_quote(&check_context.context.repo.common_dir.join(file).display().to_string());
    let next = match source.raw_os_error() {
        Some(1) => format!("chattr -i -a {full}"),
        Some(13) => format!("chmod u+rw {full}"),
        _ => return report.store_error("journal", error),
    };
    report.finding("journal", format!("{}: no protected ref can be updated", with_causes(error)), &next);
}

/// Returns why the journal cannot be read on from this offset; `None` when it can.
fn misplaced(disk: &RealDisk, offset: u64) -> std::io::Result<Option<String>> {
    let size = disk.size(layout::JOURNAL)?.unwrap_or(0);
    if offset > size {
        return Ok(Some(format!("it has only {size} bytes: it was truncated or replaced")));
    }
    let Some(before) = offset.checked_sub(1) else { return Ok(None) };
    let ends_a_line = disk.read_at(layout::JOURNAL, before, 1)? == b"\n";
    Ok((!ends_a_line).then(|| "no line begins there: it was modified".to_owned()))
}

/// Checks the registry's chain, and whether the outbox's messages are in it.
fn messages(check_context: &CheckContext<'_>, document: Option<&Document>, report: &mut Report) {
    let registry = Registry::new(check_context.context.store.disk(), clock::boot_id());
    match registry.verify() {
        Ok(found) => {
            let records = log::read_all(check_context.context.store.disk()).unwrap_or_default();
            match undeclared_messages(&records, &found.missing).as_slice() {
                [] => report.fine("messages", format!("{}, chain intact", found.messages)),
                gaps => {
                    report.damage("messages", format!("{} are missing", ranges(gaps)), "cmw-doctor --fix");
                }
            }
        }
        Err(error) => return report.store_error("messages", &error),
    }
    match receipts::damaged_files(check_context.context.store.disk()) {
        Ok(files) => {
            for (file, why) in files {
                report.damage("messages", format!("{file} is damaged: {why}"), "cmw-doctor --fix");
            }
        }
        Err(error) => report.store_error("messages", &error),
    }
    let drafts = document.map(|document| document.outbox.mail.as_slice()).unwrap_or_default();
    let missing = drafts.iter().filter(|draft| matches!(registry.find(draft.id), Ok(None))).count();
    if missing > 0 {
        let what = format!("{missing} messages are not yet in the registry: the next command appends them");
        report.note("outbox", what, "");
    }
}

/// Reports links, foreign owners, access for others, and leftovers.
fn modes(check_context: &CheckContext<'_>, report: &mut Report) {
    let found = inspect::file_problems(check_context.context.store.disk(), clock::now().wall);
    let before = report.problems().count();
    let same =
        |one: &FileFault, other: &FileFault| std::mem::discriminant(one) == std::mem::discriminant(other);
    for group in grouped(&found, same) {
        for oddity in group.iter().take(NAMED_MAX) {
            odd(check_context, oddity, report);
        }
        if group.len() > NAMED_MAX {
            let what = format!("and {} more like {}", group.len() - NAMED_MAX, group[0].path);
            report.finding("files", what, "cmw-doctor --fix");
        }
    }
    if report.problems().count() == before {
        report.fine("files", "modes and owners are correct");
    }
}

/// Groups oddities of the same kind, without leftovers that are too young.
fn grouped(found: &[FileProblem], same: impl Fn(&FileFault, &FileFault) -> bool) -> Vec<Vec<&FileProblem>> {
    let mut groups: Vec<Vec<&FileProblem>> = Vec::new();
    let is_young =
        |fault: &FileFault| matches!(fault, FileFault::LeftOver { age_ms } if *age_ms < LEFT_OVER_MS_MIN);
    for oddity in found.iter().filter(|oddity| !is_young(&oddity.fault)) {
        match groups.iter_mut().find(|group| same(&group[0].fault, &oddity.fault)) {
            Some(group) => group.push(oddity),
            None => groups.push(vec![oddity]),
        }
    }
    groups
}

fn odd(check_context: &CheckContext<'_>, oddity: &FileProblem, report: &mut Report) {
    let path = &oddity.path;
    let full = shell_quote(&check_context.context.repo.common_dir.join(path).display().to_string());
    match &oddity.fault {
        FileFault::Link => {
            report.finding(
                "files",
                format!("{path} is a symbolic link; cmw creates none"),
                "cmw-doctor --fix",
            );
        }
        FileFault::Special => {
            report.finding("files", format!("{path} is neither a file nor a directory"), "cmw-doctor --fix");
        }
        FileFault::Owner { uid } => {
            let next = format!("sudo chown \"$(id -u)\" {full}");
            report.finding("files", format!("{path} belongs to user {uid}"), &next);
        }
        FileFault::Mode { mode, wanted } => {
            let what = format!("{path} has mode {mode:04o}; {wanted:04o} is enough");
            report.finding("files", what, "cmw-doctor --fix");
        }
        FileFault::LeftOver { age_ms } => {
            let what = format!("{path} is a leftover, {} old; it does no harm", human(*age_ms));
            report.note("files", what, "cmw-doctor --fix");
        }
        FileFault::Unreadable { why } => {
            report.finding("files", format!("{path} cannot be examined: {why}"), &format!("ls -ld {full}"));
        }
    }
}

/// Reports gates that one process holds for longer than any should.
fn gates(check_context: &CheckContext<'_>, report: &mut Report) {
    let files = match inspect::lock_files(check_context.context.store.disk()) {
        Ok(files) => files,
        Err(error) => return report.store_error("gates", &error),
    };
    let holder = |file: &str| lock_holder(&check_context.context.repo.common_dir.join(file));
    let mut held: Vec<(String, LockHolder)> =
        files.iter().filter_map(|file| Some((file.clone(), holder(file)?))).collect();
    let began = Instant::now();
    while !held.is_empty() && began.elapsed() < GATE_HELD_MAX {
        std::thread::sleep(GATE_LOOK);
        held.retain(|(file, first)| holder(file).is_some_and(|now| now.pid == first.pid));
    }
    for (file, by) in &held {
        let how = if by.stopped { ", which is stopped," } else { "" };
        let what = format!(
            "{file} has been held for too long by process {} ({}){how} and blocks all others",
            by.pid, by.name
        );
        let next = if by.stopped { format!("kill -CONT {}", by.pid) } else { format!("ps -fp {}", by.pid) };
        report.finding("gates", what, &next);
    }
    if held.is_empty() {
        report.fine("gates", "none is held for long");
    }
}

/// Returns whether an error can be repaired by a rebuild from the audit.
pub(super) fn can_be_rebuilt(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged { file, .. } if file == layout::STATE)
}
