//! Replays the lock from the audit trail: each transition must be one that the rules allow.
//!
//! It knows nothing of how the state is kept: only what each record says.

use cmw::domain::audit::record::Record;
use cmw::domain::event::Event;
use cmw::domain::freeze::event::FreezeEvent;
use cmw::domain::identity::actor::Actor;
use cmw::domain::lock::event::LockEvent;
use cmw::domain::lock::release::Release;
use cmw::domain::rescue::event::RescueEvent;

/// How the lock stands, as far as the records tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    Free,
    Offered { ticket: u64, to: Actor },
    Held { token: u64, holder: Actor },
    Recovering { token: u64 },
}

/// What became of the lock.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) lock: Lock,
    pub(crate) grants: usize,
    token: u64,
}

/// Replays all records, in order.
///
/// # Errors
/// The first record that breaks a rule, and how the lock stood.
pub(crate) fn replay(records: &[Record]) -> Result<Replayed, String> {
    let mut replayed = Replayed { lock: Lock::Free, grants: 0, token: 0 };
    for record in records {
        if let Err(rule) = replayed.step(record) {
            return Err(format!("{rule}; the lock was {:?} when {record:?}", replayed.lock));
        }
    }
    Ok(replayed)
}

fn must(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_owned()) }
}

impl Replayed {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only what is about the lock is told here")]
    fn step(&mut self, record: &Record) -> Result<(), String> {
        match &record.event {
            Event::Lock(LockEvent::LockGranted { holder, lease, .. }) => {
                let free = match &self.lock {
                    Lock::Free => true,
                    Lock::Offered { to, .. } => to == holder,
                    Lock::Held { .. } | Lock::Recovering { .. } => false,
                };
                must(free, "it is granted only when it is free")?;
                must(lease.token > self.token, "tokens grow")?;
                must(lease.holder == *holder, "a lease is its holder's")?;
                (self.token, self.grants) = (lease.token, self.grants + 1);
                self.lock = Lock::Held { token: lease.token, holder: holder.clone() };
            }
            Event::Lock(LockEvent::LockRenewed { token, .. }) => {
                must(self.held_token() == Some(*token), "only what is held is renewed")?;
            }
            Event::Lock(LockEvent::LockReleased { token, holder, reason, .. }) => {
                let held = Lock::Held { token: *token, holder: holder.clone() };
                must(self.lock == held, "only what is held is released")?;
                must(may_end(reason, holder, &record.by), "it is released by who may")?;
                self.lock = Lock::Free;
            }
            Event::Lock(LockEvent::LockOffered { offer }) => {
                must(self.lock == Lock::Free, "only a free lock is offered")?;
                self.lock = Lock::Offered { ticket: offer.ticket, to: offer.to.clone() };
            }
            Event::Lock(LockEvent::OfferMissed { waiter }) => self.withdraw(waiter.ticket),
            Event::Lock(LockEvent::WaiterRemoved { ticket, .. }) => self.withdraw(*ticket),
            Event::Rescue(RescueEvent::RecoveryStarted { recovery }) => {
                let token = recovery.unsaved.token;
                let may = self.lock == Lock::Free || self.lock == Lock::Recovering { token };
                must(may, "what a holder left is saved before another actor has the lock")?;
                self.lock = Lock::Recovering { token };
            }
            Event::Rescue(RescueEvent::WorkRescued { token, .. })
            | Event::Rescue(RescueEvent::RescueAbandoned { token, .. })
                if self.lock == (Lock::Recovering { token: *token }) =>
            {
                self.lock = Lock::Free;
            }
            Event::Freeze(FreezeEvent::SystemFrozen { .. }) => self.lock = Lock::Free,
            _ => {}
        }
        Ok(())
    }

    fn held_token(&self) -> Option<u64> {
        match &self.lock {
            Lock::Held { token, .. } => Some(*token),
            Lock::Free | Lock::Offered { .. } | Lock::Recovering { .. } => None,
        }
    }

    fn withdraw(&mut self, gone: u64) {
        if matches!(&self.lock, Lock::Offered { ticket, .. } if *ticket == gone) {
            self.lock = Lock::Free;
        }
    }
}

/// Any actor's command may find an end that comes by itself; the rest is for the holder, or a force-release.
fn may_end(reason: &Release, holder: &Actor, by: &Actor) -> bool {
    match reason {
        Release::Done | Release::Handover => by == holder,
        Release::Forced(_) | Release::Shutdown => match by {
            Actor::Role(role) => by == holder || ["Orchestrator", "Librarian"].contains(&role.as_str()),
            Actor::User | Actor::System | Actor::Unproven => true,
        },
        Release::Expired
        | Release::HolderDied
        | Release::CommandEnded
        | Release::NotTakenUp
        | Release::Freeze
        | Release::Parked => true,
    }
}
