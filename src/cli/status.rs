//! Owns what the one-screen status knows, its JSON, and which command helps most next.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::adapters::clock;
use crate::domain::client::Activity;
use crate::domain::decide::lapsed;
use crate::domain::event::Release;
use crate::domain::glass;
use crate::domain::liveness::{Liveness, judge};
use crate::domain::queue;
use crate::domain::refusal::shell_quote;
use crate::domain::role::{Actor, Kind, Mailbox, Member, Role};
use crate::domain::state::{Facts, Phase, Session, State, System};
use crate::domain::time::Wall;
use crate::store::disk::RealDisk;
use crate::store::inbox::Inbox;
use crate::store::mailbox::{self, Waiting};
use crate::store::registry::Registry;
use crate::store::{beats, clients};

use super::context::Context;
use super::env::Env;
use super::failure::Failure;
use super::output::Answer;
use super::{Common, enforcement, lock_show, pins, screen};

/// What is known of one role at this moment.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub role: Role,
    /// How it is.
    pub liveness: Liveness,
    /// tmux's name of its pane.
    pub pane: Option<String>,
    /// Milliseconds since its last beat; `None`: never, or not in this boot.
    pub beat_age_ms: Option<u64>,
    /// When that was.
    pub last_beat: Option<Wall>,
    /// What waits in its mailbox; `None`: it cannot be looked at.
    pub mail: Option<Waiting>,
    /// What it says that it works on; not safe to print as it is.
    pub task: Option<String>,
    /// Whether it holds the write lock.
    pub holds: bool,
    /// Whether it shall keep still.
    pub paused: bool,
    /// What its client does, and for how long in milliseconds, where that says so.
    pub activity: Option<(Activity, u64)>,
    /// How many messages nobody saw within their deadline.
    pub undelivered: usize,
    /// What kind of role it is; `None`: it is not on the roster any more.
    pub kind: Option<Kind>,
    /// Its place in the roster, from 0.
    pub place: u32,
    /// For how long it is as it is, in milliseconds, where that is known.
    pub for_ms: Option<u64>,
}

impl Row {
    /// Whether it does nothing until a person, or the end of a limit, lets it go on.
    #[must_use]
    pub fn waits_for_the_person(&self) -> bool {
        match &self.activity {
            Some((activity, _)) => match activity {
                Activity::NeedsPermission | Activity::NeedsInput | Activity::LimitReached { .. } => true,
                Activity::Working | Activity::Idle | Activity::Failed { .. } | Activity::Ended => false,
            },
            None => false,
        }
    }

    /// How much waits to be done.
    #[must_use]
    pub fn pending_work(&self) -> usize {
        let mail = self.mail.unwrap_or_default();
        mail.new + mail.taken
    }
}

/// Everything that the screen shows.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where the repository is.
    pub place: String,
    /// The state, read once.
    pub state: State,
    /// The world, looked at once.
    pub facts: Facts,
    /// Every role, problems first.
    pub rows: Vec<Row>,
    /// How the pins of a hard freeze stand, if there are any.
    pub pins: Option<pins::Look>,
    /// Why git does not ask us, if it does not.
    pub unguarded: Option<String>,
    /// Why nobody watches over the instances, if nobody does; the first line of every screen.
    pub monitor: Option<String>,
    /// What waits for the person.
    pub user_mail: usize,
    /// The command that helps most, and for whom it is when not for everybody.
    pub next: String,
}

/// Runs `cmw` without arguments.
///
/// # Errors
/// [`Failure`]: no repository, not set up (78), damage (65).
pub fn run(env: &Env, common: &Common) -> Result<Answer, Failure> {
    let context = Context::open(env, common)?;
    let status = gather(&context)?;
    let size = screen::Size::of(env);
    let mut answer = Answer::done(data(&status), screen::render(&status, size, screen::Ink::of(env)));
    answer.hint = Some(status.next.clone());
    Ok(answer)
}

/// Looks at everything once; writes and locks nothing.
///
/// # Errors
/// [`Failure`]: not set up (78), damage (65).
pub fn gather(context: &Context<'_>) -> Result<Status, Failure> {
    gather_knowing(context, enforcement::gap(context))
}

