//! What `cmw since` reports about instances and work: crashes, usage limits, undelivered messages, finished
//! and blocked tasks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::domain::audit::record::Record;
use crate::domain::event::Event;
use crate::domain::health::event::HealthEvent;
use crate::domain::identity::role::Role;
use crate::domain::mail::event::MailEvent;
use crate::domain::session::instance::InstancePhase;
use crate::domain::state::State;
use crate::domain::util::sanitize;
use crate::domain::util::time::WallTime;
use crate::domain::work::event::WorkEvent;

/// What happened to instances and work, newest first.
#[derive(Clone, Debug, Default)]
pub struct HealthSummary {
    /// The roles that crashed; those that are not running now first.
    pub crashed: Vec<CrashSummary>,
    /// When tmux ended with the whole session.
    pub lost: Vec<WallTime>,
    /// The roles stopped by a usage limit.
    pub limits: Vec<LimitSummary>,
    /// Messages that were not seen in time: the recipient, how many, why.
    pub undelivered: Vec<(WallTime, String, u64, String)>,
    /// How many tasks were done.
    pub done: usize,
    /// Blocked tasks: the number, the title, why.
    pub blocked: Vec<(u64, String, String)>,
}

/// A role that crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashSummary {
    /// The role.
    pub role: Role,
    /// How often.
    pub count: usize,
    /// When it crashed last.
    pub last: WallTime,
    /// Whether its instance is ready now.
    pub runs: bool,
}

/// A role that was stopped by a usage limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitSummary {
    /// The role.
    pub role: Role,
    /// How often.
    pub count: usize,
    /// Until when, the last time.
    pub until: WallTime,
    /// Whether it is still in effect.
    pub holds: bool,
}

impl HealthSummary {
    /// Collects it from records, newest first, and from the current state.
    #[must_use]
    pub fn of(records: &[Record], state: &State) -> Self {
        let mut health = Self::default();
        let mut crashed: BTreeMap<Role, (usize, WallTime)> = BTreeMap::new();
        let mut limits: BTreeMap<Role, (usize, WallTime)> = BTreeMap::new();
        for record in records {
            if let Event::Health(HealthEvent::InstanceCrashed(crash)) = &record.event {
                crashed.entry(crash.role.clone()).or_insert((0, record.at)).0 += 1;
            }
            if let Event::Health(HealthEvent::InstanceParked(parking)) = &record.event {
                limits.entry(parking.role.clone()).or_insert((0, parking.until_at)).0 += 1;
            }
            if let Event::Mail(MailEvent::MessagesUndelivered { mailbox, count, why, .. }) = &record.event {
                health.undelivered.push((record.at, mailbox.clone(), *count, why.clone()));
            }
            health.lost.extend(
                matches!(record.event, Event::Health(HealthEvent::SessionLost(_))).then_some(record.at),
            );
            health.done += usize::from(matches!(record.event, Event::Work(WorkEvent::TaskDone(_))));
        }
        let instance = |role: &Role| state.instances.get(role);
        let runs = |role: &Role| instance(role).is_some_and(|i| i.phase == InstancePhase::Ready);
        health.crashed = crashed
            .into_iter()
            .map(|(role, (count, last))| CrashSummary { runs: runs(&role), role, count, last })
            .collect();
        health.crashed.sort_by_key(|crashed| (crashed.runs, std::cmp::Reverse(crashed.last)));
        let holds = |role: &Role| instance(role).is_some_and(|i| i.parked.is_some());
        health.limits = limits
            .into_iter()
            .map(|(role, (count, until))| LimitSummary { holds: holds(&role), role, count, until })
            .collect();
        let blocked = state.tasks.values().filter(|task| task.is_pending());
        health.blocked =
            blocked.filter_map(|task| Some((task.id, task.title.clone(), task.blocked.clone()?))).collect();
        health
    }

    /// Returns a role that has not been running since it crashed.
    #[must_use]
    pub fn down(&self) -> Option<&Role> {
        self.crashed.iter().find(|crashed| !crashed.runs).map(|crashed| &crashed.role)
    }

    /// Returns a line for each role that crashed.
    #[must_use]
    pub fn crash_lines(&self, at: &dyn Fn(WallTime) -> String) -> Vec<String> {
        let lost = self.lost.iter().map(|when| format!("tmux ended at {}", at(*when)));
        let one = |crashed: &CrashSummary| {
            let now = if crashed.runs {
                "running again".to_owned()
            } else {
                format!("cmw-health restart {}", crashed.role)
            };
            format!("{}x {} (last {}): {now}", crashed.count, crashed.role, at(crashed.last))
        };
        lost.chain(self.crashed.iter().map(one)).collect()
    }

    /// Returns a line for each role that a limit stopped.
    #[must_use]
    pub fn limit_lines(&self) -> Vec<String> {
        let one = |limit: &LimitSummary| {
            let (until, count) = (limit.until.clock(), limit.count);
            let what = if limit.holds { "stopped until" } else { "over since" };
            format!("{count}x {}: {what} {until}", limit.role)
        };
        self.limits.iter().map(one).collect()
    }

