//! Starts Codex, which runs a program of ours after each turn.

use crate::app::agents::{LauncherAdditions, hook_program};
use crate::app::error::Failure;
use crate::app::workspace::Context;

/// Returns the arguments added to its command line.
///
/// # Errors
/// [`Failure`] when the path of our programs' directory is not valid UTF-8.
pub(crate) fn prepare(context: &Context<'_>) -> Result<LauncherAdditions, Failure> {
    let dir = context.repo.work_tree.as_ref().unwrap_or(&context.repo.common_dir);
    let words =
        [hook_program()?, "codex".to_owned(), "--repo".to_owned(), dir.to_string_lossy().into_owned()];
    let list = serde_json::to_string(&words).expect("words are texts");
    Ok(LauncherAdditions { args: vec!["-c".to_owned(), format!("notify={list}")] })
}
