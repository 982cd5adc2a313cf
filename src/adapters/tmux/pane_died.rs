//! Immediate notification that a pane of the session ended (docs/rules.md R8.8): tmux hooks that run a
//! program of ours.
//!
//! Invariants, each with a test of the same name in `tests/live/tmux/deaths.rs`:
//! * `the_users_own_hooks_still_run`: a hook set on a window hides the global one, so copies of the user's
//!   hooks are placed before ours; where that is impossible, nothing of ours is set.
//! * `no_word_of_ours_and_no_role_is_run`
//!
//! A notification may come late, and the copies of the user's hooks may be outdated: the program must also
//! check by itself. A server that records logins in utmp (libutempter, as Debian builds it) misses the ends
//! of its children for the millisecond in which it removes a pane's login; a process that ends just then
//! stays a zombie, and its hook waits, until another child ends. [`Tmux::panes`] detects this, and makes the
//! server notice.

use crate::adapters::os::process;
use crate::adapters::tmux::client::Batch;
use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::pane::{self, PaneInfo};
use crate::adapters::tmux::server::{Tmux, target};

/// The option with our command line, for a shell: the value of an option is interpreted neither as a tmux
/// command nor as a format.
const LINE: &str = "@cmw_deaths";

/// Our indices in the arrays of hooks: the user's come first, copied from [`COPIES`] on.
const OURS: usize = 7_999;
const COPIES: usize = 7_000;

/// The end of every line that a hook runs: output, or a status other than 0, would be shown over the user's
/// pane.
const QUIET: &str = "</dev/null >/dev/null 2>&1 || :";

/// What tmux knows of a pane that stays. All but the role is made by tmux itself; in the role every character
/// that a shell could interpret is replaced.
const DIED: &str = "'#{pane_id}' '#{pane_pid}' '#{pane_dead_status}' '#{pane_dead_signal}' \
                    '#{s/[^A-Za-z0-9_-]/_/:@cmw_role}'";
/// A pane that no longer exists: every other field would be a neighbour's.
const EXITED: &str = "'#{hook_pane}' '' '' '' ''";
/// A pane or a window was closed, and tmux does not say which.
const CLOSED: &str = "'' '' '' '' ''";

/// One kind of event.
struct PaneEvent {
    hook: &'static str,
    /// Whether the hook belongs to each window (before tmux 3.2 all belonged to the session).
    of_window: bool,
    told: &'static str,
}

const EVENTS: [PaneEvent; 4] = [
    PaneEvent { hook: "pane-died", of_window: true, told: DIED },
    PaneEvent { hook: "pane-exited", of_window: true, told: EXITED },
    PaneEvent { hook: "after-kill-pane", of_window: false, told: CLOSED },
    PaneEvent { hook: "window-unlinked", of_window: false, told: CLOSED },
];

/// One entry of an array of hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HookEntry {
    index: Option<usize>,
    command: String,
}

impl HookEntry {
    fn is_ours(&self) -> bool {
        self.index.is_some_and(|index| (COPIES..=OURS).contains(&index))
    }

    /// Parses the output of `show-hooks`: `pane-died[3] display-message x`.
    fn parse(line: &str, hook: &str) -> Option<Self> {
        let (index, command) = line.strip_prefix(hook)?.strip_prefix('[')?.split_once("] ")?;
        Some(Self { index: index.parse().ok(), command: command.to_owned() })
    }
}

/// The hooks to set on each window of the session.
pub(crate) struct PaneHooks {
    line: String,
    session_id: String,
    /// The user's hooks for all sessions and windows, for each of [`EVENTS`].
    global: Vec<Vec<HookEntry>>,
}

impl PaneHooks {
    /// Sets the hooks of a window that has none of its own; `target` may be any pane in it.
    pub(crate) fn set_on_new_window(&self, target: &str, batch: &mut Batch) {
        self.set(target, true, &[], batch);
    }

