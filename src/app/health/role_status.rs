//! The status of each role, and the order of roles on every screen: problems first.

use std::collections::{BTreeMap, BTreeSet};

use crate::adapters::os::clock;
use crate::domain::facts::Facts;
use crate::domain::health::client::Activity;
use crate::domain::health::condition::Condition;
use crate::domain::health::liveness::Liveness;
use crate::domain::identity::actor::Mailbox;
use crate::domain::identity::role::Role;
use crate::domain::identity::role::RoleKind;
use crate::domain::identity::roster::Member;
use crate::domain::session::instance::{Instance, InstancePhase};
use crate::domain::state::State;
use crate::domain::util::time::WallTime;
use crate::domain::work::task::{self, Task};
use crate::store::disk::RealDisk;
use crate::store::health::heartbeats::{self, Heartbeat};
use crate::store::mail::inbox::Inbox;
use crate::store::mail::mailbox::UnreadCount;
use crate::store::mail::registry::Registry;

use crate::app::health::evidence::InstanceEvidence;

/// The status of one role.
#[derive(Clone, Debug)]
pub struct RoleStatus {
    /// The role.
    pub role: Role,
    /// Its condition.
    pub condition: Condition,
    /// The id of its tmux pane.
    pub pane: Option<String>,
    /// Milliseconds since its last beat; `None`: never, or not in this boot.
    pub beat_age_ms: Option<u64>,
    /// When its last beat was.
    pub last_beat: Option<WallTime>,
    /// How many messages wait in its mailbox; `None`: it cannot be read.
    pub mail: Option<UnreadCount>,
    /// Its current task, or what it reports; must be sanitised before printing.
    pub task: Option<String>,
    /// How many tasks it has, including the current one.
    pub tasks: usize,
    /// Whether it holds the write lock.
    pub holds: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// Its client's activity, and since how many milliseconds, when the client reports that.
    pub activity: Option<(Activity, u64)>,
    /// The end of the usage limit that stops it.
    pub until: Option<WallTime>,
    /// How many messages were not seen within their deadline.
    pub undelivered: usize,
    /// Its kind; `None`: it is no longer on the roster.
    pub kind: Option<RoleKind>,
    /// Its place in the roster, from 0.
    pub place: u32,
    /// For how long its condition has lasted, in milliseconds, where that is known.
    pub for_ms: Option<u64>,
}

impl RoleStatus {
    /// Its condition, in the words of docs/rules.md R8.2.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        self.condition.into()
    }
}

/// Returns every role, problems first.
#[must_use]
pub fn all(disk: &RealDisk, state: &State, facts: &Facts) -> Vec<RoleStatus> {
    let mut work: BTreeMap<&Role, Vec<&Task>> = BTreeMap::new();
    for task in state.tasks.values().filter(|task| task.is_pending()) {
        work.entry(&task.assignee).or_default().push(task);
    }
    let look = |(role, member): &(&Role, Option<&Member>)| {
        let (role, member) = (*role, *member);
        let tasks = work.get(role).map_or(&[][..], Vec::as_slice);
        StatusQuery { disk, state, facts, role, member, tasks }.row()
    };
    let roles: Vec<(&Role, Option<&Member>)> = roles(state).collect();
    let mut rows = side_by_side(&roles, &look);
    let is_up = state.session_is_up(facts);
    rows.sort_by_key(|row| (rank(row.condition, is_up), row.place));
    rows
}

/// From this many roles on, threads are used: each role costs about seven small files.
const THREAD_ROLES_MIN: usize = 100;

/// Examines all roles: many of them in parallel, as nearly all of the time is spent waiting for the kernel.
fn side_by_side<T: Sync>(all: &[T], look: &(impl Fn(&T) -> RoleStatus + Sync)) -> Vec<RoleStatus> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let part = all.len().div_ceil(threads).max(THREAD_ROLES_MIN);
    if all.len() <= part {
        return all.iter().map(look).collect();
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = all
            .chunks(part)
            .map(|part| scope.spawn(move || part.iter().map(look).collect::<Vec<_>>()))
            .collect();
        let joined = parts.into_iter().map(|part| part.join().expect("a panic ends the whole program"));
        joined.flatten().collect()
    })
}

/// Returns the roster, and the registered roles that are no longer on it.
fn roles(state: &State) -> impl Iterator<Item = (&Role, Option<&Member>)> {
    let members = state.policy.roster.members();
    let known: BTreeSet<&Role> = members.iter().map(|member| &member.role).collect();
    let others = state.instances.keys().filter(move |role| !known.contains(role));
    members.iter().map(|member| (&member.role, Some(member))).chain(others.map(|role| (role, None)))
}

