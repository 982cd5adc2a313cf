//! A client's own hooks (`cmw-hook claude EVENT`, docs/hooks.md): which session plays which role, what it
//! does, and its mail.
//!
//! A fault of ours must not stop an agent: whatever cannot be read or written here leaves it at work, and
//! its mail where it is.

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

/// What the command line of a hook says.
#[derive(Clone, Debug)]
pub struct HookArgs {
    /// Which event.
    pub event: String,
    /// The repository of the session: the client may work elsewhere for a while.
    pub repo: Option<PathBuf>,
    /// Its git directory, when it is said too: then what is usual is told without looking for it.
    pub common_dir: Option<PathBuf>,
    /// How many bytes are told at once.
    pub budget: usize,
}

impl HookArgs {
    /// Reads the words behind `cmw-hook ADAPTER`; what is not understood is passed over.
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

/// A role's client that says something.
#[derive(Debug)]
pub struct ClientHook<'a> {
    /// The repository and its store.
    pub context: Context<'a>,
    /// The state, read once.
    pub state: State,
    /// Who it is.
    pub caller: Caller,
    /// Its role.
    pub role: Role,
    /// The client's process: the one that started this hook.
    pub process: Process,
    /// What it said.
    pub payload: &'a HookPayload,
    /// What the command line said.
    pub call: &'a HookArgs,
    /// Which program it is.
    pub adapter: &'static str,
}

impl<'a> ClientHook<'a> {
    /// Finds out who calls; `None` when it is no role's client.
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

    /// The mailbox.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        Mailbox::Role(self.role.clone())
    }

    /// Whether it is the role's session, and not one beside it.
    #[must_use]
    pub fn is_ours(&self, client: &Client) -> bool {
        client.session == self.payload.session && client.process == self.process
    }

    /// What is known of the role's client, when this is it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn record(&self) -> Result<Option<Client>, StoreError> {
        let client = clients::read(self.context.store.disk(), &self.role)?;
        Ok(client.filter(|client| self.is_ours(client)))
    }

    /// Under the record's lock: makes this session the role's, unless another living one is; forgets what was
    /// told when it begins anew, or has just forgotten it itself. Gives the other one's record when it is
    /// refused.
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
                // It ends by itself when it sees that the session is another one.
                waiter: known.and_then(|known| known.waiter),
            },
        };
        clients::write(disk, &self.role, &client)?;
        Ok(Ok(()))
    }

    /// Makes this session the role's when nothing is known of any: a record that is torn or lost costs no more than
    /// that what is unread is told again.
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

    /// Notes what the client does; says whether this is the role's session. Nothing is written when it did
    /// that before.
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
