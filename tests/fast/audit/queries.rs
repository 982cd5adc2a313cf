//! Looking back and looking around: `cmw-audit`, `cmw why`, `cmw since`, `cmw pause`.

use crate::support::{World, assert_transcript};
use cmw::domain::event::Event;
use cmw::domain::freeze::event::FreezeEvent;
use cmw::domain::lock::event::LockEvent;
use cmw::domain::session::event::SessionEvent;
use cmw::domain::util::time::{BootId, WallTime};
use rustix::process::Signal;
use serde_json::Value;

/// A transcript in which also the days do not differ from run to run.
fn assert_looks(name: &str, text: &str) {
    let day = regex_lite::Regex::new(r"\b\d{4}-\d\d-\d\d \[HH:MM\]").unwrap();
    assert_transcript(name, &day.replace_all(text, "[DAY] [HH:MM]"));
}

#[test]
fn the_log_and_its_filters() {
    let world = World::ready();
    let text = world.transcript(|t| {
        let evil = "printf 'evil \\033[2J\\nnext: rm -rf /'";
        t.agent("Dev-A", &format!("cmw-lock acquire --files 'src/**' --purpose \"$({evil})\" --quiet"))
            .ignored();
        t.agent("Dev-B", "cmw-lock acquire --files b --quiet").ignored();
        t.agent("Dev-A", "echo x >b && git add b && git commit -qm x -- b").ignored();
        t.agent("Dev-A", "mkdir src && echo x >src/a && git add src && git commit -qm 'a: new' -- src")
            .ignored();
        t.agent("Dev-A", "cmw-lock release --quiet").ignored();
        t.agent("Dev-B", "cmw-lock acquire --files b --quiet; cmw-lock release --quiet").ignored();
        t.agent("Librarian", "cmw-freeze now --reason \"$(printf 'red \\033]0;x\\007')\" --quiet").ignored();
        t.person("cmw-freeze thaw --reason 'green again' --quiet | sed 's/after [0-9]*s/after [AGE]/'")
            .ignored();
        t.person("cmw-audit log | sed 's/after [0-9]*s/after [AGE]/'").ignored();
        t.person("cmw-audit log -n 2 --event LOCK_ --role dev_b").ignored();
        t.person("cmw-audit log --severity high").ignored();
        t.person("cmw-audit log --severity high --role User").ignored();
        t.person("cmw-audit log --since 0s").ignored();
        t.note("What was mistyped.");
        t.person("cmw-audit log --role Dev-Z").ignored();
        t.person("cmw-audit log --event LOCK_GRANTD").ignored();
        t.person("cmw-audit log --severity awful").ignored();
        t.person("cmw-audit log --since 25:00").ignored();
        t.person("cmw-audit log --since 2999-01-01 2>&1 | sed 's/it is .* now/it is [NOW] now/'").ignored();
        t.person("cmw-audit log --all --last 3").ignored();
        t.person("cmw-audit").ignored();
    });
    assert!(!text.chars().any(|c| c == '\x1b' || c == '\x07'), "{text}");
    assert_looks("audit-log", &text);
}

#[test]
fn what_hooks_noted_is_not_numbered_yet() {
    let world = World::ready();
    world.agent("Dev-A").ok("cmw-lock acquire");
    let refused = world.agent("Dev-B").fails(1, "git commit -q --allow-empty -m x");
    assert!(refused.stderr.contains("Dev-A has the write lock"), "\n{refused}");
    let before = world.files("repo/.git");
    let log = world.person().run("cmw-audit log");
    assert!(log.stderr.contains("1 more in the hooks' journal"), "\n{log}");
    assert!(world.files("repo/.git") == before, "looking writes nothing");
}

