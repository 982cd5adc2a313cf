//! Owns the words of `cmw-lock`.

use std::ffi::OsString;
use std::os::fd::AsFd;

use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

use crate::adapters::{clock, process};
use crate::domain::claim::Claim;
use crate::domain::decide::{Asker, Command, Reply, held_refusal, is_overdue, lapsed, next_change};
use crate::domain::event::Release;
use crate::domain::permit;
use crate::domain::priority::Priority;
use crate::domain::process::Process;
use crate::domain::queue;
use crate::domain::refusal::Refusal;
use crate::domain::role::Actor;
use crate::domain::state::{
    Facts, Held, PURPOSE_CHARS_MAX, Request, State, System, Waiter, WriteLock, lock_id,
};
use crate::domain::text;
use crate::domain::time::{human, parse_duration_ms};
use crate::store::watch::Watch;

use super::context::Context;
use super::env::Env;
use super::exit::Exit;
use super::failure::Failure;
use super::output::{Answer, Style, write_err};
use super::{Common, heartbeat, lock_run};

/// How long at most a waiting command believes that nothing happens, in milliseconds.
const LOOK_AGAIN_MS: u64 = 30_000;

/// Take, give back and look at the write lock
///
/// Only the holder moves protected branches: git's own hooks see to that. The lock goes to the
/// User first, then by priority, then in order of arrival. It ends by itself after its lease
/// (5 minutes, or twice the estimate), which every commit and every sign of work renews.
#[derive(Parser, Debug)]
#[command(name = "cmw-lock", version)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Take the lock, or a place in the queue (exit 75)
    Acquire {
        #[command(flatten)]
        wish: Wish,
        /// Wait this long for it (90s, 5m, 1h)
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms)]
        wait: Option<u64>,
    },
    /// Give the lock back
    Release {
        /// Only if this is still the current lease
        #[arg(long, value_name = "N")]
        token: Option<u64>,
    },
    /// Start a new lease
    Renew,
    /// Who has the lock, who waits (exit 0 free or mine, 75 somebody else's)
    Status,
    /// Who waits, in order
    Queue,
    /// Give up the place in the queue
    Cancel,
    /// Give the lock to somebody who waits, outside the order
    Handover {
        /// Who gets it
        role: String,
    },
    /// Take the lock from whoever has it (Orchestrator and User only)
    ForceRelease {
        /// Why; it is recorded and told
        #[arg(long, value_parser = parse_purpose)]
        reason: String,
    },
    /// Take the lock, run a command, give the lock back whatever happens
    Run {
        #[command(flatten)]
        wish: Wish,
        /// Wait this long for the lock
        #[arg(long, value_name = "TIME", value_parser = parse_duration_ms, default_value = "10m")]
        wait: u64,
        /// The command
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
}

/// What the lock is wanted for.
#[derive(Args, Clone, Debug)]
pub struct Wish {
    /// Files that will change (globs; repeat it); without it: any
    #[arg(long, value_name = "GLOB")]
    files: Vec<String>,
    /// What for, in a few words
    #[arg(long, default_value = "", value_parser = parse_purpose)]
    purpose: String,
    /// How long it will take; the lease is twice that, at most 30m
    #[arg(long, value_name = "TIME", value_parser = parse_duration_ms)]
    estimate: Option<u64>,
    /// About how many lines will change
    #[arg(long, value_name = "N")]
    loc: Option<u32>,
    /// critical, high, normal or low
    #[arg(long, default_value = "normal")]
    priority: Priority,
}

fn parse_purpose(text: &str) -> Result<String, String> {
    if text.chars().count() > PURPOSE_CHARS_MAX {
        return Err(format!("at most {PURPOSE_CHARS_MAX} characters"));
    }
    Ok(text::line(text))
}

