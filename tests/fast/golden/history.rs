//! A long history of commands, hooks, messages and signs of life on a disk in memory: every file of it.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use cmw::domain::command::{Caller, Command, RescueOutcome};
use cmw::domain::facts::Facts;
use cmw::domain::freeze::pins::{PinFindings, PinId, PinRequest};
use cmw::domain::health::command::HealthCommand;
use cmw::domain::health::incident::ProcessEnd;
use cmw::domain::identity::actor::Actor;
use cmw::domain::identity::actor::Mailbox;
use cmw::domain::identity::role::Role;
use cmw::domain::mail::id::MessageId;
use cmw::domain::mail::message::Draft;
use cmw::domain::mail::priority::Priority;
use cmw::domain::mail::receipt::WorkOutcome;
use cmw::domain::policy::checks::Check;
use cmw::domain::policy::checks::Level;
use cmw::domain::util::time::{BootTime, WallTime};
use cmw::domain::work::command::{AssignTo, WorkCommand};
use cmw::store::audit::{journal, log};
use cmw::store::disk::Disk;
use cmw::store::guard::edits;
use cmw::store::health::{clients, heartbeats, monitor};
use cmw::store::mail::inbox::Inbox;
use cmw::store::mail::mailbox::deliver;
use cmw::store::mail::registry::Registry;
use cmw::store::work::task_bodies;
use cmw::store::{Store, TransactionEnv, compat_views, last_run, layout};
use serde::de::DeserializeOwned;

use super::{compare, golden};
use crate::crash_disk::CrashDisk;
use crate::support::cast::{ROLES, askers, boot, facts, new_state, process, request};

/// Which of [`askers`].
const ORCHESTRATOR: usize = 0;
const DEV_A: usize = 1;
const DEV_B: usize = 2;
const USER: usize = 3;

/// 16 November 2025 at 23:00 UTC.
const START: i64 = 1_763_334_000_000;

fn role(i: usize) -> Role {
    Role::parse(ROLES[i]).unwrap()
}

/// A line of a golden file, as the record that it is.
fn line<T: DeserializeOwned>(file: &str, n: usize) -> T {
    serde_json::from_str(golden(file).lines().nth(n).unwrap()).unwrap()
}

/// A repository whose clock stands still between two steps.
struct Scene {
    store: Store<CrashDisk>,
    ms: Cell<u64>,
    random: Cell<u128>,
    dead: BTreeSet<u32>,
    endings: BTreeMap<u32, ProcessEnd>,
    outcomes: String,
}

impl Scene {
    fn new() -> Self {
        let store = Store::new(CrashDisk::new());
        let scene = Self {
            store,
            ms: Cell::new(1_000),
            random: Cell::new(0),
            dead: BTreeSet::new(),
            endings: BTreeMap::new(),
            outcomes: String::new(),
        };
        scene.store.create(new_state(), &scene.facts().now, &askers()[USER].0.actor).unwrap();
        scene
    }

    fn disk(&self) -> &CrashDisk {
        self.store.disk()
    }

    fn facts(&self) -> Facts {
        let ms = self.ms.get();
        let dead = self.dead.iter().map(|pid| process(*pid)).collect();
        let endings = self.endings.iter().map(|(pid, how)| (process(*pid), *how)).collect();
        Facts { endings, ..facts(ms, START + i64::try_from(ms).unwrap(), &dead) }
    }

    fn wall(&self) -> WallTime {
        self.facts().now.wall
    }

    fn moment(&self) -> BootTime {
        self.facts().now.boot
    }

    /// Brings the views up to date, and keeps the one of the lock.
    fn view(&mut self) {
        compat_views::refresh(self.disk(), &|_| self.facts()).unwrap();
        let view = self.disk().read(layout::LOCK_VIEW, u64::MAX).unwrap().unwrap();
        self.outcomes.push_str(&String::from_utf8(view).unwrap());
    }

    /// Runs a command a second later.
    fn run(&mut self, who: usize, command: &Command) {
        self.run_as(&askers()[who].0, command);
    }

