//! Records a night while it runs: the faults, what the agents wrote, how long lock and monitor were away; and
//! prints them when it ends badly.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use cmw::adapters::os::process::{self, Signal};
use cmw::domain::identity::role::Role;
use cmw::domain::session::instance::InstancePhase;
use cmw::domain::session::process::Process;
use cmw::domain::state::State;
use cmw::store::health::monitor;

use super::chaos::Dice;
use super::incidents::Killed;
use crate::support::session::{World, programs};

/// A night and all that is known of it.
pub(crate) struct Night {
    pub(crate) world: World,
    pub(crate) seed: u64,
    pub(crate) dice: Dice,
    pub(crate) began: Instant,
    /// What was done, how often.
    pub(crate) deeds: BTreeMap<&'static str, u32>,
    pub(crate) killed: Vec<Killed>,
    /// When each role was killed lately.
    pub(crate) lately: Vec<(Role, Instant)>,
    /// Who is suspended, and until when.
    pub(crate) suspended: Vec<(Process, Instant)>,
    /// Messages that were acknowledged as sent.
    pub(crate) sent: Vec<String>,
    /// What our programs said that they must not say.
    pub(crate) odd: Vec<String>,
    /// The lease of a holder that was killed, and when.
    pub(crate) taken: Option<(u64, Instant)>,
    /// When the tmux server was last killed.
    pub(crate) server_killed: Option<Instant>,
    pub(crate) servers: u32,
    /// When the monitor was last killed.
    pub(crate) monitor_killed: Option<Instant>,
    watched: bool,
    away: Option<Instant>,
    away_longest: Duration,
    hand_over_longest: Duration,
    files: BTreeMap<PathBuf, String>,
}

impl Night {
    /// Twelve agents at work, and a monitor; `wall_ms`: how far off their wall clock is.
    pub(crate) fn begin(seed: u64, wall_ms: i64) -> Self {
        let world = World::new(12);
        eprintln!("night: seed {seed}, in {}", world.dir.path().display());
        let mut up = world.command(&programs().join("cmw-session"));
        up.args(["up", "--socket", &world.socket, "--agent", "cmw-demo-agent --every 1s"]);
        if wall_ms != 0 {
            up.env("CMW_TEST_WALL_MS", wall_ms.to_string());
        }
        let up: crate::support::session::Said = up.output().unwrap().into();
        let night = Self {
            world,
            seed,
            dice: Dice(seed),
            began: Instant::now(),
            deeds: BTreeMap::new(),
            killed: Vec::new(),
            lately: Vec::new(),
            suspended: Vec::new(),
            sent: Vec::new(),
            odd: Vec::new(),
            taken: None,
            server_killed: None,
            servers: 0,
            monitor_killed: None,
            watched: false,
            away: None,
            away_longest: Duration::ZERO,
            hand_over_longest: Duration::ZERO,
            files: BTreeMap::new(),
        };
        up.ok();
        night
    }

    pub(crate) fn count(&mut self, deed: &'static str) {
        *self.deeds.entry(deed).or_default() += 1;
    }

    /// Notes how things stand at this moment.
    pub(crate) fn look(&mut self, state: &State) {
        let now = Instant::now();
        self.suspended.retain(|(_, until)| *until > now);
        if let Some((_, since)) = self.taken.take_if(|(token, _)| state.last.token > *token) {
            self.hand_over_longest = self.hand_over_longest.max(since.elapsed());
        }
        let monitor = self.monitor();
        self.watched |= monitor.is_some();
        if monitor.is_some() {
            self.away = None;
        } else if self.watched {
            let since = *self.away.get_or_insert(now);
            self.away_longest = self.away_longest.max(since.elapsed());
        }
        self.read_the_files();
    }

    /// The monitor that looked last, when it lives.
    pub(crate) fn monitor(&self) -> Option<Process> {
        let watcher = monitor::monitor_record(self.world.store().disk()).unwrap();
        watcher.filter(|w| w.stays && process::is_alive(&w.process)).map(|w| w.process)
    }

    /// What an agent has once written is in its file from then on.
    fn read_the_files(&mut self) {
        let Ok(dir) = std::fs::read_dir(self.world.repo.join("demo")) else {
            assert!(self.files.is_empty(), "the agents' files are gone");
            return;
        };
        let mut now = BTreeMap::new();
        for path in dir.flatten().map(|entry| entry.path()) {
            let text = std::fs::read_to_string(&path).unwrap();
            now.insert(path, text);
        }
        for (path, before) in &self.files {
            let text = now.get(path).map_or("", String::as_str);
            assert!(
                text.starts_with(before),
                "{} lost what was in it:\n{before}\n---\n{text}",
                path.display()
            );
        }
        self.files = now;
    }

    /// How many commits each role has made.
    pub(crate) fn commits(&self) -> BTreeMap<String, usize> {
        let log = self.world.git(&["log", "--format=%an", "main", "--author=cmw.invalid"]);
        let mut commits = BTreeMap::new();
        for author in log.lines() {
            *commits.entry(author.to_owned()).or_default() += 1;
        }
        commits
    }

    /// Who is there, ready and alive, and not about to be restarted.
    pub(crate) fn well(state: &State) -> usize {
        let well = |i: &&cmw::domain::session::instance::Instance| {
            i.phase == InstancePhase::Ready && i.restart.is_none() && process::is_alive(&i.process)
        };
        state.instances.values().filter(well).count()
    }

    /// One line of figures.
    pub(crate) fn figures(&self) -> String {
        let deeds: Vec<String> = self.deeds.iter().map(|(deed, times)| format!("{deed} {times}")).collect();
        format!(
            "night: {} s: {}; {} commits; longest: hand-over {} ms, without a monitor {} ms",
            self.began.elapsed().as_secs(),
            deeds.join(", "),
            self.commits().values().sum::<usize>(),
            self.hand_over_longest.as_millis(),
            self.away_longest.as_millis()
        )
    }

    pub(crate) fn away_longest(&self) -> Duration {
        self.away_longest
    }

    /// No process stays suspended.
    pub(crate) fn wake_all(&mut self) {
        for (it, _) in self.suspended.drain(..) {
            let _ = process::signal(&it, Signal::CONT);
        }
    }
}

impl Drop for Night {
    fn drop(&mut self) {
        self.wake_all();
        if std::thread::panicking() {
            self.world.dir.disable_cleanup(true);
            let log = self.world.tool("cmw-audit", &["log", "-n", "100"]);
            eprintln!("{}{}", log.out, log.err);
            for killed in &self.killed {
                eprintln!(
                    "killed {} {}{}",
                    killed.role,
                    killed.process.pid,
                    if killed.young { ", young" } else { "" }
                );
            }
            eprintln!("{:?}", self.deeds);
            eprintln!(
                "night: it failed with seed {}; all of it is in {}",
                self.seed,
                self.world.dir.path().display()
            );
        }
    }
}