    /// Sets the hooks of a window, or of the session; `local` has the hooks set there already.
    fn set(&self, target: &str, of_window: bool, local: &[Vec<HookEntry>], batch: &mut Batch) {
        let scope: &[&str] = if of_window { &["-w"] } else { &[] };
        batch.push([&["set-option"], scope, &["-t", target, LINE, &self.line]].concat());
        for (i, event) in EVENTS.iter().enumerate().filter(|(_, event)| event.of_window == of_window) {
            let local = local.get(i).map_or(&[][..], Vec::as_slice);
            let global = self.global.get(i).map_or(&[][..], Vec::as_slice);
            // The user's own entries there hide the global ones, as intended.
            let hides = local.iter().any(|entry| !entry.is_ours());
            let copied = if hides { &[] } else { &global[..global.len().min(OURS - COPIES)] };
            for (i, entry) in copied.iter().enumerate() {
                let place = format!("{}[{}]", event.hook, COPIES + i);
                batch.push(["set-hook", "-t", target, &place, &entry.command]);
            }
            let place = format!("{}[{OURS}]", event.hook);
            batch.push(["set-hook", "-t", target, &place, &self.command(event)]);
            let stale = local.iter().filter(|entry| entry.is_ours()).filter_map(|entry| entry.index);
            for index in stale.filter(|index| (COPIES + copied.len()..OURS).contains(index)) {
                batch.push(["set-hook", "-u", "-t", target, &format!("{}[{index}]", event.hook)]);
            }
        }
    }

    /// Returns the tmux command for an event. It is fixed but for the session's id, and has no quote of the
    /// other kind and no backslash.
    fn command(&self, event: &PaneEvent) -> String {
        // A pane that no longer exists has no session; then the options are looked up in ours.
        let from = if event.told == DIED { String::new() } else { format!("-t '{}:' ", self.session_id) };
        format!("run-shell -b {from}\"#{{{LINE}}} {} {QUIET}\"", event.told)
    }
}

impl Tmux {
    /// Runs a program whenever a pane of the session ends, within milliseconds, with `words` and five more
    /// arguments: the pane's id, the process that was started in it, its exit status, the signal that ended
    /// it, and the role. Unknown values are empty arguments: all of them for a pane that was closed.
    ///
    /// Applies to all windows that the session has now, and to those that [`Tmux::add_pane`] opens. A further
    /// call replaces the previous one, and copies the user's hooks anew.
    ///
    /// # Errors
    /// [`TmuxError::BadSpec`] for words that cannot be passed to a program, [`TmuxError::NoServer`],
    /// [`TmuxError::NoSession`] and the general ones; then there are no notifications.
    pub fn set_pane_died_hook(&self, session: &str, words: &[String]) -> Result<(), TmuxError> {
        let here = target(session)?;
        let hooks = self.hooks(session, &shell_line(words)?)?;
        let mut windows = Batch::default();
        windows.push(["list-windows", "-t", &here, "-F", "#{window_id}"]);
        let windows = String::from_utf8_lossy(&self.run(&windows)?).into_owned();
        let places: Vec<(&str, bool)> =
            windows.lines().map(|id| (id, true)).chain([(here.as_str(), false)]).collect();
        let set: Vec<Vec<HookEntry>> =
            self.entries(places.iter().flat_map(|(id, _)| EVENTS.iter().map(|e| (Some(*id), e.hook))))?;
        let mut batch = Batch::default();
        for ((id, of_window), local) in places.iter().zip(set.chunks(EVENTS.len())) {
            hooks.set(id, *of_window, local, &mut batch);
        }
        self.run(&batch).map(drop).inspect_err(|_| {
            for ((id, of_window), local) in places.iter().zip(set.chunks(EVENTS.len())) {
                self.restore_hooks(id, *of_window, local);
            }
        })
    }

    /// Returns the hooks that a new window of the session needs, when notifications are enabled.
    pub(crate) fn hooks_of(&self, session: &str) -> Result<Option<PaneHooks>, TmuxError> {
        let line = self.session_option(session, LINE)?;
        line.map(|line| self.hooks(session, &String::from_utf8_lossy(&line))).transpose()
    }

    fn hooks(&self, session: &str, line: &str) -> Result<PaneHooks, TmuxError> {
        let here = target(session)?;
        let session_id =
            self.run(Batch::default().push(["list-panes", "-t", &here, "-F", "#{session_id}"]))?;
        let session_id = String::from_utf8_lossy(&session_id);
        let session_id = session_id.lines().next().unwrap_or_default().to_owned();
        let global = self.entries(EVENTS.iter().map(|event| (None, event.hook)))?;
        Ok(PaneHooks { line: line.to_owned(), session_id, global })
    }

