//! State on disk: the only code that reads and writes it.
//!
//! [`Store::transact`] is the only way to change the coordination state: gate, load, settle, decide, publish,
//! settle. Everything acknowledged survives a crash at any point; the next transaction completes what a dead
//! process left undone.

pub mod audit;
pub mod compat_views;
mod damage;
pub mod disk;
pub mod document;
pub mod error;
#[cfg(feature = "seeded-faults")]
pub mod fault;
pub mod freeze;
pub mod gate;
pub mod guard;
pub mod health;
pub mod inspect;
pub mod jsonl;
pub mod last_run;
pub mod layout;
pub mod layout_check;
pub mod mail;
mod outbox;
pub mod rebuild;
pub mod repair;
mod unsynced;
pub mod watch;
pub mod work;

use crate::domain::audit::event::AuditEvent;
use crate::domain::audit::growth;
use crate::domain::audit::journal_entry::DamagedFile;
use crate::domain::command::{Caller, Command, Reply};
use crate::domain::decide::decide;
use crate::domain::event::Event;
use crate::domain::evolve::evolve;
use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::refusal::Refusal;
use crate::domain::state::State;
use crate::domain::util::time::Now;
use crate::store::audit::{ingest, pending};

use crate::store::audit::log;
use crate::store::disk::Disk;
use crate::store::document::Document;
use crate::store::error::StoreError;
use crate::store::mail::registry::Registry;
use crate::store::outbox::Settled;

/// How long a transaction waits for the gate of the registry, in milliseconds: messages that cannot be delivered
/// are carried on.
const REGISTRY_WAIT_MS: u64 = 300;
/// How long a command waits for the gate, which is held for milliseconds.
const GATE_WAIT_MS: u64 = 10_000;

/// The state directory of one repository.
#[derive(Debug)]
pub struct Store<D: Disk> {
    disk: D,
}

/// The environment of a transaction, in addition to the disk.
#[derive(Clone, Copy)]
pub struct TransactionEnv<'a> {
    /// Returns the facts that a decision may use, given the state.
    pub facts: &'a dyn Fn(&State) -> Facts,
    /// Returns random bits, for message ids.
    pub random: &'a dyn Fn() -> u128,
}

/// The result of a transaction.
#[derive(Debug)]
pub struct Transacted {
    /// The reply or refusal of the rules.
    pub outcome: Result<Reply, Refusal>,
    /// The state after it.
    pub state: State,
    /// The events that were published.
    pub events: Vec<Event>,
    /// Why their records or messages are not where they belong: they stay in the outbox, and the next
    /// transaction tries again.
    pub unsettled: Option<StoreError>,
    /// The damaged files that were set aside.
    pub set_aside: Vec<DamagedFile>,
}

impl<D: Disk> Store<D> {
    /// Returns a store on this disk; reads nothing yet.
    pub fn new(disk: D) -> Self {
        Self { disk }
    }

    /// Returns the disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Turns the store into its disk.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Sets up a new repository: creates the directories and the first document. Existing files are kept.
    pub fn create(&self, state: State, now: &Now, by: &Actor) -> Result<(), StoreError> {
        for dir in layout::DIRECTORIES {
            self.disk.ensure_dir(dir).map_err(|e| StoreError::io("make", dir, e))?;
        }
        // The names of our directories too must survive a power cut.
        self.disk.sync_dir("").map_err(|e| StoreError::io("sync", ".", e))?;
        let _gate = gate::take(&self.disk, layout::GATE, GATE_WAIT_MS)?;
        let there = self.disk.size(layout::STATE).map_err(|e| StoreError::io("look at", layout::STATE, e))?;
        if there.is_some() {
            return Ok(());
        }
        let mut document = Document::new(state, now.wall, by);
        document.publish(&self.disk, &now.boot.boot)?;
        log::append_missing(&self.disk, &document.outbox.records)
    }

    /// Reads the current document, without the gate.
    pub fn document(&self) -> Result<Document, StoreError> {
        Document::load(&self.disk)
    }

    /// Reads the current state, without the gate: it may be outdated when it is used. Violations that the
    /// journal records and no publish has ingested yet are in it.
    pub fn snapshot(&self) -> Result<State, StoreError> {
        self.numbered_snapshot().map(|(_, state)| state)
    }

    /// Reads it like [`Store::snapshot`], with the number of the document.
    pub fn numbered_snapshot(&self) -> Result<(u64, State), StoreError> {
        let Document { mut state, journal_read, seq, .. } = self.document()?;
        pending::apply_violations(&self.disk, journal_read, &mut state);
        Ok((seq, state))
    }

