//! Owns what the screen of `cmw-health --watch` knows, and what each key and each look makes of it: a
//! function of what it is given, without terminal, disk or clock.
//!
//! Invariants (each has a test of the same name):
//! * `nothing_is_changed_without_a_confirmation_that_says_what_will_happen`
//! * `whose_line_is_selected_stays_selected_wherever_it_moves`

use crate::cli::screen::Tone;
use crate::cli::status::{Row, Status};
use crate::domain::role::Role;
use crate::domain::state::PURPOSE_CHARS_MAX;
use crate::domain::text;

use super::act::Act;
use super::view;

/// How many rows a page has, whatever the terminal's height: a page key is no measure.
const PAGE: usize = 10;

/// Everything that is drawn.
#[derive(Clone, Debug)]
pub struct Model {
    /// The last look; `None` before the first.
    pub status: Option<Box<Status>>,
    /// Why the latest look failed, when it did: what is shown is older then.
    pub trouble: Option<String>,
    /// Whose line is selected; `None`: the first one's.
    pub selected: Option<Role>,
    /// Where that line was, for when the role is gone.
    pub at: usize,
    /// What stands on the screen.
    pub face: Face,
    /// What the last act came to, in one line.
    pub said: Option<(Tone, String)>,
    /// The command that runs now.
    pub running: Option<String>,
    /// Whether a click selects; then the terminal selects no text.
    pub mouse: bool,
    /// Columns and lines.
    pub size: (u16, u16),
}

/// What stands on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Face {
    /// The instances.
    Table,
    /// The same, with a question below it.
    Ask(Question),
    /// A text over the whole screen.
    Sheet(Sheet),
    /// The messages of a role.
    Mail(Mail),
    /// One of them.
    Letter(Mail, Sheet),
}

/// A question before something is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What will be done.
    pub act: Act,
    /// What will happen, in words.
    pub what: String,
    /// What was typed so far, when a reason is wanted.
    pub reason: Option<String>,
}

/// A text to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// What stands above it.
    pub title: String,
    /// Its words, safe to write.
    pub words: String,
    /// How far it was scrolled, in lines.
    pub top: usize,
}

impl Sheet {
    fn new(title: impl Into<String>, words: impl Into<String>) -> Self {
        Self { title: title.into(), words: words.into(), top: 0 }
    }
}

/// The messages that wait for a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Whose.
    pub role: Role,
    /// They, oldest first.
    pub letters: Vec<Letter>,
    /// Which one is selected.
    pub at: usize,
}

/// One message in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Its number.
    pub seq: u64,
    /// One line, safe to write.
    pub line: String,
    /// Whether nobody has taken it up.
    pub is_new: bool,
}

/// A key, whatever the terminal calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Up.
    Up,
    /// Down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first.
    Home,
    /// To the last.
    End,
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-L.
    Redraw,
}

/// What happens to the screen.
#[derive(Clone, Debug)]
pub enum Message {
    /// A look succeeded.
    Looked(Box<Status>),
    /// A look failed, and why; safe to write.
    Failed(String),
    /// A key was pressed.
    Key(Key),
    /// This row of the table was clicked.
    Clicked(usize),
    /// The terminal has this size now.
    Resized(u16, u16),
    /// Messages were looked up.
    Letters(Role, Vec<Letter>),
    /// A message was looked up; its words are safe to write.
    Opened(u64, String),
    /// Something was done, or refused.
    Done(Done),
}

/// What came of something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// What was typed, or would have been.
    pub typed: String,
    /// Whether it went well.
    pub ok: bool,
    /// What it gave, safe to write.
    pub out: String,
    /// What it said besides: why not, and what to do; safe to write.
    pub words: String,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Run one of our programs with these words.
    Run(Vec<String>),
    /// Bring the pane of this role to the front.
    Jump(Role, String),
    /// Look up a role's messages.
    Letters(Role),
    /// Look up a message of a role.
    Open(Role, u64),
    /// Ask the terminal for clicks, or do not.
    Mouse(bool),
    /// Draw everything anew.
    Redraw,
    /// End.
    Leave,
}

impl Model {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(size: (u16, u16)) -> Self {
        Self {
            status: None,
            trouble: None,
            selected: None,
            at: 0,
            face: Face::Table,
            said: None,
            running: None,
            mouse: false,
            size,
        }
    }