    /// Returns the entries of hooks, in order: the global ones, or those set on a target.
    fn entries<'a>(
        &self,
        asked: impl Iterator<Item = (Option<&'a str>, &'a str)> + Clone,
    ) -> Result<Vec<Vec<HookEntry>>, TmuxError> {
        let mark = pane::fresh_mark();
        let mark_line = format!("{mark}\n");
        let mut batch = Batch::default();
        for (target, hook) in asked.clone() {
            batch.push(["display-message", "-p", &mark]);
            match target {
                Some(target) => batch.push(["show-hooks", "-t", target, hook]),
                None => batch.push(["show-hooks", "-g", hook]),
            };
        }
        let printed = self.run(&batch)?;
        let printed = String::from_utf8_lossy(&printed);
        let parts = printed.split(mark_line.as_str()).skip(1);
        let read = |(part, hook): (&str, &str)| {
            part.lines().filter_map(|line| HookEntry::parse(line, hook)).collect::<Vec<_>>()
        };
        Ok(parts.zip(asked.map(|(_, hook)| hook)).map(read).collect())
    }

    /// Removes our hooks from a window or the session, as far as it can be reached: after a failure the
    /// user's hooks must be effective again.
    fn restore_hooks(&self, target: &str, of_window: bool, before: &[Vec<HookEntry>]) {
        for (event, before) in EVENTS.iter().zip(before).filter(|(event, _)| event.of_window == of_window) {
            let mut batch = Batch::default();
            if before.iter().all(HookEntry::is_ours) {
                // An array without entries would still hide the global one: so the whole array.
                batch.push(["set-hook", "-u", "-t", target, event.hook]);
            } else {
                batch.push(["set-hook", "-u", "-t", target, &format!("{}[{OURS}]", event.hook)]);
            }
            // The first failure is the one to report.
            drop(self.run(&batch));
        }
        let scope: &[&str] = if of_window { &["-w"] } else { &[] };
        drop(self.run(Batch::default().push([&["set-option"], scope, &["-u", "-t", target, LINE]].concat())));
    }
}

/// Returns whether the process of a pane has ended without the server having noticed.
pub(crate) fn is_unnoticed(pane: &PaneInfo) -> bool {
    pane.dead
        && pane.dead_status.or(pane.dead_signal).is_none()
        && process::stat(pane.pid).is_some_and(|stat| stat.zombie)
}

/// Makes the server check all its children, which it does whenever one of them ends.
pub(crate) fn notice(batch: &mut Batch) -> &mut Batch {
    batch.push(["run-shell", "true"])
}

/// Quotes words as a line for a POSIX shell.
fn shell_line(words: &[String]) -> Result<String, TmuxError> {
    if words.first().is_none_or(String::is_empty) || words.iter().any(|word| word.contains('\0')) {
        let why = "the program to notify of a pane's end has no command, or contains a zero byte";
        return Err(TmuxError::BadSpec(why.to_owned()));
    }
    let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''"))).collect();
    Ok(quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_tmux_prints_it() {
        let of = |line: &str| HookEntry::parse(line, "pane-died").map(|e| (e.index, e.command));
        assert_eq!(
            of("pane-died[3] display-message \"a] b\""),
            Some((Some(3), "display-message \"a] b\"".into()))
        );
        assert_eq!(of("pane-died[x] kill-pane"), Some((None, "kill-pane".into())));
        for none in ["pane-died", "pane-died ", "pane-died-too[3] x", "pane-died[3]", ""] {
            assert_eq!(of(none), None, "{none:?}");
        }
        let ours = |index| HookEntry { index, command: String::new() }.is_ours();
        assert_eq!([6_999, 7_000, 7_999, 8_000].map(|i| ours(Some(i))), [false, true, true, false]);
        assert!(!ours(None));
    }

    #[test]
    fn a_word_stays_one_word_for_a_shell() {
        let line = |words: &[&str]| shell_line(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["a b", "it's", "", "$(x)\n"]).unwrap(), "'a b' 'it'\\''s' '' '$(x)\n'");
        for none in [&[][..], &[""], &["a", "b\0"]] {
            assert!(matches!(line(none), Err(TmuxError::BadSpec(_))), "{none:?}");
        }
    }

    #[test]
    fn our_command_needs_no_quoting() {
        let hooks = PaneHooks { line: "'x'".into(), session_id: "$3".into(), global: Vec::new() };
        for event in &EVENTS {
            let command = hooks.command(event);
            assert_eq!(command.matches('"').count(), 2, "{command}");
            assert!(!command.contains('\\') && !command.contains("#("), "{command}");
        }
    }
}
