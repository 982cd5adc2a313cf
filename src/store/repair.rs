//! What the store does about damage: each damaged file is set aside, and that is a violation.
//!
//! A transaction does it for the files it could not write to. [`Store::repair`] looks at every line of every file,
//! and declares what is lost.

use std::collections::BTreeSet;

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::journal_entry::{DamagedFile, ViolationCause};
use crate::domain::audit::record::Record;
use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::state::State;
use crate::store::audit::log;
use crate::store::disk::Disk;
use crate::store::document::{Document, Outbox};
use crate::store::error::Result;
use crate::store::mail::receipts;
use crate::store::mail::registry::{CURRENT, Registry};
use crate::store::outbox::{self, Settled};
use crate::store::{GATE_WAIT_MS, Store, damage, gate, layout};

impl<D: Disk> Store<D> {
    /// Sets the files aside to which the outbox of a document could not be written, publishes that, and writes it
    /// again; under the gate. `document` and `settled` are then those of that publish.
    ///
    /// # Errors
    /// [`StoreError`]: the document before is current, or the new one, whose outbox is not written yet.
    pub(super) fn set_damage_aside(
        &self,
        document: &mut Document,
        settled: &mut Settled,
        facts: &Facts,
        random: &dyn Fn() -> u128,
    ) -> Result<Vec<DamagedFile>> {
        let faults = settled.damage().into_iter().filter(|(file, _)| is_appended(file));
        let at = facts.now.wall;
        let damaged: Vec<_> =
            faults.map(|(file, why)| damage::examine(&self.disk, &file, &why, at)).collect();
        if damaged.is_empty() {
            return Ok(damaged);
        }
        // What is in its place survives a power cut before the document that has it too is replaced.
        let registry = self.registry(&facts.now);
        let carried = self.settle(document, &registry, true).carried(&document.outbox);
        let (after, damaged) =
            self.publish_damage(document, carried, damaged, &BTreeSet::new(), Vec::new(), facts, random)?;
        *settled = after;
        Ok(damaged)
    }

    /// Publishes damage, sets it aside, and writes what the outbox has.
    #[expect(clippy::too_many_arguments, reason = "a publish and what is done after it")]
    fn publish_damage(
        &self,
        document: &mut Document,
        carried: Outbox,
        mut damaged: Vec<DamagedFile>,
        changed: &BTreeSet<u64>,
        mut events: Vec<Event>,
        facts: &Facts,
        random: &dyn Fn() -> u128,
    ) -> Result<(Settled, Vec<DamagedFile>)> {
        let registry = self.registry(&facts.now);
        // What is lost is known only behind it. One that cannot be set aside now stays as it is.
        damaged.retain_mut(|file| {
            if is_receipts(&file.file) {
                return receipts::set_aside(&self.disk, file).is_ok();
            }
            if file.file.starts_with(SOFT) {
                return self.disk.rename_new(&file.file, &file.kept).is_ok();
            }
            if !is_of_registry(&file.file) || !file.lost.is_empty() {
                return true;
            }
            let Ok(lost) = registry.set_aside(file) else { return false };
            file.lost = lost;
            true
        });
        if damaged.is_empty() && events.is_empty() {
            return Ok((self.settle(document, &registry, false), damaged));
        }
        events.extend(damaged.iter().map(|file| {
            let cause = ViolationCause::Damage(file.clone());
            Event::Audit(AuditEvent::ViolationFound { id: 0, cause, refs: Vec::new(), grows: false })
        }));
        let by = Actor::System;
        let mut new = document.followed_by(events, document.journal_read, facts.now.wall, &by);
        let events: Vec<Event> = new.outbox.records.iter().map(|record| record.event.clone()).collect();
        new.outbox.mail = outbox::drafts(&document.state, &events, &by, facts, random);
        new.outbox.mail_after = registry.last_seq().unwrap_or(0);
        new.outbox.carry(carried);
        self.publish(&mut new, &facts.now)?;
        for file in damaged.iter().filter(|file| file.file.starts_with("audit/")) {
            log::set_aside(&self.disk, file, changed, document.seq)?;
        }
        let settled = self.settle(&new, &registry, false);
        *document = new;
        Ok((settled, damaged))
    }