#[test]
fn a_damaged_audit_is_shown_as_far_as_it_goes() {
    let world = World::new();
    let text = world.transcript(|t| {
        t.person("cmw-audit log").ignored();
        t.person("cmw-audit log --follow").ignored();
        t.person("cmw-init --quiet").ignored();
        t.agent("Dev-A", "cmw-lock acquire --files a --quiet && cmw-lock release --quiet").ignored();
        let log = ".git/audit/write-lock-intents.json";
        t.person(&format!("cp {log} saved && sed -i 's/\"Dev-A\"/\"Dev-B\"/' {log} && cmw-audit log"))
            .ignored();
        t.person(&format!("sed 1d saved >{log} && cmw-audit log")).ignored();
        t.person(&format!("echo garbage >>{log} && cmw-audit log")).ignored();
        t.person("cmw-audit log -n 1 --json").ignored();
        t.note("A whole log is gone, or no file.");
        t.person(&format!("rm {log} && cmw-audit log")).ignored();
        t.person(&format!("ln -s /etc/passwd {log} && cmw-audit log")).ignored();
        t.note("The document is damaged: the logs are still there.");
        t.person(&format!("rm {log} && cp saved {log} && cp .git/cmw/state.json ../state.json")).ignored();
        t.person("echo garbage >.git/cmw/state.json; cmw-audit log --role Dev-A").ignored();
    });
    assert_looks("audit-damaged", &text);
}

/// The numbers at the beginning of the lines.
fn numbers(stdout: &str) -> Vec<u64> {
    stdout.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_follower_sees_each_record_once() {
    let world = World::ready();
    let (dev, person) = (world.agent("Dev-A"), world.person());
    dev.ok("cmw-lock acquire --purpose before");
    let follows = person.spawn("cmw-audit log --follow -n 1");
    follows.until_it_says("before");
    dev.ok("cmw-lock release; cmw-lock acquire --purpose then; cmw-lock release");
    follows.until_it_says("(then)").until_it_says("WL-0002 (done)");
    // A line is half there while something else is published, in a log of its own.
    let log = "repo/.git/audit/instance-registrations.log";
    dev.ok("cmw-heartbeat register --quiet");
    follows.until_it_says("INSTANCE_REGISTERED");
    let whole = world.read(log);
    world.write(log, &whole[..whole.len() - 30]);
    dev.ok("cmw-lock acquire --purpose 'half a line'");
    follows.until_it_says("half a line");
    world.write(log, whole);
    dev.ok("cmw-lock release");
    follows.until_it_says("WL-0003 (done)");
    follows.signal(Signal::TERM);
    let output = follows.wait();
    assert_eq!((output.code, output.stderr.as_str()), (143, "Terminated\n"), "\n{output}");
    assert_eq!(numbers(&output.stdout), (2..=8).collect::<Vec<u64>>(), "\n{output}");
}

#[test]
fn a_follower_ends_with_its_reader_and_sleeps_in_between() {
    let world = World::ready();
    let (dev, person) = (world.agent("Dev-A"), world.person());
    // The reader goes after one line; nothing more is published, and the follower ends all the same.
    let follows = person.spawn("cmw-audit log --follow 2>said | head -n 1; wait; cat said");
    let output = follows.wait();
    assert_eq!(output.stdout.lines().count(), 1, "\n{output}");
    let left = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null; echo; done | grep -c '^cmw-audit log --follow'";
    crate::support::agent::wait_until("the follower's end", || person.run(left).stdout.trim() == "0");
    let follows = person.spawn("cmw-audit log --json --follow --event LOCK_GRANTED");
    dev.ok("cmw-lock acquire; cmw-lock release; cmw-lock acquire");
    follows.until_it_says("WL-0002");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", follows.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    assert!(ticks < 20, "it polls: {ticks} ticks");
    follows.signal(Signal::TERM);
    let output = follows.wait();
    let records: Vec<Value> = output.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let ids: Vec<&str> = records.iter().map(|r| r["lock_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["WL-0001", "WL-0002"], "\n{output}");
}

#[test]
fn why_in_each_situation() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.person("cmw why").ignored();
        t.agent("Dev-A", "cmw-lock acquire --files 'src/**' --quiet && cmw why").ignored();
        t.agent("Dev-B", "git commit -q --allow-empty -m x").ignored();
        t.agent("Dev-B", "cmw why").ignored();
        t.agent("Dev-B", "cmw-lock acquire --quiet; cmw why").ignored();
        t.note("Of somebody else anybody may ask; what is staged outside of the claim counts too.");
        t.unidentified("cmw why dev_b; cmw-audit why Dev-A; cmw why Dev-Z").ignored();
        t.agent("Dev-A", "echo x >b && git add b && cmw why").ignored();
        t.agent("Dev-A", "git rm -q --cached b && cmw-lock release --quiet && cmw why").ignored();
        t.note("Kept for Dev-B, who is away.");
        t.agent("Dev-B", "cmw why").ignored();
        t.agent("Librarian", "cmw why; cmw why docs").ignored();
        t.unidentified("cmw why").ignored();
        t.note("Paused, frozen, without a branch.");
        t.person("cmw pause Dev-B --reason \"$(printf 'lunch \\033[2J')\"; cmw why Dev-B").ignored();
        t.person("cmw resume --quiet; cmw-freeze now --reason 'who moved main?' --quiet; cmw why").ignored();
        t.person("cmw-freeze thaw --reason ok >thawed; git switch -q --detach; cmw why; git switch -q main")
            .ignored();
        t.person("CLAUDE_ROLE=Dev-Z cmw why").ignored();
        t.person("cd / && cmw why").ignored();
    });
    assert!(!text.contains('\x1b'), "{text}");
    let offer = regex_lite::Regex::new(r"for (1m|\d+s)\b").unwrap();
    assert_looks("why", &offer.replace_all(&text, "for [LEFT]"));
}