/// The same for somebody who looked at the hooks a moment ago: that is most of what a look costs.
///
/// # Errors
/// As [`gather`].
pub fn gather_knowing(context: &Context<'_>, unguarded: Option<String>) -> Result<Status, Failure> {
    let state = context.state()?;
    let facts = context.facts(&state);
    let disk = context.store.disk();
    let mut rows: Vec<Row> = roles(&state).map(|found| row(disk, found, &state, &facts)).collect();
    let is_up = state.session_is_up(&facts);
    rows.sort_by_key(|row| (rank(row, is_up), row.place));
    let repo = &context.repo;
    let mut status = Status {
        place: repo.work_tree.as_ref().unwrap_or(&repo.common_dir).display().to_string(),
        pins: pins::look(disk, &state),
        unguarded,
        monitor: None,
        user_mail: mailbox::waiting(disk, &Mailbox::User).map_or(0, |waiting| waiting.new),
        rows,
        state,
        facts,
        next: String::new(),
    };
    status.next = next(context, &status);
    Ok(status)
}

/// The roster, and whoever is registered without being on it any more.
fn roles(state: &State) -> impl Iterator<Item = (&Role, Option<&Member>)> {
    let members = state.policy.roster.members();
    let known: BTreeSet<&Role> = members.iter().map(|member| &member.role).collect();
    let others = state.instances.keys().filter(move |role| !known.contains(role));
    members.iter().map(|member| (&member.role, Some(member))).chain(others.map(|role| (role, None)))
}

/// Problems first. Without a session, a role that was never seen is none, and comes last.
fn rank(row: &Row, session_is_up: bool) -> u8 {
    match row.liveness {
        Liveness::Crashed => 0,
        Liveness::Stale => 1,
        Liveness::Restarting => 2,
        Liveness::Alive if row.waits_for_the_person() => 2,
        Liveness::NeverSeen if session_is_up => 3,
        Liveness::Starting => 4,
        Liveness::Alive => 5,
        Liveness::Shutdown => 6,
        Liveness::NeverSeen => 7,
    }
}

fn row(disk: &RealDisk, (role, member): (&Role, Option<&Member>), state: &State, facts: &Facts) -> Row {
    let instance = state.instances.get(role);
    let beat = beats::read(disk, role).ok().flatten();
    let is_dead = instance.is_some_and(|i| facts.dead.contains(&i.process));
    let now = &facts.now.boot;
    let is_ready = instance.is_some_and(|i| i.phase == Phase::Ready) && !is_dead;
    let client = if is_ready { clients::read(disk, role).ok().flatten() } else { None };
    let mail = mailbox::waiting(disk, &Mailbox::Role(role.clone())).ok();
    let late = || {
        let registry = Registry::new(disk, clock::boot_id());
        Inbox::open(&registry, Mailbox::Role(role.clone())).undelivered().unwrap_or(0)
    };
    let undelivered = if mail.is_some_and(|mail| mail.new > 0) { late() } else { 0 };
    let age = beat.as_ref().map(|beat| now.ms_since(&beat.beat)).filter(|age| *age != u64::MAX);
    let liveness = judge(instance, is_dead, beat.as_ref().map(|b| &b.beat), now);
    let activity = client.map(|client| (client.activity, now.ms_since(&client.since_boot)));
    let in_phase = instance.map(|i| facts.now.wall.ms_since(i.since));
    let for_ms = match liveness {
        Liveness::NeverSeen => None,
        // What happened since its last sign of life nobody knows.
        Liveness::Crashed | Liveness::Stale => age,
        Liveness::Alive => activity.as_ref().map(|(_, ms)| *ms).or(in_phase),
        Liveness::Starting | Liveness::Restarting | Liveness::Shutdown => in_phase,
    };
    Row {
        role: role.clone(),
        liveness,
        pane: instance.and_then(|i| i.pane_id.clone()),
        beat_age_ms: age,
        last_beat: beat.as_ref().map(|beat| beat.at),
        mail,
        task: beat.and_then(|beat| beat.task).filter(|task| !task.is_empty()),
        holds: state.held().is_some_and(|held| held.holder.role() == Some(role)),
        paused: state.paused.contains_key(role),
        activity,
        undelivered,
        kind: member.map(|member| member.kind.clone()),
        place: member.map_or(u32::MAX, |member| member.pane),
        for_ms,
    }
}

