//! Updates the model of the `cmw-health --watch` screen on a key, a new status or a result; a pure function,
//! without terminal, disk or clock.
//!
//! Invariants (each has a test of the same name):
//! * `nothing_is_changed_without_a_confirmation_that_says_what_will_happen`
//! * `whose_line_is_selected_stays_selected_wherever_it_moves`
//! * `what_was_refused_is_shown_whole`

use crate::cli::style::Tone;
use crate::domain::lock::request::PURPOSE_CHARS_MAX;
use crate::domain::util::sanitize;

use crate::cli::health::watch::act::Action;
use crate::cli::health::watch::model::{
    ActionResult, Effect, Key, MailView, Message, Model, Page, Question, View,
};
use crate::cli::health::watch::view;

/// How many rows a page key moves, regardless of the terminal's height.
const PAGE: usize = 10;

/// Handles a message; returns the new model and the effects.
#[must_use]
pub fn update(mut model: Model, message: Message) -> (Model, Vec<Effect>) {
    let effects = match message {
        Message::Looked(status) => {
            let at = model.at();
            model.status = Some(status);
            model.trouble = None;
            // Without a selection the first line counts as selected, whichever role it shows.
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
            if model.face == View::Table && row < model.rows().len() {
                model.select(row);
            }
            Vec::new()
        }
        Message::Resized(width, height) => {
            model.size = (width, height);
            Vec::new()
        }
        Message::Letters(role, letters) if letters.is_empty() => {
            model.say(Tone::Plain, format!("no messages are waiting for {role}"))
        }
        Message::Letters(role, letters) => {
            let at = letters.iter().position(|letter| letter.is_new).unwrap_or(0);
            model.face = View::Mail(MailView { role, letters, at });
            Vec::new()
        }
        Message::Opened(seq, words) => {
            if let View::Mail(mail) = &model.face
                && mail.letters.get(mail.at).is_some_and(|letter| letter.seq == seq)
            {
                let title = format!("a message to {}", mail.role);
                model.face = View::Letter(mail.clone(), Page::new(title, words));
            }
            Vec::new()
        }
        Message::InFront(_, true) => vec![Effect::Leave],
        Message::InFront(words, false) => model.say(Tone::Plain, words),
        Message::Done(what) => done(&mut model, &what),
    };
    (model, effects)
}

/// Shows a failure in full, and a success in one line if it printed no more.
fn done(model: &mut Model, what: &ActionResult) -> Vec<Effect> {
    model.running = None;
    let (typed, out, words) = (&what.typed, what.out.trim_end(), what.words.trim_end());
    if what.ok && out.lines().count() <= 1 {
        return model.say(Tone::Plain, if out.is_empty() { typed } else { out });
    }
    let title = if what.ok { typed.clone() } else { format!("FAILED: {typed}") };
    let whole = [out, words].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    // A person who is reading or typing something else sees it in the bottom line.
    if matches!(model.face, View::Table) {
        model.face = View::Sheet(Page::new(title, whole));
        return Vec::new();
    }
    let tone = if what.ok { Tone::Plain } else { Tone::Bad };
    model.say(tone, sanitize::line(&format!("{title}: {whole}")))
}

fn press(model: &mut Model, key: Key) -> Vec<Effect> {
    match std::mem::replace(&mut model.face, View::Table) {
        View::Table => on_table(model, key),
        View::Ask(question) => on_question(model, question, key),
        View::Sheet(sheet) => {
            model.face = turned(sheet, key, model.size).map_or(View::Table, View::Sheet);
            Vec::new()
        }
        View::Mail(mail) => on_mail(model, mail, key),
        View::Letter(mail, sheet) => {
            model.face = match turned(sheet, key, model.size) {
                Some(sheet) => View::Letter(mail, sheet),
                None => View::Mail(mail),
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
            model.face = View::Sheet(Page::new("keys", HELP));
            Vec::new()
        }
        Key::Char('M') => {
            model.mouse = !model.mouse;
            let how =
                if model.mouse { "a click selects an instance" } else { "clicks are left to the terminal" };
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

/// Asks for confirmation of an action, or says why it is not possible.
fn ask(model: &mut Model, letter: char) -> Vec<Effect> {
    if let Some(running) = &model.running {
        let words = format!("{running} is still running");
        return model.say(Tone::Warn, words);
    }
    let Some(status) = &model.status else { return Vec::new() };
    match Action::wanted(letter, status, model.row()) {
        Ok((act, what)) => {
            let reason = act.wants_reason().then(String::new);
            model.face = View::Ask(Question { act, what, reason });
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
        return model.say(Tone::Plain, "cancelled");
    };
    match key {
        Key::Escape => return model.say(Tone::Plain, "cancelled"),
        Key::Enter if !reason.trim().is_empty() => return go(model, &question),
        Key::Backspace => drop(reason.pop()),
        Key::Char(c) if !sanitize::is_unsafe(c) && reason.chars().count() < PURPOSE_CHARS_MAX => {
            reason.push(c);
        }
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
    model.face = View::Ask(question);
    Vec::new()
}

fn go(model: &mut Model, question: &Question) -> Vec<Effect> {
    let words = question.act.words(question.reason.as_deref().unwrap_or_default().trim());
    model.running = Some(Action::typed(&words));
    model.said = None;
    vec![Effect::Run(words)]
}

fn on_mail(model: &mut Model, mut mail: MailView, key: Key) -> Vec<Effect> {
    if let Some(to) = moved(key, mail.at, mail.letters.len()) {
        mail.at = to;
    } else if matches!(key, Key::Escape | Key::Char('q' | 'm')) {
        return Vec::new();
    } else if key == Key::Enter
        && let Some(letter) = mail.letters.get(mail.at)
    {
        let effect = Effect::Open(mail.role.clone(), letter.seq);
        model.face = View::Mail(mail);
        return vec![effect];
    }
    model.face = View::Mail(mail);
    Vec::new()
}

/// Returns the index to which a key moves among `count` lines; `None` for another key.
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

/// Returns the sheet scrolled by a key; any other key closes it.
fn turned(mut sheet: Page, key: Key, size: (u16, u16)) -> Option<Page> {
    let last = view::last_top(&sheet, size);
    sheet.top = moved(key, sheet.top.min(last), last + 1)?;
    Some(sheet)
}

/// The help of the keys.
const HELP: &str = "\
j k ↓ ↑     select an instance (also g, G, page keys)
Enter       select its pane
m           its messages; there Enter shows one, Esc goes back
r           restart it
p           pause it, or resume it
f           force-release the write lock
t           lift the freeze (thaw)
M           mouse: a click selects (then the terminal selects no text)
Ctrl-L      redraw the screen
q Esc ^C    quit

Actions ask for confirmation first, and the same rules apply as for
every command: while a session is up, a terminal outside it is not
recognised as the User's, so force-release and thaw are refused here.";

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