impl Wish {
    /// The request for the rules.
    ///
    /// # Errors
    /// [`Failure`] when too many files are claimed.
    pub fn request(&self, context: &Context<'_>) -> Result<Request, Failure> {
        let files = Claim::parse(&self.files).map_err(|e| Failure::usage(text::line(&e.to_string())))?;
        let (purpose, priority) = (self.purpose.clone(), self.priority);
        Ok(Request {
            files,
            purpose,
            estimate_ms: self.estimate,
            loc: self.loc,
            priority,
            work_tree: context.work_tree_name(),
            guessed: false,
        })
    }
}

/// Runs `cmw-lock`.
pub fn tool(env: &Env, args: Vec<OsString>) -> (Style, Result<Answer, Failure>) {
    super::parse_and_run(env, args, |cli: &Cli| &cli.common, run)
}

fn run(env: &Env, cli: &Cli) -> Result<Answer, Failure> {
    let context = Context::open(env, &cli.common)?;
    let state = context.state()?;
    if let Verb::Status | Verb::Queue = cli.verb {
        return Ok(show(&context, &state, matches!(cli.verb, Verb::Queue)));
    }
    let asker = context.asker(&state)?;
    match &cli.verb {
        Verb::Acquire { wish, wait: None } => {
            let command = Command::Acquire { request: wish.request(&context)?, caller: None, stand_in: None };
            let done = context.transact(&asker, &command)?;
            answer_acquire(&context, &asker, &done.state, done.outcome?)
        }
        Verb::Acquire { wish, wait: Some(wait_ms) } => {
            let (reply, state) =
                wait_for(&context, &asker, &wish.request(&context)?, *wait_ms, None, cli.common.quiet)?;
            answer_acquire(&context, &asker, &state, reply)
        }
        Verb::Release { token } => released(&context, &asker, &Command::Release { token: *token }),
        Verb::Renew => {
            let done = context.transact(&asker, &Command::Renew)?;
            answer_acquire(&context, &asker, &done.state, done.outcome?)
        }
        Verb::Cancel => {
            context.transact(&asker, &Command::Cancel)?.outcome?;
            Ok(Answer::done(json!({}), "your place in the queue is given up"))
        }
        Verb::Handover { role } => {
            let role = state.policy.roster.resolve(role)?.role.clone();
            released(&context, &asker, &Command::Handover(role))
        }
        Verb::ForceRelease { reason } => {
            released(&context, &asker, &Command::ForceRelease { reason: reason.clone() })
        }
        Verb::Run { .. } if cli.common.json => {
            Err(Failure::usage("--json does not go with run: what is printed is the command's own output"))
        }
        Verb::Run { wish, wait, command } => {
            lock_run::run(&context, &asker, &wish.request(&context)?, *wait, command, cli.common.quiet)
        }
        Verb::Status | Verb::Queue => Ok(show(&context, &state, false)),
    }
}

/// Takes the lock or waits for it. The ticket stays when the time is over. `stand_in`: the process
/// that the lease shall end with, when that is not the asker's.
///
/// # Errors
/// [`Failure`]: refusals too.
pub fn wait_for(
    context: &Context<'_>,
    asker: &Asker,
    request: &Request,
    wait_ms: u64,
    stand_in: Option<&Process>,
    quiet: bool,
) -> Result<(Reply, State), Failure> {
    let ask = |caller: Option<Process>| {
        let command = Command::Acquire { request: request.clone(), caller, stand_in: stand_in.cloned() };
        let done = context.transact(asker, &command)?;
        Ok::<_, Failure>((done.outcome?, done.state))
    };
    let me = process::me();
    let watch = Watch::on(&context.repo.common_dir.join("cmw")).map_err(|e| {
        Failure::told(Exit::Unavailable, format!("cannot watch the state: {e}"), "cmw-doctor")
    })?;
    let deadline = clock::now().boot.plus(wait_ms);
    let (mut reply, mut state) = ask(Some(me.clone()))?;
    let mut told = quiet;
    while let Reply::Queued { ticket, .. } = reply {
        if !told {
            told = true;
            let refusal = held_refusal(&state, &context.facts(&state), queue::place(&state, ticket));
            let why = refusal.map_or_else(|| "the lock is not given at this moment".to_owned(), |r| r.why());
            write_err(&format!("waiting up to {}: {why}", waiting_time(wait_ms)));
        }
        let turn = sleep_until_turn(context, asker, &watch, ticket, &deadline)?;
        (reply, state) = match turn {
            Turn::Given(given) => {
                heartbeat::sign_of_work(context, asker);
                (Reply::Granted(given.0), given.1)
            }
            Turn::AskAgain => ask(Some(me.clone()))?,
            // Only what is asked under the gate is sure: a lock that somebody gave to this command a
            // moment ago is its own, and no lock is given to it after it has gone.
            Turn::Over => {
                let (reply, state) = ask(None)?;
                return Ok((given_meanwhile(reply), state));
            }
        };
        reply = given_meanwhile(reply);
    }
    Ok((reply, state))
}