/// The one command that helps most: what stops everybody first, then what stops one, then one's
/// own business.
fn next(context: &Context<'_>, status: &Status) -> String {
    let (state, facts) = (&status.state, &status.facts);
    let me = context.asker(state).ok().map(|asker| asker.actor);
    let is_role = matches!(me, Some(Actor::Role(_)));
    let crashed = status.rows.iter().find(|row| row.liveness == Liveness::Crashed);
    let holds = me.as_ref().is_some_and(|me| state.held().is_some_and(|held| held.holder == *me));
    let unread = match &me {
        Some(Actor::Role(role)) => status
            .rows
            .iter()
            .find(|row| row.role == *role)
            .and_then(|row| row.mail)
            .map_or(0, |mail| mail.new),
        Some(Actor::User) => status.user_mail,
        Some(Actor::System | Actor::Unproven) | None => 0,
    };
    let session_is_up = state.session_is_up(facts);
    if matches!(state.system, System::Frozen { .. }) {
        let thaw = me == Some(Actor::User);
        return if thaw { "cmw-freeze thaw --reason '…'" } else { "cmw-freeze status" }.to_owned();
    }
    if status.pins.is_some() {
        return "cmw-doctor --fix".to_owned();
    }
    if status.unguarded.is_some() {
        return "cmw-doctor".to_owned();
    }
    if !state.violations.is_empty() && !is_role {
        return "cmw-audit violations".to_owned();
    }
    if glass::serves(state, me.as_ref().unwrap_or(&Actor::Unproven), facts).is_some() {
        return "cmw-bypass break-glass end".to_owned();
    }
    if matches!(state.session, Session::Up { .. }) && !session_is_up {
        return "cmw-session up".to_owned();
    }
    if let (Some(row), true, false) = (crashed, session_is_up, is_role) {
        return format!("cmw-session start {}", shell_quote(row.role.as_str()));
    }
    let over = lapsed(state, facts).filter(|reason| *reason != Release::CommandEnded);
    if over.is_some() && queue::next(state, facts).is_none() && !holds {
        return "cmw-lock status".to_owned();
    }
    match (unread, holds, session_is_up, is_role) {
        (1.., _, _, _) => "cmw-inbox".to_owned(),
        (0, true, _, _) => "commit, then cmw-lock release".to_owned(),
        (0, false, _, true) => "cmw-lock acquire".to_owned(),
        (0, false, true, false) => "cmw-session attach".to_owned(),
        (0, false, false, false) => "cmw-session up".to_owned(),
    }
}

/// The guide's fields (timestamp, instances, `system_status`) and ours; docs/health.md says what each
/// means.
#[must_use]
pub fn data(status: &Status) -> Value {
    let (state, facts) = (&status.state, &status.facts);
    let instances: Map<String, Value> =
        status.rows.iter().map(|row| (row.role.to_string(), row_data(row))).collect();
    let frozen = match &state.system {
        System::Running => Value::Null,
        System::Frozen { by, reason, since, .. } => {
            json!({"by": by, "reason": reason, "since": since, "hard": state.pinned() > 0})
        }
    };
    let session = match &state.session {
        Session::Down => Value::Null,
        Session::Up { name, since, .. } => {
            json!({"name": name, "since": since, "up": state.session_is_up(facts)})
        }
    };
    json!({
        "timestamp": facts.now.wall,
        "instances": instances,
        "system_status": if state.system == System::Running { "RUNNING" } else { "FROZEN" },
        "repository": status.place,
        "mode": state.policy.mode,
        "preset": state.policy.preset,
        "session": session,
        "frozen": frozen,
        "pins": status.pins.as_ref().map(pins::Look::data),
        "break_glass": glass::broken(state, facts),
        "unguarded": status.unguarded,
        "monitor": status.monitor,
        "self_test": state.self_test,
        "violations": state.violations,
        "lock": lock_show::lock_data(state, facts, false),
        "user_unread": status.user_mail,
    })
}

/// One role.
fn row_data(row: &Row) -> Value {
    json!({
        "status": row.liveness,
        "last_heartbeat": row.last_beat,
        "pending_work": row.pending_work(),
        "current_task": row.task,
        "kind": row.kind,
        "pane_id": row.pane,
        "beat_age_s": row.beat_age_ms.map(|ms| ms / 1_000),
        "for_s": row.for_ms.map(|ms| ms / 1_000),
        "unread": row.mail.map(|mail| mail.new),
        "holds_lock": row.holds,
        "paused": row.paused,
        "activity": row.activity.as_ref().map(|(activity, _)| activity),
        "activity_s": row.activity.as_ref().map(|(_, ms)| ms / 1_000),
        "undelivered": row.undelivered,
    })
}