    /// All instances, in the order of the table.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        self.status.as_ref().map_or(&[], |status| &status.rows)
    }

    /// The selected line.
    #[must_use]
    pub fn at(&self) -> usize {
        let found = self.selected.as_ref().and_then(|role| self.rows().iter().position(|r| r.role == *role));
        found.unwrap_or(self.at).min(self.rows().len().saturating_sub(1))
    }

    /// The selected instance.
    #[must_use]
    pub fn row(&self) -> Option<&Row> {
        self.rows().get(self.at())
    }

    fn select(&mut self, at: usize) {
        self.at = at.min(self.rows().len().saturating_sub(1));
        self.selected = self.rows().get(self.at).map(|row| row.role.clone());
    }

    fn say(&mut self, tone: Tone, words: impl Into<String>) -> Vec<Effect> {
        self.said = Some((tone, words.into()));
        Vec::new()
    }
}

/// Takes a message in; gives the screen as it is then, and what is to be done.
#[must_use]
pub fn update(mut model: Model, message: Message) -> (Model, Vec<Effect>) {
    let effects = match message {
        Message::Looked(status) => {
            let at = model.at();
            model.status = Some(status);
            model.trouble = None;
            // Who was selected without having been chosen is the first, whoever that is now.
            model.at = at;
            Vec::new()
        }
        Message::Failed(why) => {
            model.trouble = Some(why);
            Vec::new()
        }
        Message::Key(Key::Interrupt) => vec![Effect::Leave],
        Message::Key(Key::Redraw) => vec![Effect::Redraw],
        Message::Key(key) => press(&mut model, key),
        Message::Clicked(row) => {
            if model.face == Face::Table && row < model.rows().len() {
                model.select(row);
            }
            Vec::new()
        }
        Message::Resized(width, height) => {
            model.size = (width, height);
            Vec::new()
        }
        Message::Letters(role, letters) if letters.is_empty() => {
            model.say(Tone::Plain, format!("no messages wait for {role}"))
        }
        Message::Letters(role, letters) => {
            let at = letters.iter().position(|letter| letter.is_new).unwrap_or(0);
            model.face = Face::Mail(Mail { role, letters, at });
            Vec::new()
        }
        Message::Opened(seq, words) => {
            if let Face::Mail(mail) = &model.face
                && mail.letters.get(mail.at).is_some_and(|letter| letter.seq == seq)
            {
                let title = format!("a message to {}", mail.role);
                model.face = Face::Letter(mail.clone(), Sheet::new(title, words));
            }
            Vec::new()
        }
        Message::Done(what) => done(&mut model, &what),
    };
    (model, effects)
}

/// What was refused is shown whole; what went well in one line, when it gave no more.
fn done(model: &mut Model, what: &Done) -> Vec<Effect> {
    model.running = None;
    let (typed, out, words) = (&what.typed, what.out.trim_end(), what.words.trim_end());
    if what.ok && out.lines().count() <= 1 {
        return model.say(Tone::Plain, if out.is_empty() { typed } else { out });
    }
    let title = if what.ok { typed.clone() } else { format!("NOT DONE: {typed}") };
    let whole = [out, words].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    // Whoever reads or writes something else just now finds it in the line below.
    if matches!(model.face, Face::Table) {
        model.face = Face::Sheet(Sheet::new(title, whole));
        return Vec::new();
    }
    let tone = if what.ok { Tone::Plain } else { Tone::Bad };
    model.say(tone, text::line(&format!("{title}: {whole}")))
}

fn press(model: &mut Model, key: Key) -> Vec<Effect> {
    match std::mem::replace(&mut model.face, Face::Table) {
        Face::Table => on_table(model, key),
        Face::Ask(question) => on_question(model, question, key),
        Face::Sheet(sheet) => {
            model.face = turned(sheet, key, model.size).map_or(Face::Table, Face::Sheet);
            Vec::new()
        }
        Face::Mail(mail) => on_mail(model, mail, key),
        Face::Letter(mail, sheet) => {
            model.face = match turned(sheet, key, model.size) {
                Some(sheet) => Face::Letter(mail, sheet),
                None => Face::Mail(mail),
            };
            Vec::new()
        }
    }
}

fn on_table(model: &mut Model, key: Key) -> Vec<Effect> {
    let at = model.at();
    if let Some(to) = moved(key, at, model.rows().len()) {
        model.select(to);
        return Vec::new();
    }
    model.said = None;
    match key {
        Key::Char('q') | Key::Escape => vec![Effect::Leave],
        Key::Char('?' | 'h') => {
            model.face = Face::Sheet(Sheet::new("keys", HELP));
            Vec::new()
        }
        Key::Char('M') => {
            model.mouse = !model.mouse;
            let how = if model.mouse { "a click selects" } else { "a click is the terminal's" };
            let _ = model.say(Tone::Plain, format!("mouse: {how}"));
            vec![Effect::Mouse(model.mouse)]
        }
        Key::Enter => jump(model),
        Key::Char('m') => model.row().map(|row| Effect::Letters(row.role.clone())).into_iter().collect(),
        Key::Char(letter @ ('f' | 't' | 'r' | 'p')) => ask(model, letter),
        Key::Char(_)
        | Key::Up
        | Key::Down
        | Key::PageUp
        | Key::PageDown
        | Key::Home
        | Key::End
        | Key::Backspace
        | Key::Interrupt
        | Key::Redraw => Vec::new(),
    }
}

