//! The faults of a night: kills, suspensions, clocks that jump; at random, from a seed.

use std::io::Read;
use std::time::{Duration, Instant};

use cmw::adapters::os::process::{self, Signal};
use cmw::domain::health::incident::{ATTEMPTS_MAX, WINDOW_MS};
use cmw::domain::identity::role::Role;
use cmw::domain::session::instance::{Instance, InstancePhase, Session};
use cmw::domain::state::State;

use super::below;
use super::incidents::Killed;
use super::night::Night;
use crate::support::session::programs;

/// How far wall clocks jump, in milliseconds: an hour, a day, a year, thirty years, either way.
const JUMPS_MS: [i64; 4] = [3_600_000, 86_400_000, 31_536_000_000, 946_080_000_000];
/// Commands that are run with another time, by an unidentified process.
const ASKED: [&[&str]; 8] = [
    &["cmw"],
    &["cmw", "since", "8h"],
    &["cmw-lock", "status"],
    &["cmw-health"],
    &["cmw-health", "monitor", "--once"],
    &["cmw-inbox", "list"],
    &["cmw-audit", "log", "-n", "5"],
    &["cmw-doctor"],
];

/// Numbers that look random, the same ones for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // The steps of a linear congruential generator (Knuth's MMIX).
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn one_of<'t, T>(&mut self, all: &'t [T]) -> Option<&'t T> {
        if all.is_empty() { None } else { Some(&all[self.roll(all.len())]) }
    }

    fn between_ms(&mut self, from: usize, to: usize) -> Duration {
        Duration::from_millis((from + self.roll(to - from)) as u64)
    }
}

impl Night {
    /// Lets things go wrong for so long.
    pub(crate) fn go_wrong(&mut self, lasts: Duration, mut each_minute: impl FnMut(&Self)) {
        let mut next = Instant::now() + Duration::from_secs(2);
        let mut minute = self.began.elapsed().as_secs() / 60;
        // Once in a short night too, after every role has worked a little.
        let server_from = lasts.mul_f64(0.2 + 0.02 * self.dice.roll(20) as f64);
        while self.began.elapsed() < lasts {
            std::thread::sleep(Duration::from_millis(40));
            let state = self.world.state();
            self.look(&state);
            let now = self.began.elapsed().as_secs() / 60;
            if now > minute {
                minute = now;
                each_minute(self);
            }
            if Instant::now() < next {
                continue;
            }
            next = Instant::now() + self.dice.between_ms(300, 1_700);
            let first = self.servers == 0 && self.began.elapsed() > server_from;
            let long_ago =
                self.server_killed.is_some_and(|at| at.elapsed() > Duration::from_millis(WINDOW_MS));
            if (first || long_ago && self.dice.roll(100) == 0) && self.kill_the_server(&state) {
                continue;
            }
            self.one_thing(&state);
        }
    }

    fn one_thing(&mut self, state: &State) {
        self.start_roles_without_a_process(state);
        match self.dice.roll(30) {
            0..=5 => self.kill_one(state, false),
            6..=9 => self.kill_one(state, true),
            10 => self.kill_a_young_one(state),
            11 => self.kill_the_monitor(state),
            12..=18 => self.kill_a_tool(),
            19..=21 => self.suspend_a_tool(),
            22 => self.suspend_the_machine(state),
            23..=26 => self.ask_with_another_time(),
            _ => self.send(state),
        }
    }

    /// Three restarts in ten minutes are tried; more kills than that are rare, and looked after by hand.
    fn may_kill(&mut self, role: &Role, instance: &Instance) -> bool {
        let window = Duration::from_millis(WINDOW_MS + 20_000);
        self.lately.retain(|(_, at)| at.elapsed() < window);
        let begun = instance.restarted.len().max(self.lately.iter().filter(|(who, _)| who == role).count());
        let may = begun < ATTEMPTS_MAX as usize || self.dice.roll(20) == 0;
        may && instance.phase == InstancePhase::Ready && instance.restart.is_none()
    }

    fn kill_one(&mut self, state: &State, holder: bool) {
        if state.lost.is_some() {
            return;
        }
        let held = state.held().and_then(|held| Some((held.token, held.holder.role()?.clone())));
        let roles: Vec<Role> = match &held {
            Some((_, role)) if holder => vec![role.clone()],
            Some(_) | None => state.instances.keys().cloned().collect(),
        };
        let Some(role) = self.dice.one_of(&roles).cloned() else { return };
        let Some(instance) = state.instances.get(&role).filter(|i| process::is_alive(&i.process)) else {
            return;
        };
        if !self.may_kill(&role, instance) || !process::signal(&instance.process, Signal::KILL) {
            return;
        }
        let holds = held.filter(|(_, holder)| *holder == role);
        self.count(if holds.is_some() { "kill holder" } else { "kill agent" });
        if let Some((token, _)) = holds {
            self.taken.get_or_insert((token, Instant::now()));
        }
        self.lately.push((role.clone(), Instant::now()));
        self.killed.push(Killed { role, process: instance.process.clone(), young: false });
    }

    fn kill_a_young_one(&mut self, state: &State) {
        let young = state
            .instances
            .iter()
            .find(|(_, i)| i.phase == InstancePhase::Starting && process::is_alive(&i.process));
        let Some((role, instance)) = young else { return };
        if process::signal(&instance.process, Signal::KILL) {
            self.count("kill one that starts");
            self.killed.push(Killed { role: role.clone(), process: instance.process.clone(), young: true });
        }
    }

