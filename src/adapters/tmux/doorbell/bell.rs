//! Owns the doorbell: one fixed line, typed into a pane whose client waits with an empty input line.
//!
//! Invariants, each with a test of the same name in `tests/tmux_adapter/`:
//! * `no_draft_is_lost_and_no_dialog_answered`: whatever the pane shows but an empty input line.
//! * `enter_follows_only_our_line`, once, and nothing but the line and Enter is ever typed.
//! * `a_neighbour_hears_nothing`: the pane is addressed by id, and checked for pid and role.
//! * `no_buffer_stays_behind`: it lives within one step of the server.
//!
//! What was seen is compared once more by the server itself in the step that types. What remains: a
//! key that a person pressed, and that the program has not shown yet when Enter follows.

use std::fmt;
use std::time::Duration;

use crate::adapters::tmux::client::Batch;
use crate::adapters::tmux::doorbell::prompt;
use crate::adapters::tmux::doorbell::prompt::{Place, Prompt, Reading};
use crate::adapters::tmux::doorbell::screen::Screen;
use crate::adapters::tmux::error::TmuxError;
use crate::adapters::tmux::pane;
use crate::adapters::tmux::pane::PaneId;
use crate::adapters::tmux::server::Tmux;
use crate::domain::identity::role::Role;
use crate::domain::mail::id::MessageId;

/// So long nobody must have touched a terminal that shows the pane as its active one, in seconds.
const QUIET_S: u64 = 10;

/// How long the empty input line must last.
const STEADY: Duration = Duration::from_millis(250);

/// After the line was typed the screen is looked at so often, and before each look so long waited:
/// about a second. Clients take an Enter that follows at once for a part of what was pasted, so it
/// must have been there more than once.
const LOOKS: u32 = 8;
const LOOKS_MIN: u32 = 2;
const PAUSE: Duration = Duration::from_millis(120);

/// How many characters of a message's id the line names, from its end.
const ID_SHOWN: usize = 8;

/// Whom to ring, and what with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bell {
    pane: PaneId,
    pid: u32,
    role: Role,
    line: String,
    prompts: &'static [Prompt],
}

impl Bell {
    /// The bell of a role's pane, for a message; `prompts` is what an empty input line of its client
    /// looks like.
    #[must_use]
    pub fn new(pane: PaneId, pid: u32, role: Role, id: MessageId, prompts: &'static [Prompt]) -> Self {
        let id = id.to_string();
        let end = &id[id.len() - ID_SHOWN..];
        // Plain letters only: a shell, or a client with commands of its own, must find no sign in it.
        let line = format!("cmw: new message {end} - run: cmw-inbox next");
        Self { pane, pid, role, line, prompts }
    }

    /// The line that is typed: printable ASCII, at most 80 characters, no word of a message.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }
}

/// Whether it rang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// The line was typed, and Enter after it.
    Rung,
    /// It was not; why.
    Not(WhyNot),
}

/// Why the bell did not ring. Except for the last one nothing was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// There is no such pane any more.
    Gone,
    /// Its program has ended.
    Dead,
    /// It shows another process or another role now.
    OtherProcess,
    /// A person scrolls, copies or chooses there.
    InMode,
    /// What is typed there goes to other panes too, or nowhere.
    Diverted,
    /// Somebody was at a terminal that shows it, moments ago.
    SomebodyTypes,
    /// Something stands in its input line.
    Draft,
    /// It shows no input line: a dialog, work, or what is not known.
    NoPrompt,
    /// The same, with the cursor hidden.
    CursorHidden,
    /// It is at work, or has more to send than its input line shows.
    Busy,
    /// What it shows changed while it was looked at.
    Restless,
    /// The line was typed, and then the input line was not exactly it: it stands there, no Enter
    /// followed, and none will.
    Disturbed,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "its pane is gone",
            Self::Dead => "its program has ended",
            Self::OtherProcess => "another process is in its pane",
            Self::InMode => "somebody scrolls or copies in its pane",
            Self::Diverted => "what is typed into its pane goes to other panes too, or nowhere",
            Self::SomebodyTypes => "somebody is typing in its pane",
            Self::Draft => "something stands in its input line already",
            Self::NoPrompt => "its pane shows no input line",
            Self::CursorHidden => "its pane shows no input line, and no cursor",
            Self::Busy => "it is at work, or has more to send",
            Self::Restless => "its pane changes all the time",
            Self::Disturbed => "the line was typed, but not taken alone, so Enter was not pressed",
        })
    }
}

/// What the server says of a pane, up to its role.
const STATE: &str = "#{pane_id} #{pane_pid} #{?pane_dead,1,0} #{?pane_in_mode,1,0} \
                     #{?pane_synchronized,1,0}#{?pane_input_off,1,0}";
/// And of its cursor.
const CURSOR: &str = "#{cursor_x} #{cursor_y} #{?cursor_flag,1,0}";

/// What was seen of a pane in one step of the server.
struct Look {
    screen: Screen,
    /// Why nothing may be typed into it, whatever it shows.
    refused: Option<WhyNot>,
}

