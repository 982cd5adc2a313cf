//! A client's own hooks (`cmw-hook claude EVENT`, docs/hooks.md): the session that plays a role, its
//! activity, and its mail.
//!
//! An error of ours must not stop an agent: when something cannot be read or written here, the agent goes on
//! working, and its mail stays where it is.

pub mod deliver;
pub mod events;
pub mod fast_path;
pub mod idle_waker;
pub mod payload;

use std::path::PathBuf;

use crate::adapters::os::{clock, process};
use crate::domain::command::Caller;
use crate::domain::health::client::{Activity, Client, SessionClaim};
use crate::domain::identity::actor::Mailbox;
use crate::domain::identity::role::Role;
use crate::domain::mail::agent_digest::BUDGET_BYTES;
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::store::error::StoreError;
use crate::store::health::clients;

use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::identity;
use crate::app::workspace::Context;

use crate::app::client::payload::HookPayload;

/// The command line of a hook.
#[derive(Clone, Debug)]
pub struct HookArgs {
    /// The event.
    pub event: String,
    /// The repository of the session: the client may work elsewhere for a while.
    pub repo: Option<PathBuf>,
    /// Its git directory, if given: the usual case is then decided without looking for it.
    pub common_dir: Option<PathBuf>,
    /// The largest text that is told at once, in bytes.
    pub budget: usize,
}

impl HookArgs {
    /// Parses the arguments after `cmw-hook ADAPTER`; unknown ones are ignored.
    #[must_use]
    pub fn parse(args: &[std::ffi::OsString]) -> Self {
        let mut call = Self { event: String::new(), repo: None, common_dir: None, budget: BUDGET_BYTES };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--repo") => call.repo = args.next().map(PathBuf::from),
                Some("--common-dir") => call.common_dir = args.next().map(PathBuf::from),
                Some("--budget") => {
                    let bytes = args.next().and_then(|bytes| bytes.to_str()?.parse().ok());
                    call.budget = bytes.unwrap_or(BUDGET_BYTES);
                }
                Some(event) if call.event.is_empty() => event.clone_into(&mut call.event),
                Some(_) | None => {}
            }
        }
        call
    }
}

/// A call by a role's client.
#[derive(Debug)]
pub struct ClientHook<'a> {
    /// The repository and its store.
    pub context: Context<'a>,
    /// The state, read once.
    pub state: State,
    /// The caller.
    pub caller: Caller,
    /// The caller's role.
    pub role: Role,
    /// The client's process: the one that started this hook.
    pub process: Process,
    /// The input.
    pub payload: &'a HookPayload,
    /// The command line.
    pub call: &'a HookArgs,
    /// The name of the client's adapter.
    pub adapter: &'static str,
}

impl<'a> ClientHook<'a> {
    /// Identifies the caller; returns `None` when it is no role's client.
    ///
    /// # Errors
    /// [`Failure`] when there is no repository, or no state that can be read.
    pub fn of(
        env: &'a Env,
        call: &'a HookArgs,
        payload: &'a HookPayload,
        adapter: &'static str,
    ) -> Result<Option<Self>, Failure> {
        let context = Context::open(env, call.repo.as_ref(), None)?;
        let state = context.state()?;
        let caller = identity::identify(env, &state, &crate::app::workspace::facts_for_identity(&state))?;
        let parent = process::stat(std::process::id()).and_then(|stat| process::identify(stat.parent));
        let (Some(role), Some(process)) = (caller.actor.role().cloned(), parent) else { return Ok(None) };
        Ok(Some(Self { context, state, caller, role, process, payload, call, adapter }))
    }

    /// Returns the role's mailbox.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::Role(self.role.clone())
    }

    /// Returns whether a record is of this session, and not of another one of the role.
    #[must_use]
    pub fn is_ours(&self, client: &Client) -> bool {
        client.session == self.payload.session && client.process == self.process
    }

    /// Reads the record of the role's client; `None` when that is another session.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record(&self) -> Result<Option<Client>, StoreError> {
        let client = clients::read(self.context.store.disk(), &self.role)?;
        Ok(client.filter(|client| self.is_ours(client)))
    }

    /// Under the record's lock: makes this session the role's, unless another live one is; forgets what was
    /// told when the session is new, or has forgotten it itself. Returns the other session's record when it
    /// is refused.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn claim(&self, activity: Activity) -> Result<Result<(), Client>, StoreError> {
        let disk = self.context.store.disk();
        let known = clients::read(disk, &self.role)?;
        let claimed = Client::claim(known.as_ref(), &self.payload.session, &self.process, process::is_alive);
        let now = clock::now();
        let client = match (claimed, known) {
            (SessionClaim::Second, Some(known)) => return Ok(Err(known)),
            (SessionClaim::Same, Some(mut known)) => {
                (known.told, known.ahead) = (0, Vec::new());
                known.set_activity(activity, now.wall, &now.boot);
                Client { transcript: self.payload.transcript.clone().or(known.transcript.clone()), ..known }
            }
            (SessionClaim::New | SessionClaim::Same | SessionClaim::Second, known) => Client {
                adapter: self.adapter.to_owned(),
                session: self.payload.session.clone(),
                transcript: self.payload.transcript.clone(),
                process: self.process.clone(),
                activity,
                since: now.wall,
                since_boot: now.boot,
                told: 0,
                ahead: Vec::new(),
                // The waiter ends by itself when it sees another session.
                waiter: known.and_then(|known| known.waiter),
            },
        };
        clients::write(disk, &self.role, &client)?;
        Ok(Ok(()))
    }

    /// Makes this session the role's when none is recorded: after a torn or lost record, unread mail is only
    /// told again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ensure_registered(&self) -> Result<(), StoreError> {
        let disk = self.context.store.disk();
        if clients::read(disk, &self.role)?.is_some() {
            return Ok(());
        }
        let _lock = clients::lock(disk, &self.role)?;
        if clients::read(disk, &self.role)?.is_none() {
            let _ = self.claim(Activity::Working)?;
        }
        Ok(())
    }

    /// Records the client's activity; returns whether this is the role's session. Writes nothing when the
    /// activity is the same as before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_activity(&self, activity: &Activity) -> Result<bool, StoreError> {
        let disk = self.context.store.disk();
        match self.record()? {
            None => return Ok(false),
            Some(client) if client.activity == *activity => return Ok(true),
            Some(_) => {}
        }
        let _lock = clients::lock(disk, &self.role)?;
        let Some(mut client) = self.record()? else { return Ok(false) };
        let now = clock::now();
        if client.set_activity(activity.clone(), now.wall, &now.boot) {
            clients::write(disk, &self.role, &client)?;
        }
        Ok(true)
    }
}
