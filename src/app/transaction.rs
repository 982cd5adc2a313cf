//! The one way to publish, for commands, hooks and monitor: a command is decided and made durable, and what has
//! to follow it is done.
//!
//! What follows a publish: a grant looks whether HEAD moved past the hooks, the guide's views are refreshed, pins
//! on disk are brought in line with the state, and what a former holder left is saved when that is this command's
//! turn. Of these a hook does the views alone (`Context::in_hook` says why).

use crate::adapters::os::{process, random};
use crate::app::audit::ref_check::RefChecker;
use crate::app::error::Failure;
use crate::app::freeze::pins;
use crate::app::rescue::save;
use crate::app::workspace::{Context, facts};
use crate::domain::command::{Caller, Command, Reply};
use crate::domain::event::Event;
use crate::domain::lock::event::LockEvent;
use crate::domain::state::State;
use crate::store::{Transacted, TransactionEnv};

impl Context<'_> {
    /// Decides and publishes; afterwards the views follow (docs/rules.md R9.4). What a former holder left is
    /// saved on the way when that is this command's turn, and who only waited for that is answered anew.
    ///
    /// # Errors
    /// [`Failure`] when the store failed; a refusal stands in the result.
    pub fn transact(&self, caller: &Caller, command: &Command) -> Result<Transacted, Failure> {
        let done = self.publish(caller, command)?;
        if self.in_hook { Ok(done) } else { self.follow_up(caller, command, done) }
    }

    /// Brings pins and a former holder's work to what was published.
    fn follow_up(&self, caller: &Caller, command: &Command, done: Transacted) -> Result<Transacted, Failure> {
        let mut done = done;
        // First: until it is done a freeze is not hard, and after a thaw no branch moves.
        done.state = pins::apply_pins_after(self, &done.state, command).unwrap_or(done.state);
        let Some(unsaved) = save::unsaved_to_rescue(&done.state, caller, command) else { return Ok(done) };
        let mut waits = false;
        if let Command::Acquire { request, stand_in, .. } = command
            && matches!(done.outcome, Ok(Reply::Queued { .. }))
        {
            // While it saves it is there: what comes free then is its own, and no offer.
            let (request, stand_in) = (request.clone(), stand_in.clone());
            self.publish(caller, &Command::Acquire { request, caller: Some(process::current()), stand_in })?;
            waits = true;
        }
        done.state = save::save(self, caller, &done.state, &unsaved)?;
        if waits {
            done = self.publish(caller, command)?;
            done.outcome = done.outcome.map(|reply| match reply {
                Reply::Renewed(held) => Reply::Granted(held),
                Reply::Granted(_) | Reply::Queued { .. } | Reply::Released { .. } | Reply::Done => reply,
            });
        }
        Ok(done)
    }

    /// Decides and publishes, and no more.
    ///
    /// # Errors
    /// [`Failure`] when the store failed; a refusal stands in the result.
    pub fn publish(&self, caller: &Caller, command: &Command) -> Result<Transacted, Failure> {
        let world = TransactionEnv { facts: &|state| self.facts(state), random: &random::bits };
        let mut done = self.store.transact(caller, command, world)?;
        let granted =
            done.events.iter().any(|event| matches!(event, Event::Lock(LockEvent::LockGranted { .. })));
        if granted && !self.in_hook && self.head_moved_past_the_hooks(&done.state, caller) {
            // Whoever has the lock now learns at once that something went around it.
            let world = TransactionEnv { facts: &|state| self.facts(state), random: &random::bits };
            done.state = self.store.transact(caller, &Command::Observe(Vec::new()), world)?.state;
        }
        if !done.events.is_empty() {
            self.refresh_views();
        }
        Ok(done)
    }

    /// The same for what the programs themselves found: nobody's work is saved on the way.
    ///
    /// # Errors
    /// [`Failure`] when the store failed.
    pub fn publish_only(&self, caller: &Caller, command: &Command) -> Result<Transacted, Failure> {
        let facts = |state: &State| facts(&self.store, state);
        Ok(self.store.transact(caller, command, TransactionEnv { facts: &facts, random: &random::bits })?)
    }

    /// Whether the branch that is checked out here is where it was not allowed to go; then that is noted.
    /// Cheap: a ref and the end of the journal are read.
    fn head_moved_past_the_hooks(&self, state: &State, caller: &Caller) -> bool {
        let looker = RefChecker {
            repo: &self.repo,
            disk: self.store.disk(),
            policy: &state.policy,
            by: &caller.actor,
        };
        // A check that fails must not take back a grant; the next movement is checked in any case.
        looker.quick_check_head().unwrap_or(false)
    }
}
