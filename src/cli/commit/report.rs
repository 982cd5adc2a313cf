//! The answer of `cmw-commit`: the commit, its files, paths without a change, and whether hooks judged it.

use std::ffi::OsString;

use serde_json::json;

use crate::adapters::git::worktree_status::ChangedFile;
use crate::domain::lock::write_lock::Lease;
use crate::domain::util::path_encoding::to_text;
use crate::domain::util::sanitize;

use crate::app::answer::Answer;
use crate::app::guard::hook_check;
use crate::app::workspace::Context;
use crate::cli::commit::{Cli, here, is_below};

/// Returns the answer for a commit that was made.
pub(super) fn answer(
    context: &Context<'_>,
    cli: &Cli,
    id: &str,
    pending: &[ChangedFile],
    held: Option<&Lease>,
) -> Answer {
    let files: Vec<String> = pending.iter().map(|p| to_text(&p.path)).collect();
    let lock = held.map(Lease::lock_id);
    let under = lock.as_ref().map_or_else(String::new, |lock| format!(" under {lock}"));
    let count = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
    let short = id.get(..10).unwrap_or(id);
    // Git reports success also when no hook has judged the commit.
    let unguarded = hook_check::problem(context);
    let data = json!({"commit": id, "files": files, "hooks_off": unguarded, "lock_id": lock});
    let notes =
        [left_out(context, cli, pending), unguarded.as_deref().map(hook_check::warning).unwrap_or_default()];
    let notes = notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>();
    Answer::done(data, format!("committed {short}: {count}{under}")).noting(notes.join("\n"))
}

/// Returns a line for each named file without a change: it must not be taken for committed.
fn left_out(context: &Context<'_>, cli: &Cli, pending: &[ChangedFile]) -> String {
    let Ok(here) = here(context) else { return String::new() };
    let brought = |path: &&OsString| {
        let below = context.repo.from_root(&here, path).unwrap_or_default();
        let is_pattern = path.as_encoded_bytes().iter().any(|b| b"*?[:".contains(b));
        is_pattern || pending.iter().any(|p| is_below(&p.path, &below))
    };
    let line = |path: &OsString| {
        let name = sanitize::line(&path.to_string_lossy());
        format!("{name}: nothing to commit there (unchanged, ignored, or a repository of its own)")
    };
    cli.paths.iter().filter(|path| !brought(path)).map(line).collect::<Vec<_>>().join("\n")
}
