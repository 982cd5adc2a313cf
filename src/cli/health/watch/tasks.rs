//! Background tasks of the `cmw-health --watch` screen, each in a thread of its own, so that the screen never
//! waits: cmw programs, selecting a pane, loading messages.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::adapters::os::clock;
use crate::adapters::tmux::pane::PaneId;
use crate::adapters::tmux::server::{Server, Tmux};
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::mail::session;
use crate::app::programs;
use crate::app::session::tmux::tmux_failure;
use crate::cli::Common;
use crate::cli::inbox::{list, show};
use crate::domain::identity::actor::Mailbox;
use crate::domain::identity::role::Role;
use crate::domain::session::instance::Session;
use crate::domain::util::sanitize;
use crate::store::mail::mailbox;

use crate::cli::health::watch::MessageSender;
use crate::cli::health::watch::act::Action;
use crate::cli::health::watch::model::{ActionResult, Effect, Message, MessageRow};

/// The most messages of a role that are listed, the newest.
const LETTERS_MAX: usize = 500;

/// Performs an effect in a thread, and sends its result. Effects on the screen itself are ignored.
pub(crate) fn start(env: &Env, common: &Common, effect: Effect, tell: &MessageSender) {
    let (env, common, tell) = (env.clone(), common.clone(), tell.clone());
    std::thread::spawn(move || {
        let message = match effect {
            Effect::Run(words) => ran(&common, &words),
            Effect::Jump(role, pane) => jumped(&env, &common, &role, &pane),
            Effect::Letters(role) => match letters(&env, &common, &role) {
                Ok(letters) => Message::Letters(role, letters),
                Err(failure) => not_done(format!("the mail of {role}"), &failure),
            },
            Effect::Open(role, seq) => match letter(&env, &common, seq) {
                Ok(words) => Message::Opened(seq, words),
                Err(failure) => not_done(format!("a message to {role}"), &failure),
            },
            Effect::Mouse(_) | Effect::Redraw | Effect::Leave => return,
        };
        // The receiver is gone once the person has left.
        let _ = tell.tell(message);
    });
}

/// Runs a cmw program as the caller of this one; its output is shown.
fn ran(common: &Common, words: &[String]) -> Message {
    let typed = Action::typed(words);
    let said = || -> Result<ActionResult, Failure> {
        let (program, args) = words.split_first().expect("an act has a program");
        let mut command = Command::new(programs::directory()?.join(program));
        command.args(args);
        if let Some(repo) = &common.repo {
            command.arg("--repo").arg(repo);
        }
        if let Some(role) = &common.as_role {
            command.args(["--as", role]);
        }
        let output = command.stdin(Stdio::null()).output().map_err(|error| {
            let what = format!("cannot run {program}: {error}");
            Failure::with_next_step(crate::app::exit::Exit::Unavailable, what, "cmw-doctor")
        })?;
        let safe = |bytes: &[u8]| sanitize::block(&String::from_utf8_lossy(bytes));
        let (out, words) = (safe(&output.stdout), safe(&output.stderr));
        Ok(ActionResult { typed: typed.clone(), ok: output.status.success(), out, words })
    };
    said().map_or_else(|failure| not_done(typed.clone(), &failure), Message::Done)
}

fn not_done(typed: String, failure: &Failure) -> Message {
    Message::Done(ActionResult { typed, ok: false, out: String::new(), words: failure.text() })
}

/// Selects a role's pane in its session.
fn jumped(env: &Env, common: &Common, role: &Role, pane: &str) -> Message {
    let what = format!("to the pane of {role}");
    let done = || -> Result<Message, Failure> {
        let state = common.open(env)?.state()?;
        let no_session = || {
            let what = "no session is running";
            Failure::with_next_step(crate::app::exit::Exit::Unavailable, what, "cmw-session up")
        };
        let Session::Up { name, socket, .. } = &state.session else { return Err(no_session()) };
        let pane = PaneId::parse(pane).ok_or_else(no_session)?;
        let server = socket.clone().map_or(Server::Default, Server::Named);
        let path = env.get("PATH").map(OsString::from);
        let tmux = Tmux::find(path.as_deref(), &server).map_err(tmux_failure)?;
        tmux.select(name, pane).map_err(tmux_failure)?;
        let inside = env.get("TMUX").is_some_and(|variable| tmux.serves(variable).unwrap_or(false));
        let hint = if inside { "" } else { "; to see it: cmw-session attach" };
        // A program in a popup of this server has no pane of its own.
        let is_popup = inside && env.get("TMUX_PANE").is_none();
        Ok(Message::InFront(format!("{role}'s pane {pane} is selected{hint}"), is_popup))
    };
    done().unwrap_or_else(|failure| not_done(what, &failure))
}

/// Returns the waiting messages of a role. None is taken up: the sender does not see that it was read.
fn letters(env: &Env, common: &Common, role: &Role) -> Result<Vec<MessageRow>, Failure> {
    let context = common.open(env)?;
    let registry = session::registry(&context);
    let mut waiting = mailbox::names(context.store.disk(), &Mailbox::Role(role.clone()))?;
    waiting.drain(..waiting.len().saturating_sub(LETTERS_MAX));
    let now = clock::now().wall;
    let mut letters = Vec::new();
    for (seq, is_new) in waiting {
        let Some(record) = registry.get(seq)? else { continue };
        let it = &record.envelope;
        let age = list::age(now, it.created_at);
        let (from, kind) = (sanitize::shorten(&it.sender(), 14), sanitize::shorten(it.kind.as_str(), 20));
        let line = format!(
            "{age:>4} {from:<14} {:<8} {kind:<20} {}",
            it.priority.to_string(),
            sanitize::line(&it.subject)
        );
        letters.push(MessageRow { seq, line, is_new });
    }
    Ok(letters)
}

/// Returns a message as `cmw-inbox show` prints it, but without taking it up.
fn letter(env: &Env, common: &Common, seq: u64) -> Result<String, Failure> {
    let context = common.open(env)?;
    let record = session::registry(&context).get(seq)?;
    record.map(|record| show::words(&record.envelope)).ok_or_else(|| session::unknown(&seq.to_string()))
}