    /// Looks at every record and message, sets aside the files that are damaged, and declares what is lost.
    /// Returns what was set aside.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn repair(
        &self,
        facts: &dyn Fn(&State) -> Facts,
        random: &dyn Fn() -> u128,
    ) -> Result<Vec<DamagedFile>> {
        let _gate = gate::take(&self.disk, layout::GATE, GATE_WAIT_MS)?;
        let mut document = Document::load(&self.disk)?;
        let facts = facts(&document.state);
        let (boot, at) = (facts.now.boot.boot.clone(), facts.now.wall);
        let trail = log::read_published(&self.disk, &document.outbox.records)?;
        let (gaps, changed) = log::undeclared_gaps(&trail.records, document.seq);
        let mut faults: Vec<(String, String)> = Vec::new();
        let errors = trail.damage.iter().filter_map(damage::fault);
        let lines = errors.map(|(file, why)| (file.to_owned(), why));
        let of_changed = trail.records.iter().filter(|record| changed.contains(&record.seq));
        let records =
            of_changed.map(|r| (layout::log(r.event.log()), format!("record {} was changed", r.seq)));
        for (file, why) in lines.chain(records) {
            if !faults.iter().any(|(other, _)| *other == file) {
                faults.push((file, why));
            }
        }
        // Each repair lets the next look see further.
        let mut missing = Vec::new();
        match Registry::new(&self.disk, boot).verify() {
            Ok(report) => missing = undeclared_messages(&trail.records, &report.missing),
            Err(error) => faults.extend(damage::fault(&error).map(|(file, why)| (file.to_owned(), why))),
        }
        faults.extend(receipts::damaged_files(&self.disk)?);
        faults.retain(|(file, _)| is_appended(file) || file.starts_with(SOFT) || is_receipts(file));
        let mut damaged: Vec<DamagedFile> =
            faults.iter().map(|(file, why)| damage::examine(&self.disk, file, why, at)).collect();
        let mut events = Vec::new();
        if !gaps.is_empty() {
            let state = Box::new(document.state.clone());
            events.push(Event::Audit(AuditEvent::Checkpoint { state, lost: gaps.clone() }));
            if damaged.iter().all(|file| is_of_registry(&file.file)) {
                damaged.push(DamagedFile::without_file(layout::AUDIT, "records are missing", gaps));
            } else if let Some(file) = damaged.iter_mut().find(|file| !is_of_registry(&file.file)) {
                file.lost = gaps;
            }
        }
        if !missing.is_empty() {
            damaged.push(DamagedFile::without_file(CURRENT, "messages are missing", missing));
        }
        if damaged.is_empty() {
            return Ok(damaged);
        }
        let registry = self.registry(&facts.now);
        let carried = self.settle(&document, &registry, true).carried(&document.outbox);
        let (_, damaged) =
            self.publish_damage(&mut document, carried, damaged, &changed, events, &facts, random)?;
        Ok(damaged)
    }
}

/// Where the index and the like of the registry are: made anew when they are gone.
const SOFT: &str = "cmw/registry/";

/// Returns the gaps between messages that no record tells of.
#[must_use]
pub fn undeclared_messages(records: &[Record], missing: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let told = |gap: &(u64, u64)| {
        records.iter().any(|record| {
            let Event::Audit(AuditEvent::ViolationFound { cause, .. }) = &record.event else { return false };
            let ViolationCause::Damage(file) = cause else { return false };
            is_of_registry(&file.file) && file.lost.iter().any(|lost| lost.0 <= gap.0 && gap.1 <= lost.1)
        })
    };
    missing.iter().filter(|gap| !told(gap)).copied().collect()
}

fn is_receipts(file: &str) -> bool {
    file.starts_with(layout::RECEIPTS)
}

fn is_appended(file: &str) -> bool {
    is_of_registry(file) || file.starts_with("audit/")
}

fn is_of_registry(file: &str) -> bool {
    file.starts_with("message-registry.")
}
