//! Bad input, damaged files, full disks: what is said, how it ends, that nothing is lost, and that
//! the next correct command works.

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Output, World};

const STATE: &str = "repo/.git/cmw/state.json";
const INTENTS: &str = "repo/.git/audit/write-lock-intents.json";
const JOURNAL: &str = "repo/.git/audit/journal.jsonl";

/// A repository in which something has happened: a lease, a commit under it, a beat.
fn lived_in() -> World {
    let world = World::ready_with(&crate::support::gits()[0], "--roles 4");
    world.agent("Dev-A").ok("cmw-heartbeat register && cmw-lock acquire --files a");
    world.agent("Dev-A").ok("echo x >>a && git commit -q -a -m x && cmw-lock release");
    world.write("victim", "precious\n");
    world
}

/// All files of ours except what is written without being told: views and lock files.
fn ours(world: &World) -> BTreeMap<String, Vec<u8>> {
    let mut files = world.files("repo/.git");
    let soft = ["locks/", "instance-registry.json", "cmw/beats/"];
    files.retain(|name, _| !name.ends_with(".lock") && !soft.iter().any(|s| name.starts_with(s)));
    files
}

/// A text that says what is wrong and ends in something to type, and no panic.
#[track_caller]
fn is_well_said(output: &Output) {
    let text = &output.stderr;
    assert!(!text.contains("panicked") && output.code != 101, "\n{output}");
    assert!(text.lines().last().is_some_and(|l| l.starts_with("next: ")), "no remedy:\n{output}");
    assert!(text.lines().count() <= 4, "too long:\n{output}");
    assert!(!text.contains('\x1b'), "\n{output}");
}

/// The commands that need the state.
const COMMANDS: [&str; 5] =
    ["cmw-lock status", "cmw-lock acquire", "cmw-heartbeat beat", "cmw-init", "cmw-lock run -- touch ran"];

/// What a state file can have become: a script in which `$S` is the file, and the exit code.
const STATES: &[(&str, &str, i32)] = &[
    ("one byte", "printf '{' >$S", 65),
    ("truncated early", "truncate -s 40 $S", 65),
    ("truncated in the middle", "truncate -s $(($(stat -c %s $S) / 2)) $S", 65),
    ("without its last byte", "truncate -s -2 $S", 65),
    ("empty", ": >$S", 65),
    ("zeros", "n=$(stat -c %s $S); head -c $n /dev/zero >$S", 65),
    ("garbage", "head -c 5000 /dev/urandom >$S", 65),
    ("something behind it", "echo '{}' >>$S", 65),
    ("a byte order mark", "{ printf '\\357\\273\\277'; cat $S; } >x && cat x >$S && rm x", 65),
    ("another shape", "echo '[1,2,3]' >$S", 65),
    ("an unknown field", "sed -i 's/{\"format\"/{\"more\":1,\"format\"/' $S", 65),
    ("a field twice", "sed -i 's/{\"format\"/{\"seq\":1,\"format\"/' $S", 65),
    ("a number out of range", "sed -i 's/\"seq\": *[0-9]*/\"seq\":1e999/' $S", 65),
    ("too deep", "head -c 100000 /dev/zero | tr '\\0' '[' >$S", 65),
    ("too large", "head -c 5000000 /dev/zero | tr '\\0' ' ' >>$S", 65),
    ("newer", "sed -i 's/\"format\":1/\"format\":2/' $S", 78),
    ("missing", "rm $S", 65),
    ("a directory", "rm $S; mkdir $S", 65),
    ("a pipe", "rm $S; mkfifo $S", 65),
    ("a link", "rm $S; ln -s ../../../victim $S", 65),
    ("an absolute link", "rm $S; ln -s $HOME/../victim $S", 65),
    ("a device", "rm $S; ln -s /dev/zero $S", 65),
];