impl Tmux {
    /// Types the bell's line into its pane, and Enter once the input line is exactly that line. It
    /// takes half a second, or a second and a half when the line is not taken.
    ///
    /// # Errors
    /// [`TmuxError::NoServer`] and the general ones. That the bell may not ring is no error.
    pub fn ring(&self, bell: &Bell) -> Result<Rung, TmuxError> {
        let first = match self.empty_line(bell)? {
            Ok((place, _)) => place,
            Err(why) => return Ok(Rung::Not(why)),
        };
        std::thread::sleep(STEADY);
        let (place, screen) = match self.empty_line(bell)? {
            Ok(found) => found,
            Err(why) => return Ok(Rung::Not(why)),
        };
        if place != first {
            return Ok(Rung::Not(WhyNot::Restless));
        }
        if !self.paste(bell, &screen)? {
            let why = self.empty_line(bell)?.err().unwrap_or(WhyNot::Restless);
            return Ok(Rung::Not(why));
        }
        self.enter_after(bell, place.prompt)
    }

    /// Where the pane's empty input line is, when everything allows typing into it.
    fn empty_line(&self, bell: &Bell) -> Result<Result<(Place, Screen), WhyNot>, TmuxError> {
        let look = match self.look(bell)? {
            Look { refused: Some(why), .. } => return Ok(Err(why)),
            Look { screen, refused: None } => screen,
        };
        Ok(match prompt::read(&look, bell.prompts) {
            Reading::Empty(place) => Ok((place, look)),
            Reading::Draft => Err(WhyNot::Draft),
            Reading::NoPrompt => Err(WhyNot::NoPrompt),
            Reading::CursorHidden => Err(WhyNot::CursorHidden),
            Reading::Busy => Err(WhyNot::Busy),
        })
    }

    /// Waits until the input line is exactly ours, at two looks, and only then presses Enter.
    fn enter_after(&self, bell: &Bell, prompt: &Prompt) -> Result<Rung, TmuxError> {
        let mut seen = 0;
        for _ in 0..LOOKS {
            std::thread::sleep(PAUSE);
            let look = self.look(bell)?;
            if let Some(why) = look.refused {
                let ended = matches!(why, WhyNot::Gone | WhyNot::Dead | WhyNot::OtherProcess);
                return Ok(Rung::Not(if ended { why } else { WhyNot::Disturbed }));
            }
            if prompt.holds(&look.screen, &bell.line) {
                seen += 1;
                if seen >= LOOKS_MIN && self.press_enter(bell, &look.screen)? {
                    return Ok(Rung::Rung);
                }
            }
        }
        Ok(Rung::Not(WhyNot::Disturbed))
    }

    /// Everything about a pane, in one step of the server: nothing moves between its parts.
    fn look(&self, bell: &Bell) -> Result<Look, TmuxError> {
        let (mark, id) = (pane::fresh_mark(), bell.pane.to_string());
        let mut batch = Batch::default();
        // `%s` is the server's own time, by which it notes what its clients do.
        let state = format!("{STATE} %s #{{pane_width}} {CURSOR} #{{@cmw_role}}");
        batch.push(["display-message", "-p", "-t", &id, &state]);
        let client = format!("{mark} #{{client_activity}} #{{pane_id}}");
        batch.push(["list-clients", "-F", &client]);
        batch.push(["display-message", "-p", &format!("{mark} screen")]);
        batch.push(["capture-pane", "-p", "-e", "-t", &id]);
        let output = match self.run(&batch) {
            Ok(output) => output,
            Err(TmuxError::NoPane { .. }) => return Ok(Look::refused(WhyNot::Gone)),
            Err(other) => return Err(other),
        };
        let output = String::from_utf8_lossy(&output);
        Look::parse(&output, &mark, bell).ok_or_else(|| TmuxError::Failed {
            command: "capture-pane".to_owned(),
            stderr: "unreadable answer".to_owned(),
        })
    }

    /// Pastes the line, if the pane is still as it was seen; the buffer lives within this step only.
    fn paste(&self, bell: &Bell, seen: &Screen) -> Result<bool, TmuxError> {
        let (buffer, id) = (pane::fresh_mark(), bell.pane);
        let mut batch = Batch::default();
        batch.push(["set-buffer", "-b", &buffer, &bell.line]);
        let paste = format!("paste-buffer -p -r -d -b {buffer} -t {id} ; display-message -p done");
        let id = id.to_string();
        let keep = format!("delete-buffer -b {buffer}");
        batch.push(["if-shell", "-F", "-t", &id, &bell.unchanged(seen), &paste, &keep]);
        let pasted = self.run(&batch).inspect_err(|_| {
            // Whatever was wrong there, the first error is the one to report.
            drop(self.run(Batch::default().push(["delete-buffer", "-b", &buffer])));
        })?;
        Ok(pasted == b"done\n")
    }