    fn run_as(&mut self, asker: &Caller, command: &Command) {
        self.ms.set(self.ms.get() + 1_000);
        let random = || {
            self.random.set(self.random.get() + 1);
            self.random.get()
        };
        let world = TransactionEnv { facts: &|_| self.facts(), random: &random };
        let done = self.store.transact(asker, command, world).unwrap();
        let how = if done.outcome.is_ok() { "ok" } else { "refused" };
        let tags: Vec<String> = done.events.iter().map(tag).collect();
        writeln!(self.outcomes, "{how} {}", tags.join(" ")).unwrap();
    }
}

/// What an event is called on disk.
fn tag(event: &cmw::domain::event::Event) -> String {
    serde_json::to_value(event).unwrap()["event"].as_str().unwrap().to_owned()
}

fn acquire(i: usize, priority: Priority) -> Command {
    Command::Acquire { request: request(priority), caller: Some(askers()[i].1.clone()), stand_in: None }
}

fn saved(token: u64) -> Command {
    let (reference, skipped) = (Some("refs/cmw/rescue/x".to_owned()), vec!["big.bin: too big".to_owned()]);
    Command::Rescued {
        token,
        outcome: RescueOutcome::Saved { reference, files: 2, skipped, unstaged: Vec::new() },
    }
}

fn assign(to: usize, body: Option<String>, after: Vec<u64>) -> Command {
    let (to, title) = (AssignTo::Role(role(to)), "Write the parser".to_owned());
    let (priority, reviewers) = (Priority::High, vec![role(ORCHESTRATOR)]);
    Command::Work(WorkCommand::Assign { to, title, body, priority, after, reviewers })
}

/// A session, its instances, their first beats and clients.
fn begin(scene: &mut Scene) {
    let (socket, server, agent) = (Some("s1".to_owned()), process(50), Some("claude".to_owned()));
    let name = "claude-multi".to_owned();
    scene.run(USER, &Command::SessionUp { name, socket, server, agent });
    let panes = (0..3).map(|i| (role(i), askers()[i].0.process.clone(), format!("%{i}"))).collect();
    scene.run(USER, &Command::Launch(panes));
    for i in 0..3 {
        scene.run(i, &Command::Register);
        heartbeats::write(scene.disk(), &role(i), &line("beats.jsonl", i % 2)).unwrap();
        clients::write(scene.disk(), &role(i), &line("clients.jsonl", i)).unwrap();
    }
    scene.run(ORCHESTRATOR, &Command::VerifyInitialization(vec!["no Librarian".to_owned()]));
    edits::append(scene.disk(), &[line("edits.jsonl", 0), line("edits.jsonl", 1)]).unwrap();
    monitor::write_monitor_record(scene.disk(), &line("watchers.jsonl", 0)).unwrap();
    monitor::write_pane_end(scene.disk(), "%1", &line("ended.jsonl", 1)).unwrap();
    monitor::write_notify_cursor(scene.disk(), &line("told.jsonl", 0)).unwrap();
    for file in [layout::PATROL, layout::MAIL_PATROL, layout::MONITOR_PATROL] {
        assert!(last_run::is_due(scene.disk(), file, &scene.moment(), 1));
    }
}