#[test]
fn why_where_each_role_has_its_branch() {
    let world = World::ready_with(&crate::support::gits()[0], "--mode worktrees");
    world.git(&["branch", "agent/Dev-A/x"]);
    let text = world.transcript(|t| {
        t.agent("Dev-A", "git switch -q agent/Dev-A/x && cmw why").ignored();
        t.agent("Dev-B", "cmw-lock acquire --quiet; cmw why Dev-A").ignored();
        t.agent("QA-A", "cmw why").ignored();
        t.agent("Dev-A", "git switch -q main && cmw why").ignored();
        t.agent("Dev-B", "cmw why Dev-A").ignored();
        t.person("cmw-freeze now --reason red --quiet; git switch -q agent/Dev-A/x; cmw why Dev-A").ignored();
    });
    assert_looks("why-worktrees", &text);
}

#[test]
fn why_says_what_git_says() {
    let world = World::ready();
    let (a, b) = (world.agent("Dev-A"), world.agent("Dev-B"));
    a.ok("cmw-lock acquire --purpose tests && cmw-lock renew");
    let why = b.run("cmw why");
    let git = b.fails(1, "git commit -q --allow-empty -m x");
    let first = |text: &str| text.lines().find(|l| l.contains("refused: ")).unwrap().replace("cmw: ", "");
    let without_left = |line: String| line.split(" (").next().unwrap().to_owned();
    assert_eq!(without_left(first(&why.stdout)), without_left(first(&git.stderr)));
    assert_eq!(why.code, 75, "\n{why}");
    let before = world.files("repo/.git");
    let json: Value = serde_json::from_str(&b.run("cmw why --json").stdout).unwrap();
    assert!(world.files("repo/.git") == before, "looking writes nothing");
    assert_eq!((&json["code"], &json["hint"]), (&75.into(), &"cmw-lock acquire --wait 10m".into()));
    assert_eq!(json["data"]["lock"]["lock"]["holder"], "Dev-A");
    let last = json["data"]["last_refusal"]["why"].as_str().unwrap();
    assert!(last.starts_with("Dev-A has the write lock"), "{json}");
}