#[test]
fn a_damaged_state_is_reported_and_left_alone() {
    let world = lived_in();
    let dev = world.agent("Dev-A");
    let good = std::fs::read(world.at(STATE)).unwrap();
    for (what, damage, code) in STATES {
        dev.ok(&format!("S=.git/cmw/state.json; {damage}"));
        let before = ours(&world);
        for line in COMMANDS {
            let start = Instant::now();
            // The person sets up; a role would be refused before anything is read.
            let who = if line == "cmw-init" { world.person() } else { dev.clone() };
            let output = who.run(line);
            assert_eq!(output.code, *code, "{what}\n{output}");
            is_well_said(&output);
            assert!(start.elapsed() < Duration::from_secs(10), "{what} made it wait:\n{output}");
        }
        assert_eq!(ours(&world), before, "{what}: something was changed");
        assert!(!world.at("repo/ran").exists());
        assert_eq!(world.read("victim"), "precious\n", "{what}");
        dev.ok("rm -rf .git/cmw/state.json");
        world.write(STATE, &good);
        dev.ok("cmw-lock acquire && cmw-lock release");
        world.write(STATE, &good);
        // The audit has more than the state knows now; both are put back.
        for (name, bytes) in before.iter().filter(|(name, _)| name.starts_with("audit/")) {
            world.write(&format!("repo/.git/{name}"), bytes);
        }
    }
}

#[test]
fn a_state_of_another_user_is_not_trusted() {
    let world = lived_in();
    let dev = world.agent("Dev-A");
    if dev.run("chown 12345 .git/cmw/state.json").code == 0 {
        let before = ours(&world);
        let output = dev.run("cmw-lock acquire");
        assert_eq!(output.code, 77, "\n{output}");
        is_well_said(&output);
        assert_eq!(ours(&world), before);
        dev.ok("chown $(id -u) .git/cmw/state.json");
    } else {
        // Only root can give files away; any other user can forbid itself to read.
        dev.ok("chmod 000 .git/cmw/state.json");
        let output = dev.run("cmw-lock acquire");
        assert_eq!(output.code, 77, "\n{output}");
        is_well_said(&output);
        dev.ok("chmod 600 .git/cmw/state.json");
    }
    dev.ok("cmw-lock acquire");
}

#[test]
fn a_link_in_place_of_a_file_of_ours_is_never_followed() {
    for file in ["cmw/state.lock", "cmw/journal.lock", "cmw/state.json.tmp", "audit/write-lock-intents.json"]
    {
        let world = lived_in();
        let dev = world.agent("Dev-A");
        dev.ok(&format!(
            "cp -a .git/{file} saved 2>/dev/null; rm -f .git/{file}; ln -s $HOME/../victim .git/{file}"
        ));
        let take = dev.run("cmw-lock acquire");
        let commit = dev.run("git commit -q --allow-empty -m x");
        assert_eq!(world.read("victim"), "precious\n", "{file}\n{take}\n{commit}");
        // A left-over new file is replaced: a crash may have left it.
        if file.ends_with(".tmp") {
            assert_eq!((take.code, commit.code), (0, 0), "{file}\n{take}\n{commit}");
            continue;
        }
        if file.starts_with("audit/") {
            assert!(take.code == 0 && take.stderr.contains("kept as audit/"), "{take}\n{commit}");
            continue;
        } else {
            assert!(take.code == 65 || commit.code != 0, "{file}\n{take}\n{commit}");
        }
        if take.code != 0 {
            is_well_said(&take);
        }
        dev.ok(&format!("rm .git/{file}; if [ -e saved ]; then mv saved .git/{file}; fi"));
        dev.ok("cmw-lock acquire && git commit -q --allow-empty -m x && cmw-lock release");
    }
}

#[test]
fn a_torn_tail_is_repaired_and_nothing_else_is_lost() {
    for file in [INTENTS, JOURNAL] {
        let world = lived_in();
        let dev = world.agent("Dev-A");
        let before = world.read(file);
        world.write(file, format!("{before}{{\"seq\": 99, \"at\": \"20"));
        dev.ok("cmw-lock acquire && git commit -q --allow-empty -m x && cmw-lock release");
        let after = world.read(file);
        assert!(after.starts_with(&before) && after.ends_with('\n'), "{file}:\n{after}");
        assert!(!after.contains("\"seq\": 99"), "{file}:\n{after}");
        for line in after.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{file}: {e}: {line}"));
        }
    }
}