    /// Presses Enter, if the pane is still as it was seen.
    fn press_enter(&self, bell: &Bell, seen: &Screen) -> Result<bool, TmuxError> {
        let enter = format!("send-keys -t {} Enter ; display-message -p done", bell.pane);
        let id = bell.pane.to_string();
        let mut batch = Batch::default();
        batch.push(["if-shell", "-F", "-t", &id, &bell.unchanged(seen), &enter]);
        Ok(self.run(&batch)? == b"done\n")
    }

    /// Shows at a pane's upper edge how many messages wait; with 0 it shows nothing any more. For
    /// where the bell may not ring. Whether there is such a pane of ours in the session is answered.
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

impl Bell {
    /// The condition that the pane is this one, undisturbed, with its cursor where it was seen.
    fn unchanged(&self, seen: &Screen) -> String {
        let (x, y) = seen.cursor;
        let expected =
            format!("{} {} 0 0 00 {x} {y} {} {}", self.pane, self.pid, u8::from(seen.shown), self.role);
        format!("#{{==:{STATE} {CURSOR} #{{@cmw_role}},{expected}}}")
    }
}

impl Look {
    fn refused(why: WhyNot) -> Self {
        Self { screen: Screen::parse("", 0, (0, 0), false), refused: Some(why) }
    }

    fn parse(output: &str, mark: &str, bell: &Bell) -> Option<Self> {
        let (head, captured) = output.split_once(&format!("{mark} screen\n"))?;
        let mark = format!("{mark} ");
        let mut parts = head.split(mark.as_str());
        let mut state = parts.next()?.strip_suffix('\n')?.splitn(11, ' ');
        if state.next()? != bell.pane.to_string() {
            return Some(Self::refused(WhyNot::Gone));
        }
        let [pid, dead, in_mode, diverted, now, width, x, y, shown, role] =
            [(); 10].map(|()| state.next().unwrap_or_default());
        let now: u64 = now.parse().ok()?;
        let mut somebody = false;
        for client in parts {
            let (activity, pane) = client.trim_end().split_once(' ')?;
            somebody |= pane == bell.pane.to_string() && now.saturating_sub(activity.parse().ok()?) < QUIET_S;
        }
        let conditions = [
            (pid != bell.pid.to_string() || role != bell.role.as_str(), WhyNot::OtherProcess),
            (dead != "0", WhyNot::Dead),
            (in_mode != "0", WhyNot::InMode),
            (diverted != "00", WhyNot::Diverted),
            (somebody, WhyNot::SomebodyTypes),
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

    fn bell() -> Bell {
        let role = Role::parse("Dev-A").expect("a role");
        let id = MessageId::from_parts(1_763_334_000_123, u128::MAX);
        Bell::new(PaneId::parse("%3").expect("an id"), 77, role, id, prompt::AIDER)
    }

    #[test]
    fn the_line_is_fixed_but_for_the_id() {
        for random in [0, 7, u128::MAX, 1 << 79] {
            let id = MessageId::from_parts(1_763_334_000_123, random);
            let line = Bell { line: String::new(), ..bell() };
            let line = Bell::new(line.pane, line.pid, line.role, id, prompt::AIDER).line;
            assert!(line.len() <= 80 && line.chars().all(|c| c.is_ascii_alphanumeric() || " :-".contains(c)));
            assert_eq!(line, format!("cmw: new message {} - run: cmw-inbox next", &id.to_string()[18..]));
        }
    }

    #[test]
    fn what_the_server_says_is_judged() {
        let look = |state: &str, clients: &str| {
            let output = format!("{state}\n{clients}M screen\n> \n");
            Look::parse(&output, "M", &bell()).map(|look| look.refused)
        };
        assert_eq!(look("%3 77 0 0 00 1000 60 2 0 1 Dev-A", ""), Some(None));
        for (state, why) in [
            ("   0 0 00 1000    0 ", WhyNot::Gone),
            ("%4 77 0 0 00 1000 60 2 0 1 Dev-A", WhyNot::Gone),
            ("%3 78 0 0 00 1000 60 2 0 1 Dev-A", WhyNot::OtherProcess),
            ("%3 77 0 0 00 1000 60 2 0 1 Dev-B", WhyNot::OtherProcess),
            ("%3 77 0 0 00 1000 60 2 0 1 ", WhyNot::OtherProcess),
            ("%3 77 1 0 00 1000 60 2 0 1 Dev-A", WhyNot::Dead),
            ("%3 77 0 1 00 1000 60 2 0 1 Dev-A", WhyNot::InMode),
            ("%3 77 0 0 10 1000 60 2 0 1 Dev-A", WhyNot::Diverted),
            ("%3 77 0 0 01 1000 60 2 0 1 Dev-A", WhyNot::Diverted),
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
            assert_eq!(look(state, clients), Some(refused.then_some(WhyNot::SomebodyTypes)), "{clients}");
        }
        assert_eq!(look("%3 77 0 0 00 %s 60 2 0 1 Dev-A", ""), None);
        assert_eq!(look("%3", ""), None);
    }
}
