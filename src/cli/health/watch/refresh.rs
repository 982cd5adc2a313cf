//! Refreshes the status: when something has changed on disk, and once a second, since ages grow and processes
//! die without a file change.

use std::time::{Duration, Instant};

use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::guard::hook_check;
use crate::app::workspace::Context;
use crate::cli::Common;
use crate::cli::cmw::status;
use crate::domain::util::sanitize;
use crate::store::layout;
use crate::store::watch::Watch;

use crate::cli::health::watch::MessageSender;
use crate::cli::health::watch::model::Message;

/// The longest interval.
const EVERY: Duration = Duration::from_secs(1);
/// The shortest interval: a dozen busy agents change something all the time.
const PAUSE: Duration = Duration::from_millis(150);
/// How often the hook installation is checked, which starts a git process.
const HOOKS_EVERY: Duration = Duration::from_secs(15);
/// Refreshing takes at most this fraction (1/n) of the time, however many instances there are.
const SHARE: u32 = 10;
/// For how many roles the client's record is watched too; other clients are seen at the next refresh.
const CLIENTS_MAX: usize = 200;

/// Refreshes and sends the results until the receiver is gone; errors are sent, and retried.
pub(crate) fn refresh(env: &Env, common: &Common, tell: &MessageSender) {
    loop {
        let failed = match follow(env, common, tell) {
            Ok(()) => return,
            Err(failure) => failure.text(),
        };
        // The first line says what is wrong.
        let why = failed.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        if !tell.tell(Message::Failed(sanitize::line(&why))) {
            return;
        }
        std::thread::sleep(EVERY);
    }
}

/// Opens the repository and refreshes until that fails, or the receiver is gone.
fn follow(env: &Env, common: &Common, tell: &MessageSender) -> Result<(), Failure> {
    let context = common.open(env)?;
    let watch = watch(&context);
    let mut hooks: Option<(Instant, Option<String>)> = None;
    loop {
        let began = Instant::now();
        let known = hooks.take().filter(|(at, _)| at.elapsed() < HOOKS_EVERY);
        let (at, gap) = known.unwrap_or_else(|| (began, hook_check::problem(&context)));
        let status = status::gather_with_hook_check(&context, gap.clone())?;
        hooks = Some((at, gap));
        if !tell.tell(Message::Looked(Box::new(status))) {
            return Ok(());
        }
        let pause = (began.elapsed() * SHARE).max(PAUSE);
        std::thread::sleep(pause);
        wait(watch.as_ref(), EVERY.saturating_sub(pause));
    }
}

/// Waits until something changes, or this long.
fn wait(watch: Option<&Watch>, time: Duration) {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match watch {
        // A watch that fails must not reduce the refresh rate.
        Some(watch) if watch.wait(None, ms).is_ok() => {}
        Some(_) | None => std::thread::sleep(time),
    }
}

/// Watches everything that is shown: the state, heartbeats, messages sent and taken up, client records.
/// `None` when there are no watches left: then the status is refreshed once a second.
fn watch(context: &Context<'_>) -> Option<Watch> {
    let root = context.store.disk().path();
    let mut watch = Watch::on(&root.join("cmw")).ok()?;
    // A directory that does not exist yet is seen at the next refresh.
    for dir in [layout::BEATS, layout::REGISTRY, layout::RECEIPTS] {
        let _ = watch.add(&root.join(dir));
    }
    let roles = context.state().ok()?;
    for member in roles.policy.roster.members().iter().take(CLIENTS_MAX) {
        let _ = watch.add(&root.join(layout::client_dir(&member.role)));
    }
    Some(watch)
}
