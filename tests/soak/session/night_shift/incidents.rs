//! Replays crashes: each is recorded once, for the role that was killed, and followed by a restart or report.

use std::collections::{BTreeMap, BTreeSet};

use cmw::domain::audit::record::Record;
use cmw::domain::event::Event;
use cmw::domain::health::event::HealthEvent;
use cmw::domain::health::incident::CrashResponse;
use cmw::domain::identity::role::Role;
use cmw::domain::session::event::SessionEvent;
use cmw::domain::session::process::Process;

/// Who was killed on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Killed {
    pub(crate) role: Role,
    pub(crate) process: Process,
    /// It was being started, so that it may have been no instance yet.
    pub(crate) young: bool,
}

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct Incidents {
    /// Of these the person is told one by one.
    pub(crate) alone: usize,
    /// These were lost with their session.
    pub(crate) with_session: usize,
    pub(crate) sessions: usize,
    pub(crate) restarted: usize,
    pub(crate) failed: usize,
    /// Restarts that were given up; the roles that had to be started by hand.
    pub(crate) given_up: usize,
    /// How often the person was told that a restart did not succeed.
    pub(crate) told_failed: usize,
    pub(crate) stale: usize,
    crashed: BTreeSet<Process>,
    registered: BTreeMap<Role, Process>,
    /// Roles whose crash is not looked after yet; whether each comes back with the session.
    open: BTreeMap<Role, bool>,
}

/// Replays all records, in order.
///
/// # Errors
/// The first record that breaks a rule, or who was killed and never missed.
pub(crate) fn replay(records: &[Record], killed: &[Killed]) -> Result<Incidents, String> {
    let mut incidents = Incidents::default();
    for record in records {
        incidents.step(record, killed).map_err(|rule| format!("{rule}: {record:?}"))?;
    }
    if let Some(missed) = killed.iter().find(|k| !k.young && !incidents.crashed.contains(&k.process)) {
        return Err(format!("a killed one that was not missed: {missed:?}"));
    }
    if !incidents.open.is_empty() {
        return Err(format!("not looked after: the crash of {:?}", incidents.open.keys()));
    }
    Ok(incidents)
}

impl Incidents {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only what is about instances is told here")]
    fn step(&mut self, record: &Record, killed: &[Killed]) -> Result<(), String> {
        match &record.event {
            Event::Session(SessionEvent::InstanceRegistered { role, process, .. }) => {
                self.registered.insert(role.clone(), process.clone());
                if self.open.get(role) == Some(&true) {
                    self.open.remove(role);
                }
            }
            Event::Health(HealthEvent::InstanceCrashed(crash)) => {
                let role = &crash.role;
                if !self.crashed.insert(crash.process.clone()) {
                    return Err("a crash is recorded once".to_owned());
                }
                if self.registered.remove(role).as_ref() != Some(&crash.process) {
                    return Err("who crashes was registered".to_owned());
                }
                if self.open.contains_key(role) {
                    return Err("the crash before it was looked after".to_owned());
                }
                self.crash(role, &crash.plan);
                let was_killed = killed.iter().any(|k| k.process == crash.process);
                if !was_killed && crash.plan != CrashResponse::WithTheSession {
                    return Err("it was not killed".to_owned());
                }
            }
            Event::Health(HealthEvent::InstanceRestarted(it)) => {
                self.restarted += 1;
                self.open.remove(&it.role);
            }
            Event::Health(HealthEvent::RestartFailed(failed)) => {
                self.failed += 1;
                if let Some(role) = failed.role.as_ref().filter(|_| failed.again.is_none()) {
                    self.given_up += 1;
                    self.open.remove(role);
                }
                self.told_failed += usize::from(failed.again.is_none());
            }
            // The person starts by hand only roles that were given up, and stops all when all are back.
            Event::Health(HealthEvent::InstanceStopping(it)) if self.open.contains_key(&it.role) => {
                return Err("its crash was not looked after".to_owned());
            }
            // With its session also comes back whose restart was due.
            Event::Health(HealthEvent::SessionLost(lost)) => {
                self.sessions += 1;
                self.open
                    .iter_mut()
                    .filter(|(role, _)| lost.roles.contains(role))
                    .for_each(|(_, with)| *with = true);
            }
            Event::Health(HealthEvent::InstanceStale(_)) => self.stale += 1,
            _ => {}
        }
        Ok(())
    }

    fn crash(&mut self, role: &Role, plan: &CrashResponse) {
        match plan {
            CrashResponse::Restart { .. } => {
                self.alone += 1;
                self.open.insert(role.clone(), false);
            }
            CrashResponse::WithTheSession => {
                self.with_session += 1;
                self.open.insert(role.clone(), true);
            }
            CrashResponse::Nothing { .. } => {
                self.alone += 1;
                self.given_up += 1;
            }
        }
    }
}

impl std::fmt::Display for Incidents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.alone + self.with_session;
        write!(
            f,
            "{all} crashes ({} with {} lost sessions), {} restarts, {} failed attempts, {} given up, {} silences",
            self.with_session, self.sessions, self.restarted, self.failed, self.given_up, self.stale
        )
    }
}