/// Returns the content of what was set aside of this file, the oldest first.
fn evidence(world: &World, file: &str) -> Vec<String> {
    let (dir, name) = file.rsplit_once('/').unwrap();
    let mark = format!("{name}.damaged-");
    let names = std::fs::read_dir(world.at(dir)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut kept: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
    kept.retain(|name| name.starts_with(&mark));
    kept.sort();
    kept.iter().map(|name| world.read(&format!("{dir}/{name}"))).collect()
}

#[test]
fn a_bad_line_is_damage_and_is_not_overwritten() {
    let world = lived_in();
    let dev = world.agent("Dev-A");
    let before = world.read(INTENTS);
    let damaged = format!("{before}this is no record\n");
    world.write(INTENTS, &damaged);
    let output = dev.run("cmw-lock acquire");
    assert_eq!(output.code, 0, "{output}");
    assert!(output.stderr.contains(INTENTS.trim_start_matches("repo/.git/")), "{output}");
    assert_eq!(evidence(&world, INTENTS), [damaged]);
    assert!(world.read(INTENTS).starts_with(&before), "what was whole goes on");
    dev.ok("cmw-lock acquire && cmw-lock release");
    assert_the_audit_is_whole(&world);
    // A bad line among good ones: what follows it stays, what stands behind it stays.
    let damaged = world.read(INTENTS).replacen('\n', "\nthis is no record\n", 1);
    world.write(INTENTS, &damaged);
    dev.run("cmw-lock acquire").ignored();
    assert!(world.read(INTENTS).starts_with(&damaged));
}

#[test]
fn a_bad_line_of_the_hooks_blocks_no_command_and_is_reported() {
    let world = lived_in();
    let dev = world.agent("Dev-A");
    let damaged = format!("{}this is no entry\n", world.read(JOURNAL));
    world.write(JOURNAL, &damaged);
    dev.ok("cmw-lock acquire && git commit -q --allow-empty -m x && cmw-lock release");
    assert!(world.read(JOURNAL).starts_with(&damaged), "it is not overwritten");
    let said = world.read("repo/.git/audit/security-events.log");
    assert_eq!(said.matches("JOURNAL_LOST").count(), 1, "{said}");
    assert!(world.read(INTENTS).lines().last().unwrap().contains("LOCK_RELEASED"));
}

#[test]
fn a_name_alone_lets_no_process_in() {
    let world = lived_in();
    let dev = world.agent("Dev-A");
    let before = ours(&world);
    let names = [
        "../x",
        "..",
        ".",
        "/etc/passwd",
        "a/b",
        "-rf",
        "--help",
        "dev-а",
        "Dev-A ",
        "Dev-A.",
        "~",
        "%2e%2e",
        "$(touch ran)",
        "`touch ran`",
        "ALL",
        "System",
        "unproven",
        "nobody",
        "CON",
        "Dev-A\nDev-B",
        "\x1b[2J",
        "\x1b]52;c;cHduZWQ=\x07",
    ];
    let long = "x".repeat(100_000);
    for name in names.into_iter().chain([long.as_str()]) {
        let quoted = format!("'{name}'");
        for line in [
            format!("CLAUDE_ROLE={quoted} cmw-lock acquire"),
            format!("CLAUDE_ROLE={quoted} cmw-heartbeat register"),
            format!("CLAUDE_ROLE={quoted} git commit -q --allow-empty -m x"),
            format!("cmw-lock handover -- {quoted}"),
            format!("cmw-lock acquire --as={quoted}"),
        ] {
            // Dev-A is registered, so this is an unidentified process's shell.
            let output = world.unidentified().run(&line);
            let short: String = output.stderr.chars().take(300).collect();
            assert!([1, 2, 77].contains(&output.code), "{name:.40}: {} {short}", output.code);
            assert!(!output.all().contains('\x1b') && !output.all().contains('\x07'), "{short}");
            assert!(!short.contains("panicked"), "{short}");
            assert!(output.stderr.len() < 2_000, "{} bytes of {short}", output.stderr.len());
        }
    }
    assert!(!world.at("repo/ran").exists());
    assert_eq!(ours(&world), before);
    dev.ok("cmw-lock acquire");
}

#[test]
fn nothing_gets_in_by_a_purpose_or_a_glob() {
    let world = lived_in();
    let dev = world.agent("Dev-A");
    let before = ours(&world);
    let many: String = (0..5_000).map(|i| format!(" --files f{i}")).collect();
    let stars = format!(" --files '{}x'", "*a".repeat(3_000));
    let deep = format!(" --files '{}x'", "a/".repeat(3_000));
    for arguments in [
        "--files ../x",
        "--files a/../../x",
        "--files /etc/passwd",
        "--files ''",
        "--files '['",
        "--files 'a\nb' --files ''",
        "--files 'a//b'",
        "--purpose $(head -c 3000 /dev/zero | tr '\\0' x)",
        "--estimate 99999999999999d",
        "--loc 99999999999",
        "--loc -1",
        "--wait 1e9s",
        &many,
        &stars,
        &deep,
    ] {
        let output = dev.run(&format!("cmw-lock acquire {arguments}"));
        let short: String = output.stderr.chars().take(300).collect();
        assert_eq!(output.code, 2, "{arguments:.60}: {short}");
        assert!(!short.contains("panicked"), "{short}");
    }
    assert_eq!(ours(&world), before);
    // These are odd, and right.
    for arguments in [
        "--purpose \"$(printf 'a\\033[2Jb\\nc\\rd')\"",
        "--purpose \"$(printf '\\377\\376')\"",
        "--files \"$(printf 'caf\\303\\251/*')\"",
        "--files=-rf",
        "--files '{a,b}' --files ':(top)x' --files '$(touch ran)' --files ' '",
    ] {
        let output = dev.run(&format!("cmw-lock acquire {arguments}"));
        assert!(output.code == 0 || output.code == 2, "\n{output}");
        let status = world.unidentified().run("cmw-lock status");
        assert!(!status.all().contains(['\x1b', '\r']), "{status}");
        assert_eq!(status.stdout.lines().count(), 1, "{status}");
        dev.run("cmw-lock release").ignored();
    }
    assert!(!world.at("repo/ran").exists());
}

#[test]
fn a_poor_environment_is_enough() {
    let world = lived_in();
    let dev = world.agent("Dev-A");
    for line in [
        "env -u HOME cmw-lock acquire",
        "env -u HOME cmw-lock release",
        "env -u PATH $(command -v cmw-lock) status",
        "env -i CLAUDE_ROLE=Dev-A $(command -v cmw-lock) acquire",
        "cmw-lock release <&-",
        "cmw-lock acquire <&- >&- 2>&-",
        "LC_ALL=nonsense TZ=nonsense cmw-lock release",
        "umask 777; cmw-lock acquire",
        "umask 0; cmw-lock release",
        "ulimit -n 20; cmw-lock acquire",
        "HOME=/nonexistent git commit -q --allow-empty -m x",
        "cmw-lock release",
    ] {
        dev.ok(line);
    }
    let output = dev.run("mkdir gone; cd gone; rmdir ../gone; cmw-lock acquire");
    assert_eq!(output.code, 69, "\n{output}");
    is_well_said(&output);
    world.person().ok("env -u HOME cmw-init");
}

#[test]
fn many_set_up_at_once() {
    for many in [2, 12] {
        let world = World::new();
        let person = world.person();
        let running: Vec<_> = (0..many).map(|_| person.spawn("cmw-init --roles 4")).collect();
        for one in running {
            let output = one.wait();
            assert_eq!(output.code, 0, "\n{output}");
        }
        let log = world.read("repo/.git/audit/orchestrator-startup.log");
        assert_eq!(log.lines().count(), 1, "it was set up once:\n{log}");
        assert_ne!(world.unidentified().run("git branch x").code, 0);
        world.agent("Dev-A").ok("cmw-lock acquire && git commit -q --allow-empty -m x && cmw-lock release");
        person.ok("cmw-init --uninstall");
    }
}

#[test]
fn a_set_up_killed_at_any_moment_is_done_by_the_next() {
    let world = World::new();
    world.git(&["status"]);
    let person = world.person();
    let before = world.files("repo");
    let mut early = 0;
    for i in 0..30 {
        let running = person.spawn("cmw-init --roles 4");
        let pid = running.pid();
        std::thread::sleep(Duration::from_micros(i * 800));
        end(pid);
        early += usize::from(running.wait().code != 0);
        // Half a set-up must not be in the way: either nothing is guarded, or it works.
        let commit = person.run("git status >/dev/null && git stash list && git fetch -q . main");
        assert_eq!(commit.code, 0, "killed after {i}\n{commit}");
        person.ok("rm -f .git/FETCH_HEAD && cmw-init --roles 4");
        assert_ne!(world.unidentified().run("git branch x").code, 0);
        person.ok("cmw-lock acquire && cmw-lock release");
        person.ok("cmw-init --uninstall");
        let after = world.files("repo");
        let changed: Vec<&String> =
            after.keys().filter(|name| before.get(*name) != after.get(*name)).collect();
        assert_eq!(changed, Vec::<&String>::new(), "killed after {i}");
    }
    assert!(early >= 5, "only {early} were killed before their end");
}

fn end(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    // It may have ended by itself meanwhile.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}

/// A small file system over a directory, with what was in it; gone with the guard.
struct Mount(String);

impl Mount {
    /// `None`, and a word about it, where only root may.
    fn over(world: &World, dir: &str) -> Option<Self> {
        let at = world.at(dir).display().to_string();
        let copy = world.at("copy").display().to_string();
        let run = |program: &str, args: &[&str]| {
            Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
        };
        assert!(
            run("rm", &["-rf", &copy])
                && run("cp", &["-a", &at, &copy])
                && run("rm", &["-rf", &format!("{copy}/hooks")])
        );
        if !run("mount", &["-t", "tmpfs", "-o", "size=64k,mode=700", "cmw-test", &at]) {
            return None;
        }
        let mount = Self(at.clone());
        assert!(run("cp", &["-a", &format!("{copy}/."), &at]));
        Some(mount)
    }

    fn read_only(&self) {
        let remounted = Command::new("mount").args(["-o", "remount,ro", &self.0]).status();
        assert!(remounted.is_ok_and(|status| status.success()));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.0]).status();
    }
}