    /// Returns a line for each batch of undelivered messages.
    #[must_use]
    pub fn undelivered_lines(&self, at: &dyn Fn(WallTime) -> String) -> Vec<String> {
        let one = |(when, mailbox, count, why): &(WallTime, String, u64, String)| {
            format!("{} {count} for {}: {}", at(*when), sanitize::line(mailbox), sanitize::line(why))
        };
        self.undelivered.iter().map(one).collect()
    }

    /// Returns the blocked tasks, and how many were done.
    #[must_use]
    pub fn work_lines(&self) -> Vec<String> {
        let blocked = self.blocked.iter();
        let one = |(id, title, why): &(u64, String, String)| {
            format!("T{id} BLOCKED: {} ({})", sanitize::line(title), sanitize::line(why))
        };
        let done = (self.done > 0).then(|| match self.done {
            1 => "1 task is done".to_owned(),
            n => format!("{n} tasks are done"),
        });
        blocked.map(one).chain(done).collect()
    }

    /// Returns the JSON of it.
    #[must_use]
    pub fn data(&self) -> Value {
        let crashed =
            |c: &CrashSummary| json!({"role": c.role, "count": c.count, "last": c.last, "runs": c.runs});
        let limit =
            |l: &LimitSummary| json!({"role": l.role, "count": l.count, "until": l.until, "holds": l.holds});
        let unseen = |(at, mailbox, count, why): &(WallTime, String, u64, String)| json!({"at": at, "mailbox": mailbox, "count": count, "why": why});
        let blocked =
            |(id, title, why): &(u64, String, String)| json!({"task": id, "title": title, "why": why});
        json!({
            "sessions_lost": self.lost,
            "crashed": self.crashed.iter().map(crashed).collect::<Value>(),
            "limits": self.limits.iter().map(limit).collect::<Value>(),
            "undelivered": self.undelivered.iter().map(unseen).collect::<Value>(),
            "tasks_done": self.done,
            "tasks_blocked": self.blocked.iter().map(blocked).collect::<Value>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::health::incident::{Crash, CrashImpact, CrashResponse, InstanceParked};
    use crate::domain::identity::actor::Actor;
    use crate::domain::identity::roster::Roster;
    use crate::domain::policy::compiled::Policy;
    use crate::domain::session::event::SessionEvent;
    use crate::domain::session::process::Process;
    use crate::domain::util::time::{BootId, BootTime};

    #[test]
    fn crashes_are_counted_and_those_who_are_down_come_first() {
        let boot = BootId("b".to_owned());
        let moment = BootTime { boot: boot.clone(), ms: 1 };
        let process = Process { pid: 1, start_ticks: 1, boot };
        let mut state = State::new("01".to_owned(), Policy::of(Roster::of_size(4)));
        let roles: Vec<Role> = state.policy.roster.members().iter().map(|m| m.role.clone()).collect();
        let (a, b) = (roles[0].clone(), roles[1].clone());
        let pane_id = String::from("%1");
        let mut happens =
            |event: &Event| crate::domain::evolve::evolve(&mut state, event, WallTime(0), &Actor::System);
        for role in [&a, &b] {
            let (role, process) = (role.clone(), process.clone());
            happens(&Event::Session(SessionEvent::InstanceLaunched {
                role: role.clone(),
                process: process.clone(),
                pane: 0,
                pane_id: pane_id.clone(),
            }));
            happens(&Event::Session(SessionEvent::InstanceRegistered { role, process, pane: 0 }));
        }
        let crash = |role: &Role| {
            let plan = CrashResponse::Nothing { why: String::new() };
            let (role, process, impact) = (role.clone(), process.clone(), CrashImpact::default());
            Event::Health(HealthEvent::InstanceCrashed(Crash { role, process, how: None, impact, plan }))
        };
        happens(&crash(&b));
        let until = moment.plus(1_000);
        let parked = Event::Health(HealthEvent::InstanceParked(InstanceParked {
            role: a.clone(),
            until,
            until_at: WallTime(60_000),
            told: true,
        }));
        happens(&parked);
        let record = |event: Event, at: i64| Record::chain(1, WallTime(at), &Actor::System, event, "");
        let records = [record(crash(&a), 9), record(crash(&b), 7), record(crash(&a), 5), record(parked, 3)];
        let health = HealthSummary::of(&records, &state);
        let told: Vec<(String, usize, bool)> =
            health.crashed.iter().map(|c| (c.role.to_string(), c.count, c.runs)).collect();
        assert_eq!(told, [(b.to_string(), 1, false), (a.to_string(), 2, true)]);
        assert_eq!(health.down(), Some(&b));
        let lines = health.crash_lines(&|wall| wall.0.to_string());
        assert_eq!(lines[0], format!("1x {b} (last 7): cmw-health restart {b}"));
        assert_eq!(health.limit_lines(), [format!("1x {a}: stopped until 00:01Z")]);
    }
}
