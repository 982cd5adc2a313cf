//! Owns the hooks that come afterwards (`post-commit`, `post-merge`, `post-rewrite`): whether the authority
//! was really asked. Its file may be gone, or no program any more; git then passes it by in silence.
//!
//! They never refuse: it has happened. What a commit changed was compared with the claim when the ref moved.

use cmw::app::audit::ref_check::Looker;
use cmw::app::error::Failure;

use crate::context::{House, Scene};

/// Compares the branch that is checked out with the ref journal; what went around us is noted.
pub(crate) fn check(house: &House) {
    // Git listens to nobody here, and the next look finds it too.
    let _ = look(house);
}

fn look(house: &House) -> Result<(), Failure> {
    let scene = Scene::read(house)?;
    let (repo, disk) = (scene.repo(), scene.disk());
    let looker = Looker { repo, disk, policy: scene.policy(), by: &scene.asker.actor };
    looker.glance_at_head().map(drop)
}
