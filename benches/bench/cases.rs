//! Owns the rows of the tools: start, send, inbox, lock.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use super::round::Bench;
use super::yard::Yard;
use super::{Options, Result};

fn nothing() -> Result<()> {
    Ok(())
}

/// Adds them.
pub(crate) fn tools(bench: &mut Bench, options: &Options) -> Result<()> {
    let yard = Yard::ready(options, "tools", 10, &["--roles", "13", "--quiet"])?;
    floors(bench, options, &yard)?;
    start(bench, &yard);
    client(bench, &yard)?;
    send(bench, options, &yard)?;
    inbox(bench, options)?;
    lock(bench, options)
}

fn floors(bench: &mut Bench, options: &Options, yard: &Yard) -> Result<()> {
    let floors = options.floors.canonicalize()?;
    let floor = |name: &str, args: &[&str]| yard.program(&floors.join(name).to_string_lossy(), args);
    let file = yard.dir.join("appended").to_string_lossy().into_owned();
    let dir = yard.dir.to_string_lossy().into_owned();
    let append = floor("floor-append", &[&file]);
    let replace = floor("floor-replace", &[&dir, "2"]);
    bench.programs("floor-noop", vec![floor("floor-noop", &[])], nothing);
    bench.programs("floor-append", vec![append.clone()], nothing);
    bench.programs("2 x floor-append", vec![append.clone(), append], nothing);
    bench.programs("4 durable replaces (2 programs)", vec![replace.clone(), replace], nothing);
    bench.row("floors", "floor-noop", None, "floor-noop");
    bench.row("floors", "floor-append", None, "floor-append FILE");
    bench.row("floors", "2 x floor-append", None, "floor-append FILE; floor-append FILE");
    bench.row("floors", "4 durable replaces (2 programs)", None, "floor-replace DIR 2; floor-replace DIR 2");
    Ok(())
}

fn start(bench: &mut Bench, yard: &Yard) {
    let noop = Some(("floor-noop", Some(1.5)));
    for tool in ["cmw-lock", "cmw"] {
        let typed = format!("{tool} --version");
        bench.programs(&typed, vec![yard.tool(tool, &["--version"])], nothing);
        bench.row("start", &typed, noop, &typed);
    }
    let hook = yard.git_dir().join("cmw/hooks/reference-transaction");
    let idle = yard.program(&hook.to_string_lossy(), &["preparing"]);
    bench.programs("a hook with nothing to do", vec![idle], nothing);
    bench.row("start", "a hook with nothing to do", noop, "reference-transaction preparing </dev/null");
}

