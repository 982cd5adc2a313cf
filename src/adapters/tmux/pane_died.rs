//! Owns being told at once that a pane of the session ended (DOMAIN section 8): hooks of tmux that run
//! a program of ours.
//!
//! Invariants, each with a test of the same name in `tests/tmux_adapter/deaths.rs`:
//! * `the_users_own_hooks_still_run`: what is set on a window hides what is set for all windows, so
//!   the user's hooks stand in front of ours; where they cannot, nothing of ours is set.
//! * `no_word_of_ours_and_no_role_is_run`
//!
//! What is told may come late, and copies of the user's hooks are those of the moment in which they
//! were made: whoever is told must also look. A server that notes logins in utmp (libutempter, as
//! Debian builds it) is deaf to the ends of its children for the millisecond in which it takes a
//! pane's login back; a process that ends just then stays a zombie, and its hook waits, until another
//! child ends. [`Tmux::panes`] sees such a one, and has the server notice.

use crate::adapters::os::process;
use crate::adapters::tmux::client::Batch;
use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::pane;
use crate::adapters::tmux::pane::PaneInfo;
use crate::adapters::tmux::server::{Tmux, target};

/// The option that holds our command line, for a shell: the value of an option is neither read as a
/// command of tmux nor as a format.
const LINE: &str = "@cmw_deaths";

/// Our places in the arrays of hooks: the user's come first, copied from [`COPIES`] on.
const OURS: usize = 7_999;
const COPIES: usize = 7_000;

/// What every line that a hook runs ends with. Anything printed, and a status other than 0, would be
/// shown over somebody's pane.
const QUIET: &str = "</dev/null >/dev/null 2>&1 || :";

/// What tmux knows of a pane that stays to be read. All but the role is made by tmux itself; of the
/// role nothing is left that a shell could take for more than a word.
const DIED: &str = "'#{pane_id}' '#{pane_pid}' '#{pane_dead_status}' '#{pane_dead_signal}' \
                    '#{s/[^A-Za-z0-9_-]/_/:@cmw_role}'";
/// A pane that is gone already: every other field would be a neighbour's.
const EXITED: &str = "'#{hook_pane}' '' '' '' ''";
/// Somebody closed a pane or a window, and tmux does not say which.
const CLOSED: &str = "'' '' '' '' ''";

/// One kind of news.
struct Event {
    hook: &'static str,
    /// Whether the hook belongs to each window (before tmux 3.2 all belonged to the session).
    of_window: bool,
    told: &'static str,
}

const EVENTS: [Event; 4] = [
    Event { hook: "pane-died", of_window: true, told: DIED },
    Event { hook: "pane-exited", of_window: true, told: EXITED },
    Event { hook: "after-kill-pane", of_window: false, told: CLOSED },
    Event { hook: "window-unlinked", of_window: false, told: CLOSED },
];

/// One entry of an array of hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    index: Option<usize>,
    command: String,
}

impl Entry {
    fn is_ours(&self) -> bool {
        self.index.is_some_and(|index| (COPIES..=OURS).contains(&index))
    }

    /// Reads what `show-hooks` prints: `pane-died[3] display-message x`.
    fn parse(line: &str, hook: &str) -> Option<Self> {
        let (index, command) = line.strip_prefix(hook)?.strip_prefix('[')?.split_once("] ")?;
        Some(Self { index: index.parse().ok(), command: command.to_owned() })
    }
}

/// What is to be set wherever the session has or gets a window.
pub(crate) struct Hooks {
    line: String,
    session_id: String,
    /// The user's hooks for all sessions and windows, for each of [`EVENTS`].
    global: Vec<Vec<Entry>>,
}

impl Hooks {
    /// Sets the hooks of a window that has none of its own; `target` may be any pane in it.
    pub(crate) fn set_on_new_window(&self, target: &str, batch: &mut Batch) {
        self.set(target, true, &[], batch);
    }

