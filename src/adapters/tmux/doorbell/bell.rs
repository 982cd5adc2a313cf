//! The doorbell: types one fixed line into a pane whose client waits with an empty input line.
//!
//! Invariants, each with a test of the same name in `tests/live/tmux/`:
//! * `no_draft_is_lost_and_no_dialog_answered`: nothing is typed unless the pane shows an empty input line.
//! * `enter_follows_only_our_line`, once, and nothing but the line and Enter is ever typed.
//! * `a_neighbour_hears_nothing`: the pane is addressed by id, and checked for pid and role.
//! * `no_buffer_stays_behind`: the buffer exists only within one step of the server.
//!
//! The server compares the observed state once more in the step that types. A remaining race: a key that a
//! person pressed, and that the program has not shown yet when Enter follows.

use std::fmt;
use std::time::Duration;

use crate::adapters::tmux::client::Batch;
use crate::adapters::tmux::doorbell::prompt::{self, Prompt, PromptPosition, PromptReading};
use crate::adapters::tmux::doorbell::screen::Screen;
use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::pane::{self, PaneId};
use crate::adapters::tmux::server::Tmux;
use crate::domain::identity::role::Role;
use crate::domain::mail::id::MessageId;

/// How many seconds a terminal that shows the pane as its active one must have been without input.
const QUIET_S: u64 = 10;

/// How long the input line must stay empty.
const STEADY: Duration = Duration::from_millis(250);

/// How often, and after which pause each, the screen is read after the line was typed: about a second.
/// Clients take an Enter that follows at once for a part of the paste, so the line must be seen more than
/// once.
const LOOKS: u32 = 8;
const LOOKS_MIN: u32 = 2;
const PAUSE: Duration = Duration::from_millis(120);

/// How many characters of a message's id the line shows, from its end.
const ID_SHOWN: usize = 8;

/// The pane to ring, and the line to type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doorbell {
    pane: PaneId,
    pid: u32,
    role: Role,
    line: String,
    prompts: &'static [Prompt],
}

impl Doorbell {
    /// Returns the bell of a role's pane, for a message; `prompts` are the shapes of its client's empty input
    /// line.
    #[must_use]
    pub fn new(pane: PaneId, pid: u32, role: Role, id: MessageId, prompts: &'static [Prompt]) -> Self {
        let id = id.to_string();
        let end = &id[id.len() - ID_SHOWN..];
        // Plain letters only: for a shell, or a client with its own commands, no character has a special
        // meaning.
        let line = format!("cmw: new message {end} - run: cmw-inbox next");
        Self { pane, pid, role, line, prompts }
    }

    /// Returns the line that is typed: printable ASCII, at most 80 characters, no text of a message.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }
}

/// The result of ringing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingOutcome {
    /// The line was typed, and Enter after it.
    Rung,
    /// Nothing was typed, or no Enter; the reason.
    Not(RingRefusal),
}

/// Why the bell did not ring. In all cases but the last nothing was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingRefusal {
    /// The pane no longer exists.
    Gone,
    /// Its program has ended.
    Dead,
    /// The pane has another process or another role now.
    OtherProcess,
    /// A person scrolls, copies or selects there.
    InMode,
    /// Input to the pane goes to other panes too, or is disabled.
    Diverted,
    /// A person used a terminal that shows the pane a moment ago.
    PersonTypes,
    /// Its input line has text.
    Draft,
    /// It shows no input line: a dialog, work in progress, or an unknown screen.
    NoPrompt,
    /// It shows no input line, and the cursor is hidden.
    CursorHidden,
    /// It is working, or would send more than its input line shows.
    Busy,
    /// The screen changed while it was examined.
    Restless,
    /// The line was typed, but the input line then had other text too: the line stays there without Enter.
    Disturbed,
}

impl fmt::Display for RingRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "its pane is gone",
            Self::Dead => "its program has ended",
            Self::OtherProcess => "another process is in its pane",
            Self::InMode => "a person is scrolling or copying in its pane",
            Self::Diverted => "input to its pane goes to other panes too, or is disabled",
            Self::PersonTypes => "a person is typing in its pane",
            Self::Draft => "its input line is not empty",
            Self::NoPrompt => "its pane shows no input line",
            Self::CursorHidden => "its pane shows no input line, and no cursor",
            Self::Busy => "it is working, or would send more than its input line",
            Self::Restless => "its pane keeps changing",
            Self::Disturbed => {
                "the line was typed, but the input line has other text too, so Enter was not pressed"
            }
        })
    }
}

