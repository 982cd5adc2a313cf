//! The callers of a test: a process of its own for each role, the person, and an unidentified process.
//!
//! Outside a session a role is the Unix session leader of the process that runs the command, so each agent
//! is a long-living shell in a session of its own that is handed one command after the other.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

pub(crate) use super::wait::wait_until;

/// Reads names of scripts and runs them: in order, or beside itself those that begin with `& `.
const DRIVER: &str = r#"
exec 3<"$1"
echo $$ >"$2.tmp" && mv "$2.tmp" "$2"
run() {
    sh "$1" 3<&- </dev/null >"$1.out" 2>"$1.err"
    echo $? >"$1.tmp" && mv "$1.tmp" "$1.code"
}
while IFS= read -r job <&3; do
    case $job in
        "& "*) run "${job#& }" 3<&- & ;;
        *) run "$job" ;;
    esac
done
"#;

/// Where commands run and what they find there.
#[derive(Clone)]
pub(crate) struct Place {
    /// The world's directory.
    pub(crate) root: PathBuf,
    /// The whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// How far the clock was moved.
    pub(crate) clock_ms: Arc<AtomicI64>,
}

/// A caller that types commands.
#[derive(Clone)]
pub(crate) struct Agent(Arc<Inner>);

struct Inner {
    /// What transcripts call it.
    name: String,
    place: Place,
    /// Where its scripts are and what they said.
    dir: PathBuf,
    cwd: Mutex<PathBuf>,
    jobs: AtomicU32,
    queue: Mutex<File>,
    /// The process that was started here: the shell, or the pseudo terminal around it.
    child: Mutex<Child>,
    /// The shell: the leader of its session.
    leader: u32,
}

impl Agent {
    /// Starts it. `role`: its `CLAUDE_ROLE`; `terminal`: whether it sits at one.
    pub(crate) fn start(name: &str, role: Option<&str>, terminal: bool, place: &Place) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = place.root.join(format!("agents/{number}"));
        std::fs::create_dir_all(&dir).unwrap();
        let (fifo, driver, ready) = (dir.join("queue"), dir.join("driver"), dir.join("ready"));
        std::fs::write(&driver, DRIVER).unwrap();
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        // Open for reading too: then neither side waits for the other.
        let queue = File::options().read(true).write(true).open(&fifo).unwrap();
        let words = [driver.as_path(), &fifo, &ready].map(|p| p.display().to_string()).join(" ");
        let mut command = if terminal {
            let mut command = Command::new("script");
            command.args(["-qfc", &format!("exec sh {words}"), "/dev/null"]);
            command
        } else {
            let mut command = Command::new("setsid");
            command.arg("sh").args(words.split(' '));
            command
        };
        command.env_clear().envs(place.env.iter().cloned()).env("SHELL", "/bin/sh");
        if let Some(role) = role {
            command.env("CLAUDE_ROLE", role);
        }
        // The pseudo terminal ends with its input, so that stays open as long as the agent lives.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let cwd = place.root.join("repo");
        let child = command.current_dir(&cwd).spawn().expect("util-linux has setsid and script");
        wait_until("the agent's shell", || ready.exists());
        let leader = std::fs::read_to_string(&ready).unwrap().trim().parse().unwrap();
        Self(Arc::new(Inner {
            name: name.to_owned(),
            place: place.clone(),
            dir,
            cwd: Mutex::new(cwd),
            jobs: AtomicU32::new(0),
            queue: Mutex::new(queue),
            child: Mutex::new(child),
            leader,
        }))
    }

    /// The process id of its shell, the process that stands for the role.
    pub(crate) fn pid(&self) -> u32 {
        self.0.leader
    }

    /// Later commands run there; relative to the world's directory.
    pub(crate) fn cd(&self, dir: impl AsRef<Path>) -> &Self {
        *self.0.cwd.lock().unwrap() = self.0.place.root.join(dir);
        self
    }

    /// Runs a command line of the shell to its end.
    pub(crate) fn run(&self, line: &str) -> Output {
        self.hand_over(line, "").wait()
    }

    /// Starts a command line beside the others.
    pub(crate) fn spawn(&self, line: &str) -> Pending {
        self.hand_over(line, "& ")
    }

    /// Runs a command line that must succeed; gives what it says on stdout.
    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.code, 0, "\n{output}");
        output.stdout
    }

    /// Runs a command line that must end with this exit code.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, line: &str) -> Output {
        let output = self.run(line);
        assert_eq!(output.code, code, "\n{output}");
        output
    }

    fn hand_over(&self, line: &str, beside: &str) -> Pending {
        let number = self.0.jobs.fetch_add(1, Ordering::Relaxed);
        let job = self.0.dir.join(format!("{number}"));
        let cwd = self.0.cwd.lock().unwrap().clone();
        let clock = self.0.place.clock_ms.load(Ordering::Relaxed);
        let clock = if clock == 0 { String::new() } else { format!("export CMW_TEST_CLOCK_MS={clock}\n") };
        let script = format!(
            "echo $$ >'{job}.pid.tmp' && mv '{job}.pid.tmp' '{job}.pid'\ncd '{cwd}' || exit\n{clock}{line}\n",
            job = job.display(),
            cwd = cwd.display()
        );
        std::fs::write(&job, script).unwrap();
        let mut queue = self.0.queue.lock().unwrap();
        writeln!(queue, "{beside}{}", job.display()).unwrap();
        Pending { who: self.0.name.clone(), line: line.to_owned(), job }
    }

    /// Kills its shell only: a crash that leaves its commands running.
    pub(crate) fn kill_leader(&self) {
        kill(self.0.leader, Signal::KILL);
        if let Some(mut input) = self.0.child.lock().unwrap().stdin.take() {
            let _ = input.flush();
        }
        let gone = || cmw::adapters::os::process::stat(self.0.leader).is_none_or(|s| s.zombie);
        wait_until("the end of the agent's shell", gone);
    }

    /// Kills its shell and everything in its session: a crash.
    pub(crate) fn kill(&self) {
        self.kill_leader();
        let is_its = |pid: &u32| {
            let stat = cmw::adapters::os::process::stat(*pid);
            stat.is_some_and(|s| s.session == self.0.leader && !s.zombie)
        };
        wait_until("the end of the agent's commands", || {
            let left: Vec<u32> = processes().into_iter().filter(is_its).collect();
            left.iter().for_each(|pid| kill(*pid, Signal::KILL));
            left.is_empty()
        });
    }

    /// Whether its shell lives.
    pub(crate) fn is_alive(&self) -> bool {
        cmw::adapters::os::process::stat(self.0.leader).is_some_and(|s| !s.zombie)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A command that runs beside the others.
#[must_use]
pub(crate) struct Pending {
    who: String,
    line: String,
    job: PathBuf,
}

impl Pending {
    /// Waits for its end.
    pub(crate) fn wait(self) -> Output {
        let code = self.file("code");
        wait_until(&self.line, || code.exists());
        let read = |ext| String::from_utf8_lossy(&std::fs::read(self.file(ext)).unwrap()).into_owned();
        let (stdout, stderr) = (read("out"), read("err"));
        let code = read("code").trim().parse().unwrap();
        Output { who: self.who, line: self.line, stdout, stderr, code }
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.file("code").exists()
    }

    /// What it has said so far, on stdout and on stderr.
    pub(crate) fn said(&self) -> String {
        let read =
            |ext| String::from_utf8_lossy(&std::fs::read(self.file(ext)).unwrap_or_default()).into_owned();
        read("out") + &read("err")
    }

    /// Waits until it has said something that contains `words`.
    pub(crate) fn until_it_says(&self, words: &str) -> &Self {
        wait_until(&format!("{:?} from {}", words, self.line), || self.said().contains(words));
        self
    }

    /// The process of the command itself: the first child of the shell that runs the line.
    pub(crate) fn pid(&self) -> u32 {
        self.pid_unless_over().unwrap_or_else(|| panic!("{} is over", self.line))
    }

    /// The process of the command itself, as soon as there is one; `None` if the command ended first.
    fn pid_unless_over(&self) -> Option<u32> {
        let mut found = None;
        wait_until(&format!("a process of {}", self.line), || {
            found = std::fs::read_to_string(self.file("pid")).ok().and_then(|shell| {
                let shell = shell.trim();
                let children =
                    std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).ok()?;
                children.split_ascii_whitespace().next()?.parse().ok()
            });
            found.is_some() || self.is_over()
        });
        found
    }

    /// Sends a signal to the command itself.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal);
    }

    /// Kills the command itself unless it has ended, and waits for its end.
    pub(crate) fn kill(self) -> Output {
        if let Some(pid) = self.pid_unless_over() {
            kill(pid, Signal::KILL);
        }
        self.wait()
    }

    fn file(&self, extension: &str) -> PathBuf {
        PathBuf::from(format!("{}.{extension}", self.job.display()))
    }
}