#[test]
fn keeping_still_and_going_on() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.person("cmw resume").ignored();
        t.person("cmw pause dev-a 'QA_A' Dev-A --reason 'the disk is full'").ignored();
        t.agent("Dev-A", "cmw-lock acquire; git commit -q --allow-empty -m x").ignored();
        t.agent("Dev-B", "cmw pause").ignored();
        t.agent("Orchestrator", "cmw pause Dev-B Dev-A").ignored();
        t.person("cmw pause Dev-C").ignored();
        t.person("cmw pause Dev-A --reason \"$(head -c 300 /dev/zero | tr '\\0' x)\"").ignored();
        t.person("cmw resume Dev-A Dev-B").ignored();
        t.person("cmw resume").ignored();
        t.note("Whoever holds the lock keeps it; all keep still.");
        t.agent("Dev-A", "cmw-lock acquire --quiet").ignored();
        t.person("cmw pause").ignored();
        t.agent("Dev-A", "cmw why").ignored();
        t.person("cmw --json resume").ignored();
        t.person("cmw puase").ignored();
        t.person("cmw help pause").ignored();
    });
    assert_looks("pause", &text);
}

#[test]
fn the_morning_after() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.person("cmw since 0s").ignored();
        t.person("cmw since").ignored();
        t.note("Two commit, one is refused three times, one crashes and leaves work behind.");
        let commit = |n: u32| format!("echo {n} >>f{n} && git add f{n} && git commit -qm 'part {n}' -- f{n}");
        t.agent("Dev-A", &format!("{}; {}", commit(1), commit(2))).ignored();
        t.agent("QA-A", &commit(3)).ignored();
        t.agent("Dev-A", "cmw-lock acquire --files a --quiet && echo half >>a").ignored();
        let again = "for n in 1 2 3; do git commit -q --allow-empty -m x 2>>said; done";
        t.agent("Docs", again).ignored();
        t.agent("Docs", "cmw-lock cancel").ignored();
        world.agent("Dev-A").kill();
        t.agent("Dev-B", "cmw-lock acquire --purpose next --quiet").ignored();
        t.agent("QA-A", "cmw-lock acquire --quiet").ignored();
        t.agent("QA-A", "cmw-send User --priority high --subject \"$(printf 'help \\033[2J')\" x >id")
            .ignored();
        t.person("cmw since").ignored();
        t.agent("QA-A", "cmw since 20h | tail -n 1").ignored();
        t.note("Frozen: that comes first.");
        t.agent("Librarian", "cmw-freeze now --reason 'who moved main?' --quiet").ignored();
        t.person("cmw since 1h | sed -n '2,3p;$p'").ignored();
        t.person("cmw since tomorrow").ignored();
        t.person("cmw-freeze thaw --reason 'it was me' --quiet >thawed; cmw since 1h | sed -n '2p;$p'")
            .ignored();
        t.person("rm .git/audit/write-lock-intents.json; cmw since 8h").ignored();
    });
    assert!(!text.contains('\x1b'), "{text}");
    let stamp = regex_lite::Regex::new(r"\b\d{8}T\d{6}Z").unwrap();
    let text = stamp.replace_all(&text, "[STAMP]");
    let text = regex_lite::Regex::new(r"\b\d+s ago").unwrap().replace_all(&text, "[AGE] ago").into_owned();
    let text =
        regex_lite::Regex::new(r"for (1m|\d+s)\b").unwrap().replace_all(&text, "for [LEFT]").into_owned();
    let id = regex_lite::Regex::new(r"(mail      |          )[0-9A-Z]{8} ").unwrap();
    assert_looks("since", &id.replace_all(&text, "$1[ID] "));
}