/// The state of a pane, without its role.
const STATE: &str = "#{pane_id} #{pane_pid} #{?pane_dead,1,0} #{?pane_in_mode,1,0} \
                     #{?pane_synchronized,1,0}#{?pane_input_off,1,0}";
/// The state of its cursor.
const CURSOR: &str = "#{cursor_x} #{cursor_y} #{?cursor_flag,1,0}";

/// The state of a pane in one step of the server.
struct PaneReading {
    screen: Screen,
    /// A reason not to type, regardless of the screen.
    refused: Option<RingRefusal>,
}

impl Tmux {
    /// Types the bell's line into its pane, and Enter once the input line is exactly that line. Takes half a
    /// second, or a second and a half when the line is not accepted.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`] and the general ones. A bell that may not ring is no error.
    pub fn ring(&self, bell: &Doorbell) -> Result<RingOutcome, TmuxError> {
        let first = match self.empty_line(bell)? {
            Ok((place, _)) => place,
            Err(why) => return Ok(RingOutcome::Not(why)),
        };
        std::thread::sleep(STEADY);
        let (place, screen) = match self.empty_line(bell)? {
            Ok(found) => found,
            Err(why) => return Ok(RingOutcome::Not(why)),
        };
        if place != first {
            return Ok(RingOutcome::Not(RingRefusal::Restless));
        }
        if !self.paste(bell, &screen)? {
            let why = self.empty_line(bell)?.err().unwrap_or(RingRefusal::Restless);
            return Ok(RingOutcome::Not(why));
        }
        self.enter_after(bell, place.prompt)
    }

    /// Returns the position of the pane's empty input line, when typing into it is allowed.
    fn empty_line(
        &self,
        bell: &Doorbell,
    ) -> Result<Result<(PromptPosition, Screen), RingRefusal>, TmuxError> {
        let look = match self.read_pane(bell)? {
            PaneReading { refused: Some(why), .. } => return Ok(Err(why)),
            PaneReading { screen, refused: None } => screen,
        };
        Ok(match prompt::read(&look, bell.prompts) {
            PromptReading::Empty(place) => Ok((place, look)),
            PromptReading::Draft => Err(RingRefusal::Draft),
            PromptReading::NoPrompt => Err(RingRefusal::NoPrompt),
            PromptReading::CursorHidden => Err(RingRefusal::CursorHidden),
            PromptReading::Busy => Err(RingRefusal::Busy),
        })
    }

    /// Waits until the input line is exactly ours, in two reads, and only then presses Enter.
    fn enter_after(&self, bell: &Doorbell, prompt: &Prompt) -> Result<RingOutcome, TmuxError> {
        let mut seen = 0;
        for _ in 0..LOOKS {
            std::thread::sleep(PAUSE);
            let look = self.read_pane(bell)?;
            if let Some(why) = look.refused {
                let ended = matches!(why, RingRefusal::Gone | RingRefusal::Dead | RingRefusal::OtherProcess);
                return Ok(RingOutcome::Not(if ended { why } else { RingRefusal::Disturbed }));
            }
            if prompt.holds(&look.screen, &bell.line) {
                seen += 1;
                if seen >= LOOKS_MIN && self.press_enter(bell, &look.screen)? {
                    return Ok(RingOutcome::Rung);
                }
            }
        }
        Ok(RingOutcome::Not(RingRefusal::Disturbed))
    }