/// What a client's hooks cost it beside each use of a tool, when there is no mail.
fn client(bench: &mut Bench, yard: &Yard) -> Result<()> {
    let event = |name: &str, more: &str| -> Result<std::path::PathBuf> {
        let file = yard.dir.join(format!(".git/{name}.json"));
        let dir = yard.dir.display();
        std::fs::write(&file, format!(r#"{{"session_id":"s","source":"startup","cwd":"{dir}"{more}}}"#))?;
        Ok(file)
    };
    let (repo, common_dir) = (yard.dir.to_string_lossy(), yard.git_dir().to_string_lossy().into_owned());
    let hook = |name: &str, input: &Path| {
        let args = ["claude", name, "--repo", &repo, "--common-dir", &common_dir];
        yard.tool("cmw-hook", &args).reading(input)
    };
    let begin = event("begin", "")?;
    hook("SessionStart", &begin).run()?;
    // As when a turn runs, and there was mail before: what is usual is short.
    yard.tool("cmw-send", &["Dev-A", "--subject", "s", "x"]).by("Dev-B").run()?;
    hook("UserPromptSubmit", &begin).run()?;
    let shell = r#","tool_name":"Bash","tool_input":{"command":"cargo test --all 2>&1 | tail -20"}"#;
    for (case, name, input) in [
        ("client: before a tool that only reads", "PreToolUse", event("read", r#","tool_name":"Read""#)?),
        ("client: before a shell command", "PreToolUse", event("shell", shell)?),
        ("client: after a tool, no mail", "PostToolBatch", event("batch", r#","tool_calls":[]"#)?),
    ] {
        bench.programs(case, vec![hook(name, &input)], nothing);
        let typed = format!("cmw-hook claude {name} <EVENT");
        bench.row("client", case, Some(("floor-noop", Some(1.5))), &typed);
    }
    Ok(())
}

fn send(bench: &mut Bench, options: &Options, yard: &Yard) -> Result<()> {
    let args = ["Dev-B", "--subject", "s", "text"];
    let typed = "cmw-send Dev-B --subject s text";
    bench.programs("send", vec![yard.tool("cmw-send", &args)], nothing);
    bench.row("send", "send", Some(("floor-append", Some(1.3))), typed);
    let count = if options.quick { 10_000 } else { 100_000 };
    let full = Yard::ready(options, "full", 10, &["--roles", "13", "--quiet"])?;
    let me = std::env::current_exe()?;
    let git_dir = full.git_dir();
    let fill = ["--tools", ".", "--floors", ".", "--work", ".", "--fill"];
    let of = [git_dir.to_string_lossy().into_owned(), count.to_string()];
    let words: Vec<&str> = fill.into_iter().chain(of.iter().map(String::as_str)).collect();
    full.program(&me.to_string_lossy(), &words).run()?;
    let name = format!("send, {count} messages kept");
    bench.programs(&name, vec![full.tool("cmw-send", &args)], nothing);
    bench.row("send", &name, Some(("send", Some(1.1))), typed);
    let all = yard.tool("cmw-send", &["ALL", "--subject", "s", "text"]);
    bench.programs("broadcast to 12 roles and the person", vec![all], nothing);
    bench.row(
        "send",
        "broadcast to 12 roles and the person",
        Some(("send", Some(1.5))),
        "cmw-send ALL --subject s text",
    );
    Ok(())
}

fn inbox(bench: &mut Bench, options: &Options) -> Result<()> {
    let yard = Yard::ready(options, "inbox", 10, &["--quiet"])?;
    for n in 0..10 {
        yard.tool("cmw-send", &["Dev-B", "--subject", &format!("s{n}"), "text"]).run()?;
    }
    let list = yard.tool("cmw-inbox", &["list"]).by("Dev-B");
    bench.programs("inbox, 10 unread", vec![list], nothing);
    bench.row("inbox", "inbox, 10 unread", Some(("floor-noop", Some(1.7))), "cmw-inbox list");
    Ok(())
}

fn lock(bench: &mut Bench, options: &Options) -> Result<()> {
    let yard = Yard::ready(options, "lock", 10, &["--quiet"])?;
    let pair = vec![yard.tool("cmw-lock", &["acquire"]), yard.tool("cmw-lock", &["release"])];
    let typed = "cmw-lock acquire; cmw-lock release";
    bench.programs("lock, acquire + release", pair, nothing);
    bench.row("lock", "lock, acquire + release", Some(("2 x floor-append", None)), typed);
    let four = Some(("4 durable replaces (2 programs)", Some(1.0)));
    bench.row("lock", "lock, acquire + release", four, typed);
    for (name, from) in [
        ("hand-over, from the start of release", From::Start),
        ("hand-over, from the publish", From::Publish),
    ] {
        let yard = Yard::ready(options, from.dir(), 10, &["--quiet"])?;
        bench.case(name, Box::new(move || hand_over(&yard, from)));
        let typed = "cmw-lock release, until cmw-lock acquire --wait 10s has returned";
        match from {
            From::Start => bench.row("lock", name, None, typed),
            From::Publish => bench.within("lock", name, 1_000.0, typed),
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum From {
    Start,
    Publish,
}

impl From {
    fn dir(self) -> &'static str {
        match self {
            Self::Start => "handover",
            Self::Publish => "publish",
        }
    }
}

/// Dev-A gives the lock back while Dev-B waits for it; how long until Dev-B's command has returned.
fn hand_over(yard: &Yard, from: From) -> Result<Duration> {
    yard.tool("cmw-lock", &["acquire"]).run()?;
    let mut waiter = yard.tool("cmw-lock", &["acquire", "--wait", "10s"]).by("Dev-B").spawn()?;
    let told = waiter.stderr.take().ok_or("no standard error")?;
    // It says that it waits when its ticket is published; then it goes to sleep.
    BufReader::new(told).read_line(&mut String::new())?;
    std::thread::sleep(Duration::from_millis(5));
    let published = published(&yard.git_dir().join("cmw"))?;
    let start = Instant::now();
    let mut release = yard.tool("cmw-lock", &["release"]).spawn()?;
    let status = waiter.wait()?;
    let end = Instant::now();
    release.wait()?;
    let (publish, _watch) = published.join().map_err(|_| "the watch failed")??;
    if !status.success() {
        return Err("the waiter did not get the lock".into());
    }
    yard.tool("cmw-lock", &["release"]).by("Dev-B").run()?;
    Ok(match from {
        From::Start => end - start,
        From::Publish => end.saturating_duration_since(publish),
    })
}

type Watching = std::thread::JoinHandle<std::io::Result<(Instant, OwnedFd)>>;

/// Notes when the next document is made current. The watch is given back, not closed: the kernel
/// takes milliseconds to close one, and longer when two are closed at the same time.
fn published(dir: &Path) -> Result<Watching> {
    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
    let inotify = init(CreateFlags::CLOEXEC)?;
    add_watch(&inotify, dir, WatchFlags::MOVED_TO)?;
    Ok(std::thread::spawn(move || {
        rustix::io::read(&inotify, &mut [0_u8; 1024])?;
        Ok((Instant::now(), inotify))
    }))
}