    fn kill_the_monitor(&mut self, state: &State) {
        // A session that is lost together with its monitor is brought back by cron, or by hand.
        let lately = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < Duration::from_secs(20));
        if state.lost.is_some() || lately(self.server_killed) || lately(self.monitor_killed) {
            return;
        }
        let Some(monitor) = self.monitor() else { return };
        if process::signal(&monitor, Signal::KILL) {
            self.monitor_killed = Some(Instant::now());
            self.count("kill monitor");
        }
    }

    /// The tmux server, with all panes; only while a monitor that can bring it back runs.
    fn kill_the_server(&mut self, state: &State) -> bool {
        let Session::Up { server, .. } = &state.session else { return false };
        let able = self.monitor().is_some_and(|m| !self.suspended.iter().any(|(it, _)| *it == m));
        if !able || state.lost.is_some() || !process::signal(server, Signal::KILL) {
            return false;
        }
        (self.server_killed, self.servers) = (Some(Instant::now()), self.servers + 1);
        self.count("kill tmux server");
        true
    }

    fn kill_a_tool(&mut self) {
        let tools: Vec<_> = below::all(&self.world).into_iter().filter(below::Below::is_tool).collect();
        let Some(tool) = self.dice.one_of(&tools) else { return };
        let young = tool.words.iter().any(|word| word == "launch");
        if process::signal(&tool.process, Signal::KILL) {
            self.count("kill tool");
            if young && let Some(role) = tool.words.get(2).and_then(|word| Role::parse(word).ok()) {
                self.killed.push(Killed { role, process: tool.process.clone(), young });
            }
        }
    }

    /// Maybe in the middle of what it does, with a gate in its hand.
    fn suspend_a_tool(&mut self) {
        let tools: Vec<_> = below::all(&self.world).into_iter().filter(below::Below::is_tool).collect();
        let Some(tool) = self.dice.one_of(&tools).cloned() else { return };
        self.suspend(&tool.process, 500, 4_000);
        self.count("suspend tool");
    }

    /// As when a lid is closed: everything, or tmux and some of its panes. A pane alone cannot be suspended,
    /// since tmux lets it go on at once.
    fn suspend_the_machine(&mut self, state: &State) {
        let Session::Up { server, .. } = &state.session else { return };
        let ms = 1_000 + self.dice.roll(7_000);
        let everybody = self.dice.roll(2) == 0;
        let server = server.clone();
        self.suspend(&server, ms, ms + 500);
        for it in below::all(&self.world).into_iter().filter(|it| it.process != server) {
            if everybody || self.dice.roll(4) == 0 {
                self.suspend(&it.process, ms, ms + 500);
            }
        }
        self.count(if everybody { "suspend all" } else { "suspend some" });
    }

    fn suspend(&mut self, it: &cmw::domain::session::process::Process, from_ms: usize, to_ms: usize) {
        let until = Instant::now() + self.dice.between_ms(from_ms, to_ms);
        if process::signal(it, Signal::STOP) {
            self.suspended.push((it.clone(), until));
            let it = it.clone();
            // Not by the chaos itself, which may have to wait for what it suspended.
            std::thread::spawn(move || {
                std::thread::sleep(until.saturating_duration_since(Instant::now()));
                process::signal(&it, Signal::CONT)
            });
        }
    }

    fn ask_with_another_time(&mut self) {
        let asked = *self.dice.one_of(&ASKED).unwrap();
        let ms = *self.dice.one_of(&JUMPS_MS).unwrap() * if self.dice.roll(2) == 0 { 1 } else { -1 };
        let mut command = self.world.command(&programs().join(asked[0]));
        let said: crate::support::session::Said =
            command.args(&asked[1..]).env("CMW_TEST_WALL_MS", ms.to_string()).output().unwrap().into();
        self.count("ask with another time");
        // Busy, not permitted and "something is wrong" are answers; damage and bugs are none.
        if ![0, 1, 69, 75, 77].contains(&said.code) {
            self.odd.push(format!("{asked:?} with the clock off by {ms} ms: {said:?}"));
        }
    }

    /// Sends a message, or is killed while it does; whatever is acknowledged counts as sent.
    fn send(&mut self, state: &State) {
        let roles: Vec<Role> = state.instances.keys().cloned().collect();
        let Some(role) = self.dice.one_of(&roles) else { return };
        let mut command = self.world.command(&programs().join("cmw-send"));
        let subject = format!("number {}", self.sent.len());
        command.args([role.as_str(), "--type", "NOTE", "--subject", &subject, "x"]);
        if self.dice.roll(3) == 0 {
            let ms = *self.dice.one_of(&JUMPS_MS).unwrap() * if self.dice.roll(2) == 0 { 1 } else { -1 };
            command.env("CMW_TEST_WALL_MS", ms.to_string());
        }
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        if self.dice.roll(3) == 0 {
            std::thread::sleep(self.dice.between_ms(0, 40));
            let _ = child.kill();
        }
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let _ = child.wait();
        self.count("send");
        if let Some(id) = said.strip_suffix('\n') {
            self.sent.push(id.to_owned());
        }
    }

    /// A role that crashed too often is started by the person.
    pub(crate) fn start_roles_without_a_process(&mut self, state: &State) {
        if state.lost.is_some() {
            return;
        }
        let given_up = |i: &&Instance| i.phase == InstancePhase::Crashed && i.restart.is_none();
        let roles: Vec<String> =
            (state.instances.iter()).filter(|(_, i)| given_up(i)).map(|(role, _)| role.to_string()).collect();
        for role in roles {
            self.count("start by hand");
            let said = self.world.tool("cmw-health", &["restart", &role]);
            if ![0, 1, 69, 75].contains(&said.code) {
                self.odd.push(format!("restart {role}: {said:?}"));
            }
        }
    }
}
