//! `cmw-health --watch`: a live screen of the instances, from which they can be managed.
//!
//! One thread refreshes the status ([`refresh`]), one reads keys, one waits for signals; effects run in
//! threads of their own ([`tasks`]). All of them send messages; this module handles them one after the other
//! ([`update::update`]) and draws the screen ([`view::draw`]).

pub mod act;
pub mod model;
mod refresh;
mod tasks;
mod terminal;
pub mod update;
pub mod view;

use std::sync::mpsc::{Receiver, Sender, channel};

use serde_json::json;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use crate::app::answer::Answer;
use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::cli::Common;
use crate::cli::health::watch::model::{Effect, Message, Model};
use crate::cli::health::watch::terminal::{TerminalEvent, TerminalGuard};
use crate::cli::health::watch::view::Palette;
use crate::cli::style::Colors;

/// What wakes the main loop.
enum WakeEvent {
    /// A message of another thread.
    Told(Message),
    /// Terminal input.
    Came(TerminalEvent),
    /// A signal.
    Signal(i32),
    /// The terminal is gone.
    Gone,
}

/// The sending end of a thread that reports to the screen.
#[derive(Clone)]
struct MessageSender(Sender<WakeEvent>);

impl MessageSender {
    /// Sends a message; returns whether the receiver still exists.
    fn tell(&self, message: Message) -> bool {
        self.0.send(WakeEvent::Told(message)).is_ok()
    }
}

/// Runs the screen until the person leaves.
///
/// # Errors
/// [`Failure`]: no usable terminal (69), no repository (78).
pub fn run(env: &Env, common: &Common) -> Result<Answer, Failure> {
    if let Some(why) = unfit(env) {
        return Err(Failure::with_next_step(Exit::Unavailable, why, "cmw-health"));
    }
    // An error at the start is reported where it stays readable.
    common.open(env)?.state()?;
    let (wake, woken) = channel();
    let signals = signals(&wake).map_err(|error| failed(&error))?;
    let mut screen = TerminalGuard::take().map_err(|error| failed(&error))?;
    read_keys(&wake);
    let tell = MessageSender(wake);
    std::thread::spawn({
        let (env, common, tell) = (env.clone(), common.clone(), tell.clone());
        move || refresh::refresh(&env, &common, &tell)
    });
    let paint = Palette { colours: Colors::of(env) != Colors::NONE };
    let doing = |effect| tasks::start(env, common, effect, &tell);
    let ended = follow(&mut screen, paint, &woken, &doing);
    drop(screen);
    signals.close();
    match ended {
        Ok(None) => Ok(Answer::done(json!({}), "")),
        Ok(Some(signal)) => {
            // Ends as if the signal had not been caught: the parent sees how we ended.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
            Ok(Answer::done(json!({}), ""))
        }
        Err(error) => Err(failed(&error)),
    }
}

/// Returns why the terminal cannot be drawn on.
fn unfit(env: &Env) -> Option<String> {
    if !env.stdout_is_terminal || !env.has_terminal {
        return Some("--watch needs a terminal; cmw-health alone does not".to_owned());
    }
    let dumb = env.get("TERM").is_none_or(|term| term == "dumb");
    dumb.then(|| {
        "this terminal cannot move its cursor (TERM is dumb or empty); cmw-health alone does not need that"
            .to_owned()
    })
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::with_next_step(Exit::Unavailable, format!("the terminal failed: {error}"), "cmw-health")
}

/// Handles inputs until the end; returns the signal that ended it, if one did.
fn follow(
    screen: &mut TerminalGuard,
    paint: Palette,
    woken: &Receiver<WakeEvent>,
    doing: &dyn Fn(Effect),
) -> std::io::Result<Option<i32>> {
    let size = screen.terminal().size()?;
    let mut model = Model::new((size.width, size.height));
    loop {
        screen.terminal().draw(|frame| view::draw(&model, paint, frame))?;
        let Ok(first) = woken.recv() else { return Ok(None) };
        // Inputs that arrived in the meantime are handled before the next drawing.
        let all: Vec<WakeEvent> = std::iter::once(first).chain(woken.try_iter()).collect();
        for one in all {
            let message = match one {
                WakeEvent::Told(message) => message,
                WakeEvent::Came(TerminalEvent::Key(key)) => Message::Key(key),
                WakeEvent::Came(TerminalEvent::Size(width, height)) => Message::Resized(width, height),
                WakeEvent::Came(TerminalEvent::Click(y)) => match view::row_at(&model, y) {
                    Some(row) => Message::Clicked(row),
                    None => continue,
                },
                WakeEvent::Signal(SIGTSTP) => {
                    terminal::give_back();
                    signal_hook::low_level::emulate_default_handler(SIGTSTP)?;
                    continue;
                }
                WakeEvent::Signal(SIGCONT) => {
                    screen.take_again()?;
                    continue;
                }
                WakeEvent::Signal(signal) => return Ok(Some(signal)),
                WakeEvent::Gone => return Ok(Some(SIGHUP)),
            };
            let (next, effects) = update::update(model, message);
            model = next;
            for effect in effects {
                match effect {
                    Effect::Leave => return Ok(None),
                    Effect::Redraw => screen.redraw()?,
                    Effect::Mouse(wanted) => screen.mouse(wanted)?,
                    other @ (Effect::Run(_) | Effect::Jump(..) | Effect::Letters(_) | Effect::Open(..)) => {
                        doing(other);
                    }
                }
            }
        }
    }
}

fn read_keys(wake: &Sender<WakeEvent>) {
    let wake = wake.clone();
    std::thread::spawn(move || {
        loop {
            let came = terminal::next().map_or(WakeEvent::Gone, WakeEvent::Came);
            let is_gone = matches!(came, WakeEvent::Gone);
            if wake.send(came).is_err() || is_gone {
                return;
            }
        }
    });
}

/// Starts a thread that forwards the signals that end or stop us.
fn signals(wake: &Sender<WakeEvent>) -> std::io::Result<signal_hook::iterator::Handle> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGTSTP, SIGCONT])?;
    let handle = signals.handle();
    let wake = wake.clone();
    std::thread::spawn(move || {
        for signal in &mut signals {
            if wake.send(WakeEvent::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(handle)
}
