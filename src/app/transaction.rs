//! The one way to publish, for commands, hooks and monitor: decides a command, makes it durable, and performs
//! what follows.
//!
//! What follows a publish: a grant checks whether HEAD moved bypassing the hooks, the guide's views are
//! refreshed, pins on disk are brought in line with the state, and a former holder's unsaved work is saved
//! when that is this command's turn. A hook only refreshes the views (`Context::in_hook` says why).

use crate::adapters::os::{process, random};
use crate::app::audit::open_movements;
use crate::app::audit::ref_check::RefChecker;
use crate::app::error::{Failure, store_next, with_causes};
use crate::app::freeze::pins;
use crate::app::rescue::save;
use crate::app::workspace::{Context, facts};
use crate::domain::audit::journal_entry::DamagedFile;
use crate::domain::audit::violation::describe_damage;
use crate::domain::command::{Caller, Command, Reply};
use crate::domain::event::Event;
use crate::domain::lock::event::LockEvent;
use crate::domain::state::State;
use crate::store::{Transacted, TransactionEnv};

impl Context<'_> {
    /// Decides and publishes; afterwards the views follow (docs/rules.md R9.4). A former holder's unsaved
    /// work is saved on the way when that is this command's turn; a command that only waited for that is
    /// decided again.
    ///
    /// # Errors
    /// [`Failure`] when the store failed; a refusal is part of the result.
    pub fn transact(&self, caller: &Caller, command: &Command) -> Result<Transacted, Failure> {
        let done = self.publish(caller, command)?;
        if self.in_hook { Ok(done) } else { self.follow_up(caller, command, done) }
    }

    /// Applies what was published to the pins, and saves a former holder's work.
    fn follow_up(&self, caller: &Caller, command: &Command, done: Transacted) -> Result<Transacted, Failure> {
        let mut done = done;
        // Pins come first: until they are set a freeze is not hard, and until they are removed no branch
        // moves.
        done.state = pins::apply_pins_after(self, &done.state, command).unwrap_or(done.state);
        let Some(unsaved) = save::unsaved_to_rescue(&done.state, caller, command) else { return Ok(done) };
        let mut waits = false;
        if let Command::Acquire { request, stand_in, .. } = command
            && matches!(done.outcome, Ok(Reply::Queued { .. }))
        {
            // This command is present while it saves: a lock that becomes free then is granted to it, not
            // offered.
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
    /// [`Failure`] when the store failed; a refusal is part of the result.
    pub fn publish(&self, caller: &Caller, command: &Command) -> Result<Transacted, Failure> {
        open_movements::end_before_publish(self);
        let world = TransactionEnv { facts: &|state| self.facts(state), random: &random::bits };
        let mut done = self.store.transact(caller, command, world)?;
        let granted =
            done.events.iter().any(|event| matches!(event, Event::Lock(LockEvent::LockGranted { .. })));
        if granted && !self.in_hook && self.head_bypassed_the_hooks(&done.state, caller) {
            // The new holder is told at once that an update bypassed the hooks.
            let world = TransactionEnv { facts: &|state| self.facts(state), random: &random::bits };
            done.state = self.store.transact(caller, &Command::Observe(Vec::new()), world)?.state;
        }
        if !done.events.is_empty() {
            self.refresh_views();
        }
        self.report_damage(&done.set_aside);
        if let Some(error) = &done.unsettled {
            let next = store_next(error);
            self.env.report(&format!(
                "cmw: warning: {}\nthe record of this is kept in cmw/state.json until the file can be written\n{}",
                with_causes(error),
                next.lines().last().unwrap_or_default()
            ));
        }
        Ok(done)
    }

    /// Looks at all of the audit and the messages, and sets aside what is damaged.
    ///
    /// # Errors
    /// [`Failure`] when the store failed.
    pub fn set_damage_aside(&self) -> Result<Vec<DamagedFile>, Failure> {
        let files = self.store.repair(&|state| self.facts(state), &random::bits)?;
        self.report_damage(&files);
        Ok(files)
    }

    fn report_damage(&self, files: &[DamagedFile]) {
        for file in files {
            self.env.report(&format!(
                "cmw: warning: {}; what was whole in it goes on\nthis is a violation until a person has looked\nnext: cmw-audit violations",
                describe_damage(file)
            ));
        }
    }

    /// Does the same for findings of the programs themselves, and saves no former holder's work.
    ///
    /// # Errors
    /// [`Failure`] when the store failed.
    pub fn publish_only(&self, caller: &Caller, command: &Command) -> Result<Transacted, Failure> {
        open_movements::end_before_publish(self);
        let facts = |state: &State| facts(&self.store, state);
        Ok(self.store.transact(caller, command, TransactionEnv { facts: &facts, random: &random::bits })?)
    }

    /// Returns whether HEAD moved without permission, and records that. Cheap: a ref and the end of the
    /// journal are read.
    fn head_bypassed_the_hooks(&self, state: &State, caller: &Caller) -> bool {
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