fn jump(model: &mut Model) -> Vec<Effect> {
    let Some(row) = model.row() else { return Vec::new() };
    match row.pane.clone() {
        Some(pane) => vec![Effect::Jump(row.role.clone(), pane)],
        None => {
            let words = format!("{} has no pane", row.role);
            model.say(Tone::Warn, words)
        }
    }
}

/// Asks before something is changed, or says why there is nothing to ask.
fn ask(model: &mut Model, letter: char) -> Vec<Effect> {
    if let Some(running) = &model.running {
        let words = format!("{running} still runs");
        return model.say(Tone::Warn, words);
    }
    let Some(status) = &model.status else { return Vec::new() };
    match Act::wanted(letter, status, model.row()) {
        Ok((act, what)) => {
            let reason = act.wants_reason().then(String::new);
            model.face = Face::Ask(Question { act, what, reason });
            Vec::new()
        }
        Err(why) => model.say(Tone::Plain, why),
    }
}

fn on_question(model: &mut Model, mut question: Question, key: Key) -> Vec<Effect> {
    let Some(reason) = &mut question.reason else {
        if matches!(key, Key::Char('y' | 'Y')) {
            return go(model, &question);
        }
        return model.say(Tone::Plain, "nothing was done");
    };
    match key {
        Key::Escape => return model.say(Tone::Plain, "nothing was done"),
        Key::Enter if !reason.trim().is_empty() => return go(model, &question),
        Key::Backspace => drop(reason.pop()),
        Key::Char(c) if !text::is_unsafe(c) && reason.chars().count() < PURPOSE_CHARS_MAX => reason.push(c),
        Key::Char(_)
        | Key::Enter
        | Key::Up
        | Key::Down
        | Key::PageUp
        | Key::PageDown
        | Key::Home
        | Key::End
        | Key::Interrupt
        | Key::Redraw => {}
    }
    model.face = Face::Ask(question);
    Vec::new()
}

fn go(model: &mut Model, question: &Question) -> Vec<Effect> {
    let words = question.act.words(question.reason.as_deref().unwrap_or_default().trim());
    model.running = Some(Act::typed(&words));
    model.said = None;
    vec![Effect::Run(words)]
}

fn on_mail(model: &mut Model, mut mail: Mail, key: Key) -> Vec<Effect> {
    if let Some(to) = moved(key, mail.at, mail.letters.len()) {
        mail.at = to;
    } else if matches!(key, Key::Escape | Key::Char('q' | 'm')) {
        return Vec::new();
    } else if key == Key::Enter
        && let Some(letter) = mail.letters.get(mail.at)
    {
        let effect = Effect::Open(mail.role.clone(), letter.seq);
        model.face = Face::Mail(mail);
        return vec![effect];
    }
    model.face = Face::Mail(mail);
    Vec::new()
}

/// Where a key of movement leads among so many; `None` for another key.
fn moved(key: Key, at: usize, count: usize) -> Option<usize> {
    let to = match key {
        Key::Up | Key::Char('k') => at.saturating_sub(1),
        Key::Down | Key::Char('j') => at + 1,
        Key::PageUp => at.saturating_sub(PAGE),
        Key::PageDown => at + PAGE,
        Key::Home | Key::Char('g') => 0,
        Key::End | Key::Char('G') => usize::MAX,
        Key::Char(_) | Key::Enter | Key::Escape | Key::Backspace | Key::Interrupt | Key::Redraw => {
            return None;
        }
    };
    Some(to.min(count.saturating_sub(1)))
}

/// A sheet after a key: scrolled, or, by any other key, closed.
fn turned(mut sheet: Sheet, key: Key, size: (u16, u16)) -> Option<Sheet> {
    let last = view::last_top(&sheet, size);
    sheet.top = moved(key, sheet.top.min(last), last + 1)?;
    Some(sheet)
}

/// What the keys do.
const HELP: &str = "\
j k ↓ ↑     select an instance (also g, G, page keys)
Enter       bring its pane to the front
m           its messages; there Enter shows one, Esc goes back
r           restart it
p           pause it, or let it go on
f           force-release the write lock
t           thaw what is frozen
M           mouse: a click selects (then the terminal selects no text)
Ctrl-L      draw everything anew
q Esc ^C    leave

What changes something asks first, and the rules hold here as in every
command: while a session runs nobody beside it is known to be the person,
so that force-release and thaw are refused here.";