/// Who waited and holds the lock now was given it while it waited: to it, that is no renewal.
fn given_meanwhile(reply: Reply) -> Reply {
    match reply {
        Reply::Renewed(held) => Reply::Granted(held),
        Reply::Granted(_) | Reply::Queued { .. } | Reply::Released { .. } | Reply::Done => reply,
    }
}

/// Times shorter than a second are what the command was given, not none at all.
fn waiting_time(ms: u64) -> String {
    if ms < 1_000 { format!("{ms}ms") } else { human(ms) }
}

/// Why a waiting command woke up.
enum Turn {
    /// The lock is the asker's.
    Given(Box<(Held, State)>),
    /// A request would be answered differently now.
    AskAgain,
    /// The time is over.
    Over,
}

/// Sleeps until the lock is the asker's, the time is over, or it is worth asking again.
fn sleep_until_turn(
    context: &Context<'_>,
    asker: &Asker,
    watch: &Watch,
    ticket: u64,
    deadline: &crate::domain::time::Moment,
) -> Result<Turn, Failure> {
    loop {
        let state = context.state()?;
        if let Some(held) = state.held().filter(|_| state.is_holder(&asker.actor, &asker.process)) {
            return Ok(Turn::Given(Box::new((held.clone(), state))));
        }
        if !state.queue.iter().any(|w| w.ticket == ticket) {
            return Err(Refusal::NotQueued { who: asker.actor.clone() }.into());
        }
        let facts = context.facts(&state);
        if deadline.has_passed(&facts.now.boot) {
            return Ok(Turn::Over);
        }
        if worth_asking(&state, &facts, &asker.actor) {
            return Ok(Turn::AskAgain);
        }
        let at_it = state.held().map(|held| &held.process).or(state.recovery().map(|r| &r.by));
        let holder = at_it.filter(|p| !facts.dead.contains(p)).map(process::watch);
        if holder.as_ref().is_some_and(Option::is_none) {
            return Ok(Turn::AskAgain);
        }
        let sleep_ms = until_something(&state, &facts).min(deadline.ms_until(&facts.now.boot));
        let fd = holder.flatten();
        watch
            .wait(fd.as_ref().map(AsFd::as_fd), sleep_ms.max(1))
            .map_err(|e| Failure::told(Exit::Unavailable, format!("cannot wait: {e}"), "cmw-doctor"))?;
    }
}

/// Whether a request would be answered differently now, though nobody published anything.
fn worth_asking(state: &State, facts: &Facts, me: &Actor) -> bool {
    permit::running(state).and_then(|()| permit::not_paused(state, me)).is_ok() && is_overdue(state, facts)
}

/// How long nothing can happen by itself, in milliseconds: until a lease or an offer is over.
#[must_use]
pub fn until_something(state: &State, facts: &Facts) -> u64 {
    let change = next_change(state, facts);
    change.map_or(LOOK_AGAIN_MS, |at| at.ms_until(&facts.now.boot).saturating_add(1).min(LOOK_AGAIN_MS))
}

