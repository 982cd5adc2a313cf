//! Owns what every hook that decides needs: the repository, the state, who acts.

use cmw::adapters::clock;
use cmw::adapters::git::Repo;
use cmw::cli::context::{facts, find_repo, identify};
use cmw::cli::env::Env;
use cmw::cli::failure::Failure;
use cmw::domain::decide::Asker;
use cmw::domain::policy::Policy;
use cmw::domain::state::{Facts, State};
use cmw::store::Store;
use cmw::store::beats::{self, Beat};
use cmw::store::disk::RealDisk;
use cmw::store::error::StoreError;

/// The repository and its state, read once.
pub(crate) struct Scene {
    pub(crate) repo: Repo,
    pub(crate) store: Store<RealDisk>,
    pub(crate) state: State,
    pub(crate) facts: Facts,
    pub(crate) asker: Asker,
}

/// Finds the repository that git is working on.
///
/// # Errors
/// [`Failure`] when there is none.
pub(crate) fn repo(env: &Env) -> Result<Repo, Failure> {
    find_repo(env, None)
}

impl Scene {
    /// Reads everything. What cannot be read is a refusal that says how to go on (I13).
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn read(env: &Env, repo: Repo) -> Result<Self, Failure> {
        let disk = RealDisk::open(&repo.common_dir)
            .map_err(|e| StoreError::io("open", &repo.common_dir.display().to_string(), e))?;
        let store = Store::new(disk);
        let state = store.snapshot()?;
        let facts = facts(&store, &state);
        let asker = identify(env, &state, &facts)?;
        Ok(Self { repo, store, state, facts, asker })
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.state.policy
    }

    /// Counts this as work of the role: it renews the role's lease. Soft: what cannot be written
    /// costs only that.
    pub(crate) fn beat(&self) {
        let Some(role) = self.asker.actor.role() else { return };
        let now = clock::now();
        let disk = self.store.disk();
        let task = beats::read(disk, role).ok().flatten().and_then(|b| b.task);
        let process = self.asker.process.clone();
        let beat = Beat { at: now.wall, beat: now.boot.clone(), active: now.boot, task, process };
        let _ = beats::write(disk, role, &beat);
    }
}
