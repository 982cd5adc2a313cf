//! Observation from outside: processes and their resources, what `cmw` shows of a client, and the outcome
//! of messages.

use serde_json::Value;

use super::lab::Lab;

/// Whether tests that take minutes are run; says so when they are not.
pub(crate) fn is_slow_run(takes: &str) -> bool {
    let is_slow = std::env::var_os("CMW_CLAUDE_SLOW").is_some();
    if !is_slow {
        println!("not run: it takes {takes} (CMW_CLAUDE_SLOW=1)");
    }
    is_slow
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    /// Time of the processor, in ticks of 10 ms.
    pub(crate) ticks: u64,
    /// How often it fell asleep.
    pub(crate) sleeps: u64,
    /// How often it was put off.
    pub(crate) put_off: u64,
}

impl Used {
    /// Of a process that lives.
    pub(crate) fn by(pid: u32) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let count = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().parse().unwrap()
        };
        // The fields behind the name begin with the third.
        let ticks = |at: usize| fields[at - 3].parse::<u64>().unwrap();
        Self {
            ticks: ticks(14) + ticks(15),
            sleeps: count("voluntary_ctxt_switches"),
            put_off: count("nonvoluntary_ctxt_switches"),
        }
    }
}

/// How much memory is a process's own, with its share of what it has together with others.
pub(crate) fn pss_kib(pid: u32) -> usize {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let share = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    share.trim().trim_end_matches(" kB").parse().unwrap()
}

impl Lab {
    /// The processes that wait to wake a client.
    pub(crate) fn waiters(&self) -> Vec<u32> {
        let all = self.processes().into_iter().filter(|(_, words)| words.contains("claude wait"));
        all.map(|(pid, _)| pid).collect()
    }

    /// Waits until so many processes wait to wake a client.
    #[track_caller]
    pub(crate) fn until_waiters(&self, role: &str, n: usize) {
        self.wait(role, &format!("{n} waiters"), || self.waiters().len() == n);
    }

    /// What `cmw --json` shows of a role.
    #[track_caller]
    pub(crate) fn shown(&self, role: &str) -> Value {
        self.tool("cmw", &["--json"]).data()["instances"][role].clone()
    }

    /// Waits until `cmw` shows that a client does this.
    #[track_caller]
    pub(crate) fn until_shown(&self, role: &str, activity: &str) {
        let shown = || self.shown(role)["activity"]["activity"] == activity;
        self.wait(role, &format!("cmw to show {activity}"), shown);
    }

    /// Waits until a client's `n`th turn has ended.
    #[track_caller]
    pub(crate) fn until_turns(&self, role: &str, n: usize) {
        let turns = || self.events(role, "Stop").len();
        self.wait(role, &format!("the end of turn {n}"), || turns() >= n);
    }

    /// How often all that the model of a role was last sent says a text.
    pub(crate) fn times_told(&self, role: &str, text: &str) -> usize {
        let last = self.model.requests(role).pop();
        last.map_or(0, |request| request.all().matches(text).count())
    }

    /// The states of all messages of a sender whose subject contains a text, with one recipient.
    #[track_caller]
    pub(crate) fn states(&self, from: &str, subject: &str, to: &str) -> Vec<Value> {
        let sent = self.as_role(from, "cmw-inbox sent --limit 200 --json").ok().data();
        let sent = sent.as_array().unwrap().iter();
        let sent = sent.filter(|m| m["subject"].as_str().is_some_and(|s| s.contains(subject)));
        let one = |m: &Value| m["deliveries"].as_array()?.iter().find(|d| d["mailbox"] == to).cloned();
        sent.filter_map(one).collect()
    }
}