#[test]
fn the_morning_for_programs() {
    let world = World::ready();
    world.agent("Dev-A").ok("echo x >f && git add f && git commit -qm 'a: b' -- f");
    world.agent("Dev-A").ok("cmw-lock acquire --files a");
    world.agent("Dev-B").fails(1, "git commit -q --allow-empty -m x").ignored();
    world.agent("Dev-B").ok("cmw-send User --subject hello there >id");
    let before = world.files("repo/.git");
    for line in ["cmw since 8h --json", "cmw --json since 8h", "cmw --repo . since 8h --json"] {
        let all: Value = serde_json::from_str(&world.person().ok(line)).unwrap();
        let data = &all["data"];
        assert_eq!(data["landed"][0]["who"], "Dev-A");
        assert_eq!((&data["landed"][0]["commits"], &data["landed"][0]["files"]), (&1.into(), &1.into()));
        assert_eq!(data["landed"][0]["newest"]["subject"], "a: b");
        assert_eq!(data["refused"][0]["reason"], "Dev-A has the write lock");
        assert_eq!((&data["unread"], &data["mail"][0]["subject"]), (&1.into(), &"hello".into()));
        assert_eq!((&data["lock"]["lock"]["holder"], &all["hint"]), (&"Dev-A".into(), &"cmw-inbox".into()));
    }
    assert!(world.files("repo/.git") == before, "looking claims and writes nothing");
}

/// Makes the audit longer by as many records, as if they had happened in this repository.
fn lengthen(world: &World, count: u64) {
    use cmw::store::Store;
    use cmw::store::audit::log;
    use cmw::store::disk::RealDisk;
    use cmw::store::document::Outbox;
    let store = Store::new(RealDisk::open(&world.at("repo/.git")).unwrap());
    let document = store.document().unwrap();
    let by = cmw::domain::identity::actor::Actor::System;
    let events = (0..count).map(|n| match n % 3 {
        0 => Event::Lock(LockEvent::LockRefused {
            who: by.clone(),
            action: "acquire".to_owned(),
            why: format!("reason {n}"),
        }),
        1 => Event::Freeze(FreezeEvent::InstancesResumed { roles: Vec::new() }),
        _ => Event::Session(SessionEvent::InitializationVerified { findings: vec!["x".repeat(200)] }),
    });
    let mut long =
        document.followed_by(events.collect(), document.journal_read, WallTime(1_795_536_300_000), &by);
    log::append_missing(store.disk(), &document.outbox.records).unwrap();
    log::append_missing(store.disk(), &long.outbox.records).unwrap();
    long.outbox =
        Outbox { records: long.outbox.records.split_off(long.outbox.records.len() - 1), ..Outbox::default() };
    long.publish(store.disk(), &BootId("b".to_owned())).unwrap();
}

#[test]
fn the_end_of_a_long_audit_costs_little() {
    let world = World::ready();
    lengthen(&world, 20_000);
    let logs = ["write-lock-intents.json", "orchestrator-decisions.log", "orchestrator-startup.log"];
    let bytes: u64 =
        logs.iter().map(|log| world.at(&format!("repo/.git/audit/{log}")).metadata().unwrap().len()).sum();
    assert!(bytes > 5_000_000, "{bytes}");
    let read = "sed -n 's/^rchar: //p' /proc/$$/io";
    let said = world.person().ok(&format!("{read}; cmw-audit log; {read}"));
    let lines: Vec<&str> = said.lines().collect();
    let [before, after] = [lines[0], lines[lines.len() - 1]].map(|n| n.parse::<u64>().unwrap());
    assert!(after - before < 1_000_000, "{} bytes were read", after - before);
    assert_eq!(lines.len(), 52, "fifty are shown");
    assert!(lines[50].starts_with("20001 "), "{}", lines[50]);
    let all = world.person().ok("cmw-audit log --all | wc -l; cmw-audit log --event POLICY | head -c 2");
    assert_eq!(all.split_ascii_whitespace().collect::<Vec<_>>(), ["20001", "1"]);
}