/// The numbers of all records of the audit: each once, without a gap.
fn assert_the_audit_is_whole(world: &World) {
    let mut numbers = Vec::new();
    for (name, bytes) in world.files("repo/.git/audit") {
        if name.ends_with(".log") || name == "write-lock-intents.json" {
            for line in String::from_utf8(bytes).unwrap().lines() {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                numbers.push(record["seq"].as_u64().unwrap());
            }
        }
    }
    numbers.sort_unstable();
    let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn on_a_full_disk_nothing_is_lost() {
    for dir in ["cmw", "audit"] {
        let world = lived_in();
        let dev = world.agent("Dev-A");
        let Some(_mount) = Mount::over(&world, &format!("repo/.git/{dir}")) else {
            println!("SKIPPED: only root can mount a full disk");
            return;
        };
        dev.ok("cmw-lock acquire && cmw-lock release");
        let filler = world.at(&format!("repo/.git/{dir}/filler"));
        dev.run(&format!("cat /dev/zero >{}", filler.display())).ignored();
        // The last page of a log takes a few more lines.
        let line = "cmw-lock acquire --quiet && cmw-lock release --quiet";
        let before = (0..100).find_map(|_| {
            let before = ours(&world);
            let output = dev.run(line);
            (output.code != 0 || output.stderr.contains("warning")).then_some((before, output))
        });
        let (before, output) = before.expect("a full disk is noticed");
        if dir == "cmw" {
            assert_eq!(output.code, 69, "{dir}\n{output}");
            is_well_said(&output);
        } else {
            assert!(output.code == 0 && output.stderr.contains("kept in cmw/state.json"), "{dir}\n{output}");
        }
        assert!(output.stderr.contains("next: df"), "{dir}\n{output}");
        let after = ours(&world);
        for (name, bytes) in before.iter().filter(|(name, _)| name.starts_with("audit/")) {
            assert!(after[name].starts_with(bytes), "{dir}: {name} has lost something");
        }
        if dir == "cmw" {
            assert_eq!(after["cmw/state.json"], before["cmw/state.json"]);
        }
        std::fs::remove_file(filler).unwrap();
        dev.ok("cmw-lock acquire && cmw-lock release");
        assert!(dev.ok("cmw-lock status").contains("free"));
        assert_the_audit_is_whole(&world);
    }
}

#[test]
fn on_a_read_only_disk_nothing_changes_and_reading_works() {
    let world = lived_in();
    let dev = world.agent("Dev-A");
    let Some(mount) = Mount::over(&world, "repo/.git/cmw") else {
        println!("SKIPPED: only root can mount a read-only disk");
        return;
    };
    mount.read_only();
    dev.ok("cmw-lock status");
    for line in ["cmw-lock acquire", "cmw-heartbeat register"] {
        let output = dev.run(line);
        assert_eq!(output.code, 69, "\n{output}");
        is_well_said(&output);
        assert!(output.stderr.contains("read-only"), "\n{output}");
    }
    drop(mount);
    dev.ok("cmw-lock acquire");
}