fn answer_acquire(
    context: &Context<'_>,
    asker: &Asker,
    state: &State,
    reply: Reply,
) -> Result<Answer, Failure> {
    match reply {
        Reply::Granted(held) => Ok(granted(&held, "granted")),
        Reply::Renewed(held) => Ok(granted(&held, "renewed")),
        Reply::Queued { ticket, place } => {
            let facts = context.facts(state);
            let refusal = held_refusal(state, &facts, Some(place));
            let wait = queue::estimate_ms(state, &facts, place);
            let data = json!({"state": "queued", "ticket": ticket, "position": place,
                "holder": state.held().map(|h| &h.holder), "estimate_s": wait / 1_000});
            let mut answer = Answer::done(data, "").exiting(Exit::Busy);
            answer.note = refusal.as_ref().map_or_else(|| queued_while_frozen(state, place), Refusal::lines);
            answer.hint = Some("cmw-lock acquire --wait 10m".to_owned());
            Ok(answer)
        }
        Reply::Done | Reply::Released { .. } => {
            Err(Failure::told(Exit::Bug, format!("an unexpected answer to {}", asker.actor), "cmw-doctor"))
        }
    }
}

/// That the system is frozen, when it is.
fn frozen(state: &State) -> Option<Refusal> {
    permit::running(state).err()
}

fn queued_while_frozen(state: &State, place: usize) -> String {
    frozen(state).map_or_else(
        || format!("you are number {place} in the queue\nnext: cmw-lock acquire --wait 10m"),
        |refusal| refusal.lines(),
    )
}

fn granted(held: &Held, word: &str) -> Answer {
    let data = json!({
        "state": "held", "lock_id": held.lock_id(), "token": held.token, "holder": held.holder,
        "files": held.request.files, "granted_at": held.granted_at, "expires_at": held.expires_at,
    });
    let files = text::line(&held.request.files.to_string());
    let line =
        format!("{word} {} to {} until {} for {files}", held.lock_id(), held.holder, held.expires_at.clock());
    Answer::done(data, line).noting("next: commit, then cmw-lock release")
}

fn released(context: &Context<'_>, asker: &Asker, command: &Command) -> Result<Answer, Failure> {
    let done = context.transact(asker, command)?;
    let Reply::Released { lock_id, next } = done.outcome? else {
        return Err(Failure::told(Exit::Bug, "an unexpected answer", "cmw-doctor"));
    };
    let kept = done.state.offer().map(|offer| format!("it is kept for {}", offer.to));
    let to = next.as_ref().map(|next| format!("{next} has it now")).or(kept);
    let to = to.unwrap_or_else(|| "the lock is free".to_owned());
    Ok(Answer::done(json!({"released": lock_id, "next": next}), format!("released {lock_id}; {to}")))
}

fn show(context: &Context<'_>, state: &State, only_queue: bool) -> Answer {
    let facts = context.facts(state);
    let mut lines = Vec::new();
    if !only_queue {
        if let Some(frozen) = frozen(state) {
            lines.push(frozen.why());
        }
        lines.push(lock_line(state, &facts));
    }
    lines.extend(waiter_lines(state, &facts));
    if only_queue && lines.is_empty() {
        lines.push("nobody waits".to_owned());
    }
    let me = context.asker(state).ok();
    let mine = me.is_some_and(|me| state.is_holder(&me.actor, &me.process));
    let free = state.lock == WriteLock::Free || lapsed(state, &facts).is_some();
    let exit = if mine || free || only_queue { Exit::Done } else { Exit::Busy };
    Answer::done(lock_data(state, &facts, mine), lines.join("\n")).exiting(exit)
}