/// What a command said and how it ended. Displayed as a terminal would show it.
#[must_use]
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// Who typed it.
    pub(crate) who: String,
    /// The command line.
    pub(crate) line: String,
    /// What it said.
    pub(crate) stdout: String,
    /// What it said besides.
    pub(crate) stderr: String,
    /// Its exit code, as the shell tells it.
    pub(crate) code: i32,
}

impl Output {
    /// Says that nothing more is wanted of it.
    pub(crate) fn ignored(self) {}

    /// What it said, both ways.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}$ {}", self.who, self.line)?;
        for line in self.stdout.lines() {
            writeln!(f, "{line}")?;
        }
        for line in self.stderr.lines() {
            writeln!(f, "! {line}")?;
        }
        if self.code != 0 {
            writeln!(f, "[exit {}]", self.code)?;
        }
        Ok(())
    }
}

fn kill(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    // It may have ended by itself meanwhile.
    let _ = kill_process(pid, signal);
}

/// All process ids.
fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Ends everything whose environment names this directory: what was started in one world.
pub(crate) fn end_all_of(root: &Path) {
    let mark = format!("HOME={}/", root.display()).into_bytes();
    let me = std::process::id();
    for _ in 0..20 {
        let is_ours = |pid: &u32| {
            *pid != me
                && cmw::adapters::os::process::stat(*pid).is_some_and(|s| !s.zombie)
                && std::fs::read(format!("/proc/{pid}/environ"))
                    .is_ok_and(|env| env.split(|b| *b == 0).any(|var| var.starts_with(&mark)))
        };
        let ours: Vec<u32> = processes().into_iter().filter(is_ours).collect();
        if ours.is_empty() {
            return;
        }
        for pid in ours {
            kill(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