    /// Sets the hooks of a window, or the session's own; `local` is what is set there already.
    fn set(&self, target: &str, of_window: bool, local: &[Vec<Entry>], batch: &mut Batch) {
        let scope: &[&str] = if of_window { &["-w"] } else { &[] };
        batch.push([&["set-option"], scope, &["-t", target, LINE, &self.line]].concat());
        for (i, event) in EVENTS.iter().enumerate().filter(|(_, event)| event.of_window == of_window) {
            let local = local.get(i).map_or(&[][..], Vec::as_slice);
            let global = self.global.get(i).map_or(&[][..], Vec::as_slice);
            // Entries of the user's own there hide the global ones, as he wants it.
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

    /// The command of tmux that tells of an event. It is fixed but for the session's id, and holds no
    /// quote of the other kind and no backslash.
    fn command(&self, event: &Event) -> String {
        // A pane that is gone has no session any more; then the options are looked for in ours.
        let from = if event.told == DIED { String::new() } else { format!("-t '{}:' ", self.session_id) };
        format!("run-shell -b {from}\"#{{{LINE}}} {} {QUIET}\"", event.told)
    }
}

impl Tmux {
    /// Has a program run whenever a pane of the session ends, within milliseconds: `words`, and five
    /// arguments more: the pane's id, the process that was started in it, its exit status, the signal
    /// that ended it, and the role. What is not known is an empty argument: of a pane that somebody
    /// closed, all of them.
    ///
    /// It is for all windows that the session has now, and for those that [`Tmux::add_pane`] opens.
    /// Called again it takes the place of the call before, and the user's hooks are copied anew.
    ///
    /// # Errors
    /// [`TmuxError::BadSpec`] for words that no program can be given, [`TmuxError::NoServer`],
    /// [`TmuxError::NoSession`] and the general ones; then nothing is told.
    pub fn tell_of_deaths(&self, session: &str, words: &[String]) -> Result<(), TmuxError> {
        let here = target(session)?;
        let hooks = self.hooks(session, &shell_line(words)?)?;
        let mut windows = Batch::default();
        windows.push(["list-windows", "-t", &here, "-F", "#{window_id}"]);
        let windows = String::from_utf8_lossy(&self.run(&windows)?).into_owned();
        let places: Vec<(&str, bool)> =
            windows.lines().map(|id| (id, true)).chain([(here.as_str(), false)]).collect();
        let set: Vec<Vec<Entry>> =
            self.entries(places.iter().flat_map(|(id, _)| EVENTS.iter().map(|e| (Some(*id), e.hook))))?;
        let mut batch = Batch::default();
        for ((id, of_window), local) in places.iter().zip(set.chunks(EVENTS.len())) {
            hooks.set(id, *of_window, local, &mut batch);
        }
        self.run(&batch).map(drop).inspect_err(|_| {
            for ((id, of_window), local) in places.iter().zip(set.chunks(EVENTS.len())) {
                self.take_back(id, *of_window, local);
            }
        })
    }

    /// What a new window of the session needs, when the deaths of its panes are told.
    pub(crate) fn hooks_of(&self, session: &str) -> Result<Option<Hooks>, TmuxError> {
        let line = self.session_option(session, LINE)?;
        line.map(|line| self.hooks(session, &String::from_utf8_lossy(&line))).transpose()
    }

    fn hooks(&self, session: &str, line: &str) -> Result<Hooks, TmuxError> {
        let here = target(session)?;
        let session_id =
            self.run(Batch::default().push(["list-panes", "-t", &here, "-F", "#{session_id}"]))?;
        let session_id = String::from_utf8_lossy(&session_id);
        let session_id = session_id.lines().next().unwrap_or_default().to_owned();
        let global = self.entries(EVENTS.iter().map(|event| (None, event.hook)))?;
        Ok(Hooks { line: line.to_owned(), session_id, global })
    }

    /// The entries of hooks, in their order: those for all, or those set at a target alone.
    fn entries<'a>(
        &self,
        asked: impl Iterator<Item = (Option<&'a str>, &'a str)> + Clone,
    ) -> Result<Vec<Vec<Entry>>, TmuxError> {
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
            part.lines().filter_map(|line| Entry::parse(line, hook)).collect::<Vec<_>>()
        };
        Ok(parts.zip(asked.map(|(_, hook)| hook)).map(read).collect())
    }

    /// Removes what is ours from a window or the session, as far as it can be reached: after a failure
    /// the user's hooks must be seen again.
    fn take_back(&self, target: &str, of_window: bool, before: &[Vec<Entry>]) {
        for (event, before) in EVENTS.iter().zip(before).filter(|(event, _)| event.of_window == of_window) {
            let mut batch = Batch::default();
            if before.iter().all(Entry::is_ours) {
                // An array without entries would go on hiding the global one: so the whole of it.
                batch.push(["set-hook", "-u", "-t", target, event.hook]);
            } else {
                batch.push(["set-hook", "-u", "-t", target, &format!("{}[{OURS}]", event.hook)]);
            }
            // The failure that led here is the one to report.
            drop(self.run(&batch));
        }
        let scope: &[&str] = if of_window { &["-w"] } else { &[] };
        drop(self.run(Batch::default().push([&["set-option"], scope, &["-u", "-t", target, LINE]].concat())));
    }
}

/// Whether the process of a pane has ended without the server having noticed.
pub(crate) fn is_unnoticed(pane: &PaneInfo) -> bool {
    pane.dead
        && pane.dead_status.or(pane.dead_signal).is_none()
        && process::stat(pane.pid).is_some_and(|stat| stat.zombie)
}

/// Has the server look after all its children: it does whenever one of them ends.
pub(crate) fn notice(batch: &mut Batch) -> &mut Batch {
    batch.push(["run-shell", "true"])
}

/// Words as a line for a POSIX shell, which reads each as it is.
fn shell_line(words: &[String]) -> Result<String, TmuxError> {
    if words.first().is_none_or(String::is_empty) || words.iter().any(|word| word.contains('\0')) {
        let why = "who is to be told of a pane's end is no command, or holds a zero byte";
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
        let of = |line: &str| Entry::parse(line, "pane-died").map(|e| (e.index, e.command));
        assert_eq!(
            of("pane-died[3] display-message \"a] b\""),
            Some((Some(3), "display-message \"a] b\"".into()))
        );
        assert_eq!(of("pane-died[x] kill-pane"), Some((None, "kill-pane".into())));
        for none in ["pane-died", "pane-died ", "pane-died-too[3] x", "pane-died[3]", ""] {
            assert_eq!(of(none), None, "{none:?}");
        }
        let ours = |index| Entry { index, command: String::new() }.is_ours();
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
        let hooks = Hooks { line: "'x'".into(), session_id: "$3".into(), global: Vec::new() };
        for event in &EVENTS {
            let command = hooks.command(event);
            assert_eq!(command.matches('"').count(), 2, "{command}");
            assert!(!command.contains('\\') && !command.contains("#("), "{command}");
        }
    }
}