    /// Reads everything about a pane in one step of the server, so that the parts are consistent.
    fn read_pane(&self, bell: &Doorbell) -> Result<PaneReading, TmuxError> {
        let (mark, id) = (pane::fresh_mark(), bell.pane.to_string());
        let mut batch = Batch::default();
        // `%s` is the server's own time, which it also uses for its clients' activity.
        let state = format!("{STATE} %s #{{pane_width}} {CURSOR} #{{@cmw_role}}");
        batch.push(["display-message", "-p", "-t", &id, &state]);
        let client = format!("{mark} #{{client_activity}} #{{pane_id}}");
        batch.push(["list-clients", "-F", &client]);
        batch.push(["display-message", "-p", &format!("{mark} screen")]);
        batch.push(["capture-pane", "-p", "-e", "-t", &id]);
        let output = match self.run(&batch) {
            Ok(output) => output,
            Err(TmuxError::NoPane { .. }) => return Ok(PaneReading::refused(RingRefusal::Gone)),
            Err(other) => return Err(other),
        };
        let output = String::from_utf8_lossy(&output);
        PaneReading::parse(&output, &mark, bell).ok_or_else(|| TmuxError::Failed {
            command: "capture-pane".to_owned(),
            stderr: "unreadable answer".to_owned(),
        })
    }

    /// Pastes the line, if the pane is unchanged; the buffer exists within this step only.
    fn paste(&self, bell: &Doorbell, seen: &Screen) -> Result<bool, TmuxError> {
        let (buffer, id) = (pane::fresh_mark(), bell.pane);
        let mut batch = Batch::default();
        batch.push(["set-buffer", "-b", &buffer, &bell.line]);
        let paste = format!("paste-buffer -p -r -d -b {buffer} -t {id} ; display-message -p done");
        let id = id.to_string();
        let keep = format!("delete-buffer -b {buffer}");
        batch.push(["if-shell", "-F", "-t", &id, &bell.unchanged(seen), &paste, &keep]);
        let pasted = self.run(&batch).inspect_err(|_| {
            // The first error is the one to report.
            drop(self.run(Batch::default().push(["delete-buffer", "-b", &buffer])));
        })?;
        Ok(pasted == b"done\n")
    }

    /// Presses Enter, if the pane is unchanged.
    fn press_enter(&self, bell: &Doorbell, seen: &Screen) -> Result<bool, TmuxError> {
        let enter = format!("send-keys -t {} Enter ; display-message -p done", bell.pane);
        let id = bell.pane.to_string();
        let mut batch = Batch::default();
        batch.push(["if-shell", "-F", "-t", &id, &bell.unchanged(seen), &enter]);
        Ok(self.run(&batch)? == b"done\n")
    }

    /// Shows at a pane's upper edge how many messages wait; with 0 removes the number. Used where the bell
    /// may not ring. Returns whether the session has such a pane of ours.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`], [`TmuxError::BadSpec`] for a name that no session can have, and the
    /// general ones.
    pub fn badge(&self, session: &str, id: PaneId, waiting: u32) -> Result<bool, TmuxError> {
        crate::adapters::tmux::server::target(session)?;
        let ours = crate::adapters::tmux::status_line::ours(session, id);
        let set = match waiting {
            0 => format!("set-option -p -u -t {id} @cmw_badge"),
            n => format!("set-option -p -t {id} @cmw_badge '{n} mail'"),
        };
        let set = format!("{set} ; display-message -p done");
        let id = id.to_string();
        Ok(self.run(Batch::default().push(["if-shell", "-F", "-t", &id, &ours, &set]))? == b"done\n")
    }
}

impl Doorbell {
    /// Returns the condition that the pane is this one, unchanged, with its cursor at the same position.
    fn unchanged(&self, seen: &Screen) -> String {
        let (x, y) = seen.cursor;
        let expected =
            format!("{} {} 0 0 00 {x} {y} {} {}", self.pane, self.pid, u8::from(seen.shown), self.role);
        format!("#{{==:{STATE} {CURSOR} #{{@cmw_role}},{expected}}}")
    }
}

impl PaneReading {
    fn refused(why: RingRefusal) -> Self {
        Self { screen: Screen::parse("", 0, (0, 0), false), refused: Some(why) }
    }