/// The lock goes round: queue, offers, handover, force, commits, recovery.
fn lock(scene: &mut Scene) {
    scene.run(DEV_A, &acquire(DEV_A, Priority::Normal));
    scene.run(DEV_B, &acquire(DEV_B, Priority::High));
    scene.run(DEV_A, &Command::Renew);
    scene.view();
    scene.run(DEV_B, &Command::Release { token: None });
    scene.run(DEV_A, &Command::Handover(role(DEV_B)));
    scene.run(DEV_A, &Command::Acquire { request: request(Priority::Low), caller: None, stand_in: None });
    scene.run(DEV_B, &Command::Release { token: Some(2) });
    scene.ms.set(scene.ms.get() + 70_000);
    scene.run(ORCHESTRATOR, &Command::Observe(Vec::new()));
    scene.run(DEV_A, &Command::Cancel);
    scene.run(DEV_A, &Command::Commit { request: request(Priority::Normal), git: process(60) });
    journal::append(scene.disk(), &(0..10).map(|n| line("journal.jsonl", n)).collect::<Vec<_>>()).unwrap();
    scene.dead.insert(60);
    scene.run(DEV_B, &acquire(DEV_B, Priority::Normal));
    scene.run(ORCHESTRATOR, &Command::ForceRelease { reason: "it hangs".to_owned() });
    let token = scene.store.document().unwrap().state.last.token;
    let failed = Command::Rescued { token, outcome: RescueOutcome::Failed { why: "disk full".to_owned() } };
    scene.run(ORCHESTRATOR, &failed);
    scene.run(ORCHESTRATOR, &saved(token));
    scene.run(DEV_A, &acquire(DEV_A, Priority::Normal));
    scene.run(USER, &Command::ForceRelease { reason: "again".to_owned() });
    scene.run(USER, &Command::AbandonRescue { reason: "nothing of worth".to_owned() });
    scene.run(USER, &Command::SelfTest { held: true, what: "refused".to_owned() });
    scene.run(USER, &Command::Adopt { ids: vec![1], reason: "mine".to_owned() });
}

