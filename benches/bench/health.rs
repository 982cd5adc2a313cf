//! Owns the rows of looking at many instances at once.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use cmw::adapters::os::{clock, process};
use cmw::domain::event::Event;
use cmw::domain::health::client::{Activity, Client};
use cmw::domain::identity::actor::{Actor, Mailbox};
use cmw::domain::mail::id::MessageId;
use cmw::domain::mail::message::{Body, Draft, SealedMessage};
use cmw::domain::session::event::SessionEvent;
use cmw::store::disk::RealDisk;
use cmw::store::document::Document;
use cmw::store::health::clients;
use cmw::store::health::heartbeats::{self, Heartbeat};
use cmw::store::mail::mailbox;
use cmw::store::mail::registry::Registry;

use super::round::Bench;
use super::table::verdict;
use super::yard::Yard;
use super::{Options, Result};

/// How many instances.
const INSTANCES: usize = 1_000;
/// How many messages wait for each.
const MESSAGES: u64 = 3;
/// How long looking at all of them may take, in microseconds.
const LOOK_US: f64 = 50_000.0;

/// How long a monitor is watched: at least three of its looks.
const WATCHED: Duration = Duration::from_secs(100);
/// How much of a core it may take, in percent.
const MONITOR_SHARE: f64 = 0.2;

/// Adds them.
pub(crate) fn health(bench: &mut Bench, options: &Options) -> Result<()> {
    let count = INSTANCES.to_string();
    let yard = Yard::ready(options, "health", 10, &["--roles", &count, "--quiet"])?;
    crowd(&yard.git_dir())?;
    for (name, args) in
        [("health, 1,000 instances, JSON", &["--json"][..]), ("health, 1,000 instances, table", &[])]
    {
        bench.programs(name, vec![yard.tool("cmw-health", args)], || Ok(()));
        let typed = format!("cmw-health {}", args.join(" "));
        bench.within("health", name, LOOK_US, typed.trim_end());
    }
    Ok(())
}

/// Registers every role of a repository, with a beat, a client that works, and mail that waits. They all are
/// this process, which lives.
pub(crate) fn crowd(git_dir: &Path) -> Result<()> {
    let disk = RealDisk::open(git_dir)?;
    let (now, me) = (clock::now(), process::current());
    let document = Document::load(&disk)?;
    let members = document.state.policy.roster.members().to_vec();
    let registered = members.iter().map(|member| {
        Event::Session(SessionEvent::InstanceRegistered {
            role: member.role.clone(),
            process: me.clone(),
            pane: member.pane,
        })
    });
    document
        .followed_by(registered.collect(), document.journal_read, now.wall, &Actor::System)
        .publish(&disk, &clock::boot_id())?;
    let registry = Registry::new(&disk, clock::boot_id());
    for member in &members {
        let task = Some(format!("write part {} of the parser", member.pane));
        let (beat, active) = (now.boot.clone(), now.boot.clone());
        heartbeats::write(
            &disk,
            &member.role,
            &Heartbeat { at: now.wall, beat, active, task, process: me.clone() },
        )?;
        fs::create_dir_all(git_dir.join(format!("cmw/clients/{}", member.role)))?;
        clients::write(&disk, &member.role, &client(&me, &now))?;
        let mailbox = Mailbox::Role(member.role.clone());
        let sealed = (0..MESSAGES).map(|n| {
            let id = MessageId::from_parts(now.wall.0, u128::from(member.pane) * 1_000 + u128::from(n));
            let to = member.role.to_string();
            let mut draft = Draft::new(id, Actor::User, to, vec![mailbox.clone()], now.wall);
            draft.subject = format!("message {n}");
            draft.body = Body::text("a few words, as such messages are")?;
            draft.seal()
        });
        let sealed: Vec<SealedMessage> = sealed.collect::<std::result::Result<_, _>>()?;
        let numbers = registry.append(&sealed)?;
        let envelopes: Vec<_> =
            sealed.iter().zip(numbers).map(|(sealed, seq)| sealed.numbered(seq)).collect();
        if let Some((mailbox, error)) = mailbox::deliver(&disk, &envelopes).into_iter().next() {
            return Err(format!("{mailbox}: {error}").into());
        }
    }
    Ok(())
}

/// Lets a monitor watch over twelve instances that do nothing, and prints how much of a core it takes.
pub(crate) fn print_monitor(options: &Options, out: &mut impl Write) -> Result<()> {
    let yard = Yard::ready(options, "monitor", 10, &["--roles", "12", "--quiet"])?;
    crowd(&yard.git_dir())?;
    let mut monitor = yard.tool("cmw-health", &["monitor"]).spawn()?;
    // Its first look is no part of it.
    std::thread::sleep(Duration::from_secs(3));
    let (before, began) = (ticks(monitor.id())?, Instant::now());
    std::thread::sleep(WATCHED);
    let (used, lasted) = (ticks(monitor.id())? - before, began.elapsed());
    monitor.kill()?;
    monitor.wait()?;
    let share = f64::from(used) / lasted.as_secs_f64();
    writeln!(
        out,
        "\nmonitor of 12 instances that do nothing, {} s: {used} hundredths of a second, {share:.2} % of a core; \
         goal ≤ {MONITOR_SHARE} %: {}",
        lasted.as_secs(),
        verdict(share <= MONITOR_SHARE)
    )?;
    Ok(())
}

/// How much time a process has taken, in hundredths of a second: the unit of `/proc` on Linux.
fn ticks(pid: u32) -> Result<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = after.split_whitespace().collect();
    let field = |at: usize| -> Result<u32> { Ok(fields.get(at).ok_or("stat has other fields")?.parse()?) };
    Ok(field(11)? + field(12)?)
}

fn client(me: &cmw::domain::session::process::Process, now: &cmw::domain::util::time::Now) -> Client {
    Client {
        adapter: "claude".to_owned(),
        session: "0f9b2b1e-7c55-4d4e-9a53-000000000000".to_owned(),
        transcript: None,
        process: me.clone(),
        activity: Activity::Working,
        since: now.wall,
        since_boot: now.boot.clone(),
        told: 0,
        ahead: Vec::new(),
        waiter: None,
    }
}