    fn parse(output: &str, mark: &str, bell: &Doorbell) -> Option<Self> {
        let (head, captured) = output.split_once(&format!("{mark} screen\n"))?;
        let mark = format!("{mark} ");
        let mut parts = head.split(mark.as_str());
        let mut state = parts.next()?.strip_suffix('\n')?.splitn(11, ' ');
        if state.next()? != bell.pane.to_string() {
            return Some(Self::refused(RingRefusal::Gone));
        }
        let [pid, dead, in_mode, diverted, now, width, x, y, shown, role] =
            [(); 10].map(|()| state.next().unwrap_or_default());
        let now: u64 = now.parse().ok()?;
        let mut is_typing = false;
        for client in parts {
            let (activity, pane) = client.trim_end().split_once(' ')?;
            is_typing |=
                pane == bell.pane.to_string() && now.saturating_sub(activity.parse().ok()?) < QUIET_S;
        }
        let conditions = [
            (pid != bell.pid.to_string() || role != bell.role.as_str(), RingRefusal::OtherProcess),
            (dead != "0", RingRefusal::Dead),
            (in_mode != "0", RingRefusal::InMode),
            (diverted != "00", RingRefusal::Diverted),
            (is_typing, RingRefusal::PersonTypes),
        ];
        let refused = conditions.into_iter().find(|(holds, _)| *holds).map(|(_, why)| why);
        let cursor = (x.parse().ok()?, y.parse().ok()?);
        let screen = Screen::parse(captured, width.parse().ok()?, cursor, shown == "1");
        Some(Self { screen, refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bell() -> Doorbell {
        let role = Role::parse("Dev-A").expect("a role");
        let id = MessageId::from_parts(1_763_334_000_123, u128::MAX);
        Doorbell::new(PaneId::parse("%3").expect("an id"), 77, role, id, prompt::AIDER_PROMPTS)
    }

    #[test]
    fn the_line_is_fixed_but_for_the_id() {
        for random in [0, 7, u128::MAX, 1 << 79] {
            let id = MessageId::from_parts(1_763_334_000_123, random);
            let line = Doorbell { line: String::new(), ..bell() };
            let line = Doorbell::new(line.pane, line.pid, line.role, id, prompt::AIDER_PROMPTS).line;
            assert!(line.len() <= 80 && line.chars().all(|c| c.is_ascii_alphanumeric() || " :-".contains(c)));
            assert_eq!(line, format!("cmw: new message {} - run: cmw-inbox next", &id.to_string()[18..]));
        }
    }

    #[test]
    fn what_the_server_says_is_judged() {
        let look = |state: &str, clients: &str| {
            let output = format!("{state}\n{clients}M screen\n> \n");
            PaneReading::parse(&output, "M", &bell()).map(|look| look.refused)
        };
        assert_eq!(look("%3 77 0 0 00 1000 60 2 0 1 Dev-A", ""), Some(None));
        for (state, why) in [
            ("   0 0 00 1000    0 ", RingRefusal::Gone),
            ("%4 77 0 0 00 1000 60 2 0 1 Dev-A", RingRefusal::Gone),
            ("%3 78 0 0 00 1000 60 2 0 1 Dev-A", RingRefusal::OtherProcess),
            ("%3 77 0 0 00 1000 60 2 0 1 Dev-B", RingRefusal::OtherProcess),
            ("%3 77 0 0 00 1000 60 2 0 1 ", RingRefusal::OtherProcess),
            ("%3 77 1 0 00 1000 60 2 0 1 Dev-A", RingRefusal::Dead),
            ("%3 77 0 1 00 1000 60 2 0 1 Dev-A", RingRefusal::InMode),
            ("%3 77 0 0 10 1000 60 2 0 1 Dev-A", RingRefusal::Diverted),
            ("%3 77 0 0 01 1000 60 2 0 1 Dev-A", RingRefusal::Diverted),
        ] {
            assert_eq!(look(state, ""), Some(Some(why)), "{state}");
        }
        let state = "%3 77 0 0 00 1000 60 2 0 1 Dev-A";
        for (clients, refused) in [
            ("M 991 %3\n", true),
            ("M 990 %3\n", false),
            ("M 999 %4\n", false),
            ("M 5 %3\nM 1001 %3\n", true),
        ] {
            assert_eq!(look(state, clients), Some(refused.then_some(RingRefusal::PersonTypes)), "{clients}");
        }
        assert_eq!(look("%3 77 0 0 00 %s 60 2 0 1 Dev-A", ""), None);
        assert_eq!(look("%3", ""), None);
    }
}