/// Pauses, policy, freezes with pins, a broken glass.
fn stops(scene: &mut Scene) {
    scene.run(USER, &Command::Pause { roles: vec![role(DEV_A)], reason: "lunch".to_owned() });
    scene.run(DEV_A, &acquire(DEV_A, Priority::Normal));
    scene.run(USER, &Command::Resume { roles: Vec::new() });
    let mut policy = scene.store.document().unwrap().state.policy;
    policy.session = "other".to_owned();
    scene.run(USER, &Command::SetPolicy(Box::new(policy.clone())));
    policy.checks.set(Check::Claims, Level::Warn);
    scene.run(DEV_A, &Command::SetPolicy(Box::new(policy.clone())));
    scene.run(USER, &Command::SetPolicy(Box::new(policy)));
    let (former, adopted) = ("cmw/hooks".to_owned(), ".husky".to_owned());
    scene.run(USER, &Command::AdoptHooks { former, adopted, hooks: vec!["pre-commit".to_owned()] });
    scene.run(DEV_A, &acquire(DEV_A, Priority::Normal));
    scene.run(USER, &Command::Freeze { reason: "stop".to_owned(), pins: None });
    let wish: PinRequest = serde_json::from_str(r#"{"freeze":"F","refs":["refs/heads/main"]}"#).unwrap();
    let main = wish.refs[0].clone();
    scene.run(USER, &Command::Freeze { reason: "harder".to_owned(), pins: Some(wish) });
    let (id, none) =
        (PinId { dev: 1, ino: 2 }, PinFindings { freeze: "F".to_owned(), ..PinFindings::default() });
    let set = BTreeMap::from([(main.clone(), id)]);
    scene.run(ORCHESTRATOR, &Command::Pinned(PinFindings { set, ..none.clone() }));
    let vanished = vec![(main.clone(), id)];
    scene.run(ORCHESTRATOR, &Command::Pinned(PinFindings { vanished, ..none.clone() }));
    scene.run(DEV_A, &acquire(DEV_A, Priority::Normal));
    scene.run(USER, &Command::Thaw { reason: "go".to_owned() });
    scene.run(ORCHESTRATOR, &Command::Pinned(PinFindings { removed: vec![main], ..none }));
    scene.run(USER, &Command::BreakGlass { reason: "rescue".to_owned(), for_ms: 60_000 });
    scene.run(USER, &Command::EndGlass);
    scene.run(USER, &Command::BreakGlass { reason: "again".to_owned(), for_ms: 500 });
    let token = scene.store.document().unwrap().state.last.token;
    scene.run(USER, &saved(token));
}

/// Work, limits, crashes, restarts, a lost session.
fn lives(scene: &mut Scene) {
    let body = task_bodies::keep(scene.disk(), "All of the text\nof a task.\n").unwrap();
    scene.run(USER, &assign(DEV_A, Some(body), Vec::new()));
    scene.run(ORCHESTRATOR, &assign(DEV_B, None, vec![1]));
    scene.run(USER, &assign(DEV_A, None, Vec::new()));
    scene.run(DEV_A, &Command::Work(WorkCommand::Start(1)));
    scene.run(DEV_A, &Command::Work(WorkCommand::Done { id: 1, note: "well".to_owned() }));
    scene.run(USER, &Command::Work(WorkCommand::Cancel { id: 2, reason: "no need".to_owned() }));
    let reassign =
        WorkCommand::Reassign { id: 3, to: AssignTo::Role(role(DEV_B)), reason: "busy".to_owned() };
    scene.run(ORCHESTRATOR, &Command::Work(reassign));
    let stale = vec![(role(DEV_B), "no beat".to_owned())];
    scene.run(USER, &Command::Care(HealthCommand::Seen { stale, well: Vec::new() }));
    scene.run(USER, &Command::Care(HealthCommand::Seen { stale: Vec::new(), well: vec![role(DEV_B)] }));
    scene.run(DEV_B, &acquire(DEV_B, Priority::Normal));
    let until = Some(WallTime(scene.wall().0 + 600_000));
    scene.run(DEV_B, &Command::Care(HealthCommand::Park { role: role(DEV_B), until }));
    scene.run(DEV_B, &Command::Care(HealthCommand::Unpark(role(DEV_B))));
    let token = scene.store.document().unwrap().state.last.token;
    scene.run(USER, &saved(token));
    scene.run(DEV_B, &acquire(DEV_B, Priority::Normal));
    scene.dead.insert(12);
    scene.endings.insert(12, ProcessEnd::Signal(9));
    scene.run(USER, &Command::Observe(Vec::new()));
    let again = Caller { process: process(82), ..askers()[DEV_B].0.clone() };
    for failure in [None, Some("it ended again".to_owned()), Some("no".to_owned()), Some("no".to_owned())] {
        scene.ms.set(scene.ms.get() + 61_000);
        let begin = HealthCommand::Begin { role: Some(role(DEV_B)), program: process(70) };
        scene.run(USER, &Command::Care(begin));
        if failure.is_none() {
            let panes = vec![(role(DEV_B), process(82), "%8".to_owned())];
            scene.run(USER, &Command::Launch(panes));
            scene.run_as(&again, &Command::Register);
            scene.run(USER, &Command::Care(HealthCommand::End { role: Some(role(DEV_B)), failure: None }));
            scene.dead.insert(82);
            scene.run(USER, &Command::Observe(Vec::new()));
            continue;
        }
        scene.run(USER, &Command::Care(HealthCommand::End { role: Some(role(DEV_B)), failure }));
    }
    scene.run(USER, &Command::Care(HealthCommand::Stopping(vec![role(ORCHESTRATOR)])));
    scene.run(USER, &Command::Shutdown(role(ORCHESTRATOR)));
    scene.dead.insert(50);
    scene.run(USER, &Command::Observe(Vec::new()));
    scene.dead.insert(11);
    scene.run(USER, &Command::Observe(Vec::new()));
    let program = Caller { actor: Actor::System, process: process(71) };
    let begin = HealthCommand::Begin { role: None, program: program.process.clone() };
    scene.run_as(&program, &Command::Care(begin));
    let (name, server) = ("claude-multi".to_owned(), process(51));
    scene.run_as(&program, &Command::SessionUp { name, socket: None, server, agent: None });
    let panes = vec![(role(DEV_A), process(81), "%9".to_owned())];
    scene.run_as(&program, &Command::Launch(panes));
    let back = Caller { process: process(81), ..askers()[DEV_A].0.clone() };
    scene.run_as(&back, &Command::Register);
    scene.run_as(&program, &Command::Care(HealthCommand::End { role: Some(role(DEV_A)), failure: None }));
    scene.run(USER, &Command::SessionDown);
}

/// Messages of the roles themselves, taken up, acknowledged, told, and not seen in time.
fn mail(scene: &Scene) {
    // The second message closes the segment.
    let whole = Registry::new(scene.disk(), boot());
    let registry = Registry::new(scene.disk(), boot()).with_segment_bytes(1);
    for n in 0..2 {
        let mut draft: Draft = line("messages.jsonl", n);
        draft.id = MessageId::from_parts(START, u128::try_from(n).unwrap() + 9_000);
        let sealed = draft.seal().unwrap();
        let registry = if n == 0 { &whole } else { &registry };
        let seqs = registry.append(std::slice::from_ref(&sealed)).unwrap();
        assert!(deliver(scene.disk(), &[sealed.numbered(seqs[0])]).is_empty());
    }
    let now = scene.wall();
    let inbox = Inbox::open(&registry, Mailbox::Role(role(DEV_B)));
    let first = inbox.claim_next("s1", now).unwrap().message.unwrap();
    inbox.ack(first.draft.id, WorkOutcome::Done, "", "s1", now).unwrap();
    let second = inbox.list(now).unwrap().messages[0].envelope.draft.id;
    inbox.claim(second, "s1", now).unwrap();
    inbox.ack(second, WorkOutcome::Failed, "it cannot be done", "s1", now).unwrap();
    let other = Inbox::open(&registry, Mailbox::Role(role(DEV_A)));
    let waiting = other.list(now).unwrap().messages;
    other.mark_announced(&[&waiting[0].envelope], &[&waiting[1].envelope], "s2", "hook", now).unwrap();
    other.mark_undelivered(&[waiting[2].envelope.clone()], "no session", now).unwrap();
    Inbox::open(&registry, Mailbox::User).list(now).unwrap();
}

/// Every file below a directory, with its bytes; what is no text as hexadecimal digits.
fn files(disk: &CrashDisk, dir: &str, out: &mut String) {
    for name in disk.list(dir).unwrap() {
        let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
        match disk.read(&path, u64::MAX) {
            Ok(bytes) => {
                let bytes = bytes.unwrap();
                writeln!(out, "=== {path}, {} bytes", bytes.len()).unwrap();
                match String::from_utf8(bytes) {
                    Ok(text) if !text.contains('\0') => {
                        // Soft records are padded with blanks, which their length tells.
                        text.lines().for_each(|line| writeln!(out, "{}", line.trim_end()).unwrap());
                    }
                    Ok(text) => out.push_str(&hex(text.as_bytes())),
                    Err(e) => out.push_str(&hex(e.as_bytes())),
                }
            }
            Err(_) => files(disk, &path, out),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for row in bytes.chunks(32) {
        row.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
    }
    text
}

/// The same without words and what follows from them (digests, lengths): a text may change, and then only
/// `history.txt` may differ.
fn without_words(all: &str) -> String {
    let keep = |part: &&str| !part.starts_with("cmw/registry/");
    let kept: Vec<&str> = all.split("=== ").filter(keep).collect();
    let words = |found: &regex_lite::Captures<'_>| {
        if found[0].contains(' ') { "\"…\"".to_owned() } else { found[0].to_owned() }
    };
    let string = regex_lite::Regex::new(r#""(?:[^"\\\n]|\\.)*""#).unwrap();
    let mut text = string.replace_all(&kept.join("=== "), words).into_owned();
    for (pattern, with) in [
        (r"\b[0-9a-f]{64}\b", "#"),
        (r"(?m)^[0-9a-f]{16} ", "# "),
        (r"(?m), \d+ bytes$", ""),
        (r#""journal_read":\d+"#, "\"journal_read\":0"),
        (r#""journal_end":\d+"#, "\"journal_end\":0"),
    ] {
        text = regex_lite::Regex::new(pattern).unwrap().replace_all(&text, with).into_owned();
    }
    text
}

#[test]
fn a_history_leaves_the_same_files() {
    let mut scene = Scene::new();
    begin(&mut scene);
    lock(&mut scene);
    stops(&mut scene);
    lives(&mut scene);
    mail(&scene);
    compat_views::refresh(scene.disk(), &|_| scene.facts()).unwrap();
    let document = scene.store.document().unwrap();
    let records = log::read_all(scene.disk()).unwrap();
    log::verify(&records, &document.head).unwrap();
    let mut all = String::new();
    files(scene.disk(), "", &mut all);
    compare("history-events.txt", &scene.outcomes);
    compare("history-without-words.txt", &without_words(&all));
    compare("history.txt", &all);
}
