//! Owns how Codex is started: it runs a program of ours whenever a turn is complete.

use crate::app::agents::{Added, hook_program};
use crate::app::error::Failure;
use crate::app::workspace::Context;

/// What is added to its command line.
///
/// # Errors
/// [`Failure`] when our programs' directory has no readable name.
pub(crate) fn prepare(context: &Context<'_>) -> Result<Added, Failure> {
    let dir = context.repo.work_tree.as_ref().unwrap_or(&context.repo.common_dir);
    let words =
        [hook_program()?, "codex".to_owned(), "--repo".to_owned(), dir.to_string_lossy().into_owned()];
    let list = serde_json::to_string(&words).expect("words are texts");
    Ok(Added { args: vec!["-c".to_owned(), format!("notify={list}")] })
}