    /// Decides under the gate and publishes the resulting events. A refusal may publish too (its record).
    ///
    /// # Errors
    /// [`StoreError`]. After an error the command has either happened as a whole or not at all.
    pub fn transact(
        &self,
        caller: &Caller,
        command: &Command,
        world: TransactionEnv<'_>,
    ) -> Result<Transacted, StoreError> {
        let gate = gate::take(&self.disk, layout::GATE, GATE_WAIT_MS)?;
        let old = Document::load(&self.disk)?;
        let facts = (world.facts)(&old.state);
        let journal = ingest::ingest_or_set_aside(&self.disk, old.journal_read, &facts.now)?;
        // Readers see a recorded violation before it is ingested, so a decision may name it.
        let mut seen = old.state.clone();
        for event in &journal.events {
            if let Event::Audit(found @ AuditEvent::ViolationFound { .. }) = event {
                let mut found = found.clone();
                growth::number(&seen, &mut found);
                evolve(&mut seen, &Event::Audit(found), facts.now.wall, &caller.actor);
            }
        }
        let mut decision = decide(&seen, caller, command, &facts);
        let mut events = journal.events;
        events.append(&mut decision.events);
        if events.is_empty() {
            return Ok(Transacted {
                outcome: decision.outcome,
                state: seen,
                events,
                unsettled: None,
                set_aside: Vec::new(),
            });
        }
        let registry = self.registry(&facts.now);
        // What cannot be delivered is carried on: damage in a log stops no freeze (docs/decisions.md D30).
        let delivered = self.settle(&old, &registry, true);
        let carried = match (delivered.carried_if_small(&old.outbox), delivered.error()) {
            (None, Some(error)) => return Err(error),
            (carried, _) => carried.unwrap_or_default(),
        };
        if old.is_of_another_version() {
            let state = Box::new(old.state.clone());
            events.insert(0, Event::Audit(AuditEvent::Checkpoint { state, lost: Vec::new() }));
        }
        let mut new = old.followed_by(events, journal.offset, facts.now.wall, &caller.actor);
        // As numbered by the new document.
        let events: Vec<Event> = new.outbox.records.iter().map(|record| record.event.clone()).collect();
        if new.journal_read > old.journal_read {
            // The part of the journal that counts as read must survive a power cut.
            self.disk.sync(layout::JOURNAL).map_err(|e| StoreError::io("sync", layout::JOURNAL, e))?;
        }
        new.outbox.mail = outbox::drafts(&old.state, &events, &caller.actor, &facts, world.random);
        if !new.outbox.mail.is_empty() && carried.mail.is_empty() {
            // A registry that cannot be read now gets them at its end later: they are looked for in all of it.
            new.outbox.mail_after = registry.last_seq().unwrap_or(0);
        }
        new.outbox.carry(carried);
        self.publish(&mut new, &facts.now)?;
        // From here on the change is committed: the next transaction repeats what fails below.
        let mut settled = self.settle(&new, &registry, false);
        // What cannot be set aside now is carried on, too.
        let set_aside = self.set_damage_aside(&mut new, &mut settled, &facts, world.random);
        drop(gate);
        let unsettled = settled.error();
        Ok(Transacted {
            outcome: decision.outcome,
            state: new.state,
            events,
            unsettled,
            set_aside: set_aside.unwrap_or_default(),
        })
    }

    /// Returns the registry for a transaction, which holds the gate of the state: others wait for it.
    fn registry(&self, now: &Now) -> Registry<'_, D> {
        Registry::new(&self.disk, now.boot.boot.clone()).with_wait(REGISTRY_WAIT_MS)
    }

    /// Delivers a document's outbox; with `durably` the audit is synced before the document is replaced (the
    /// registry is always durable).
    fn settle(&self, document: &Document, registry: &Registry<'_, D>, durably: bool) -> Settled {
        if skips_settle() {
            return Settled { records: Vec::new(), mail: Ok(()) };
        }
        let outbox = &document.outbox;
        let mut records = log::append_each(&self.disk, &outbox.records);
        let mail = outbox::post(&self.disk, registry, outbox);
        if durably && records.is_empty() {
            records.extend(log::sync(&self.disk, &outbox.records).err());
        }
        Settled { records, mail }
    }

    #[cfg(not(feature = "seeded-faults"))]
    fn publish(&self, document: &mut Document, now: &Now) -> Result<(), StoreError> {
        document.publish(&self.disk, &now.boot.boot)
    }

    #[cfg(feature = "seeded-faults")]
    fn publish(&self, document: &mut Document, now: &Now) -> Result<(), StoreError> {
        if fault::is(fault::Fault::AuditBeforePublish) {
            document.seal_end(&self.disk, &now.boot.boot);
            log::append_missing(&self.disk, &document.outbox.records)?;
            log::sync(&self.disk, &document.outbox.records)?;
        }
        document.publish(&self.disk, &now.boot.boot)
    }
}

#[cfg(not(feature = "seeded-faults"))]
fn skips_settle() -> bool {
    false
}

#[cfg(feature = "seeded-faults")]
fn skips_settle() -> bool {
    fault::is(fault::Fault::NoSettle)
}