/// Who waits, one line each, in order.
#[must_use]
pub fn waiter_lines(state: &State, facts: &Facts) -> Vec<String> {
    let line = |(i, waiter): (usize, &Waiter)| {
        let away = match (queue::is_calling(waiter, facts), waiter.missed) {
            (true, _) => "waiting".to_owned(),
            (false, 0) => "away".to_owned(),
            (false, n) => format!("away, missed {n},"),
        };
        let purpose = quoted(&waiter.request.purpose);
        let since = human(facts.now.wall.ms_since(waiter.requested_at));
        format!("{:>3}. {} {}{purpose}, {away} for {since}", i + 1, waiter.actor, waiter.request.priority)
    };
    state.queue.iter().enumerate().map(line).collect()
}

fn quoted(purpose: &str) -> String {
    if purpose.is_empty() { String::new() } else { format!(" for {:?}", text::line(purpose)) }
}

/// The lock in one line, for every screen that shows it.
#[must_use]
pub fn lock_line(state: &State, facts: &Facts) -> String {
    let held = match &state.lock {
        WriteLock::Free => return "the write lock is free".to_owned(),
        // A git that had taken it is done: nobody has it, and nothing was left.
        WriteLock::Held(_) if lapsed(state, facts) == Some(Release::CommandEnded) => {
            return "the write lock is free".to_owned();
        }
        WriteLock::Held(held) => held,
        WriteLock::Offered(offer) => {
            let left = human(offer.until.ms_until(&facts.now.boot));
            return format!("the write lock is kept for {}, who waited for it ({left} left)", offer.to);
        }
        WriteLock::Recovering(recovery) => {
            let former = &recovery.unsaved.former;
            return recovery.failure.as_ref().map_or_else(
                || format!("the uncommitted work of {former} is being saved"),
                |why| format!("the uncommitted work of {former} could not be saved: {}", text::line(why)),
            );
        }
    };
    let end = match lapsed(state, facts) {
        Some(Release::HolderDied) => "its process is gone: the next who asks gets it".to_owned(),
        Some(_) => "its lease is over: the next who asks gets it".to_owned(),
        None => {
            let left = crate::domain::decide::expiry(held, state, facts).ms_until(&facts.now.boot);
            format!("{} left", human(left))
        }
    };
    let files = text::shorten(&text::line(&held.request.files.to_string()), 60);
    format!("{} holds {}{} for {files}, {end}", held.holder, held.lock_id(), quoted(&held.request.purpose))
}

/// The lock and its queue, for programs.
#[must_use]
pub fn lock_data(state: &State, facts: &Facts, mine: bool) -> Value {
    let process = |p: &Process| !facts.dead.contains(p);
    let is_over = lapsed(state, facts) == Some(Release::CommandEnded);
    let held = state.held().filter(|_| !is_over).map(|h| {
        json!({"lock_id": h.lock_id(), "token": h.token, "holder": h.holder, "purpose": h.request.purpose,
            "files": h.request.files, "granted_at": h.granted_at,
            "expires_at": crate::domain::decide::expiry_at(h, state, facts),
            "left_s": crate::domain::decide::expiry(h, state, facts).ms_until(&facts.now.boot) / 1_000,
            "alive": process(&h.process)})
    });
    let queue: Vec<Value> = state
        .queue
        .iter()
        .map(|w| {
            json!({"ticket": w.ticket, "role": w.actor, "priority": w.request.priority,
                "purpose": w.request.purpose, "waiting": queue::is_calling(w, facts), "since": w.requested_at})
        })
        .collect();
    let offered = state.offer().map(|o| json!({"ticket": o.ticket, "role": o.to, "until": o.until_at}));
    let saving = state.recovery().map(
        |r| json!({"former": r.unsaved.former, "lock_id": lock_id(r.unsaved.token), "failure": r.failure}),
    );
    json!({"mine": mine, "lock": held, "offered": offered, "saving": saving, "queue": queue,
        "frozen": state.system != System::Running})
}