/// Returns the sort rank: problems first; working and idle roles keep their places. Without a session, a role
/// that was never seen is not a problem.
fn rank(condition: Condition, session_is_up: bool) -> usize {
    let rank = |condition| Condition::ALL.iter().position(|one| *one == condition).unwrap_or(usize::MAX);
    match condition {
        Condition::Idle => rank(Condition::Working),
        Condition::NeverSeen if !session_is_up => Condition::ALL.len(),
        Condition::NeverSeen
        | Condition::Crashed
        | Condition::Stale
        | Condition::WaitingForPermission
        | Condition::WaitingForInput
        | Condition::Failed
        | Condition::Restarting
        | Condition::LimitReached
        | Condition::Starting
        | Condition::Working
        | Condition::Stopping
        | Condition::ShutDown => rank(condition),
    }
}

/// One role, and the sources of its status.
struct StatusQuery<'a> {
    disk: &'a RealDisk,
    state: &'a State,
    facts: &'a Facts,
    role: &'a Role,
    member: Option<&'a Member>,
    /// Its unfinished tasks.
    tasks: &'a [&'a Task],
}

impl StatusQuery<'_> {
    fn row(&self) -> RoleStatus {
        let Self { disk, state, facts, role, member, tasks } = *self;
        let instance = state.instances.get(role);
        let beat = heartbeats::read(disk, role).ok().flatten();
        let is_dead = instance.is_some_and(|i| facts.dead.contains(&i.process));
        let now = &facts.now.boot;
        let gathered = InstanceEvidence::after(beat.clone(), disk, role, state, facts, None);
        let activity =
            gathered.activity.as_ref().map(|(activity, since)| (activity.clone(), now.ms_since(since)));
        let beat_age_ms = beat.as_ref().map(|beat| now.ms_since(&beat.beat)).filter(|age| *age != u64::MAX);
        let registry = Registry::new(disk, clock::boot_id());
        let mail = Inbox::open(&registry, Mailbox::Role(role.clone())).unread_and_overdue().ok();
        // The monitor also asks tmux, and may know the reason for the silence.
        let is_known_stale =
            instance.is_some_and(|i| i.stale.is_some() && i.phase == InstancePhase::Ready) && !is_dead;
        let condition = if is_known_stale { Condition::Stale } else { gathered.condition() };
        let parked = instance.and_then(|i| i.parked.as_ref()).map(|parked| parked.until_at);
        let limit = activity.as_ref().and_then(|(activity, _)| match activity {
            Activity::LimitReached { until } => *until,
            Activity::Working
            | Activity::Idle
            | Activity::NeedsPermission
            | Activity::NeedsInput
            | Activity::Failed { .. }
            | Activity::Ended => None,
        });
        let at = tasks.iter().find(|task| task.status == task::TaskStatus::Started);
        let at = at.map(|task| format!("T{} {}", task.id, task.title));
        RoleStatus {
            role: role.clone(),
            condition,
            pane: instance.and_then(|i| i.pane_id.clone()),
            beat_age_ms,
            last_beat: beat.as_ref().map(|beat| beat.at),
            mail: mail.map(|(waiting, _)| waiting),
            for_ms: for_ms(condition, instance, beat.as_ref(), activity.as_ref(), facts),
            task: at.or_else(|| beat.and_then(|beat| beat.task).filter(|task| !task.is_empty())),
            tasks: tasks.len(),
            holds: state.held().is_some_and(|held| held.holder.role() == Some(role)),
            paused: state.paused.contains_key(role),
            activity,
            until: parked.or(limit).filter(|_| condition == Condition::LimitReached),
            undelivered: mail.map_or(0, |(_, late)| late),
            kind: member.map(|member| member.kind.clone()),
            place: member.map_or(u32::MAX, |member| member.pane),
        }
    }
}

/// Returns for how long the condition has lasted.
fn for_ms(
    condition: Condition,
    instance: Option<&Instance>,
    beat: Option<&Heartbeat>,
    activity: Option<&(Activity, u64)>,
    facts: &Facts,
) -> Option<u64> {
    let instance = instance?;
    let ago = |wall: WallTime| facts.now.wall.ms_since(wall);
    let since = |moment| Some(facts.now.boot.ms_since(moment)).filter(|ms| *ms != u64::MAX);
    let last_beat = beat.and_then(|beat| since(&beat.beat));
    let in_phase = Some(ago(instance.since));
    match condition {
        Condition::NeverSeen => None,
        Condition::Crashed if instance.phase == InstancePhase::Crashed => in_phase,
        // The time of a crash is known only to be after the last beat.
        Condition::Crashed => last_beat,
        Condition::Stale => instance.stale.map(ago).or(last_beat),
        Condition::LimitReached if let Some(parked) = &instance.parked => Some(ago(parked.since)),
        Condition::Idle if activity.is_none() => beat.and_then(|beat| since(&beat.active)).or(in_phase),
        Condition::WaitingForPermission
        | Condition::WaitingForInput
        | Condition::Failed
        | Condition::LimitReached
        | Condition::Working
        | Condition::Idle => activity.map(|(_, ms)| *ms).or(in_phase),
        Condition::Restarting | Condition::Starting | Condition::Stopping | Condition::ShutDown => in_phase,
    }
}
