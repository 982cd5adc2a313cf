//! `cmw-rescue apply`: restores a rescue, and reports what was written.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::adapters::git::Repo;
use crate::adapters::git::rescue::apply_rescue::{Applied, ApplyError, ApplyOutcome};
use crate::domain::util::path_encoding;
use crate::domain::util::sanitize;

use crate::app::answer::Answer;
use crate::app::error::{Failure, with_causes};
use crate::app::exit::Exit;
use crate::cli::rescue::{SelectedRescue, files, git_failed, path_shown, shown, word};

/// The arguments.
pub(crate) struct ApplyArgs<'a> {
    /// The paths as they were typed.
    pub(crate) paths: &'a [PathBuf],
    /// The same, relative to the root of the work tree.
    pub(crate) from_root: Vec<Vec<u8>>,
    /// Whether the saved version may be written beside a file that has changed since.
    pub(crate) copies: bool,
}

impl ApplyArgs<'_> {
    fn again(&self, chosen: &SelectedRescue<'_>, more: &str) -> String {
        let mut line = format!("cmw-rescue apply {}", chosen.word());
        if !more.is_empty() {
            line.push_str(&format!(" {more}"));
        }
        if !self.paths.is_empty() {
            line.push_str(" --");
        }
        for path in self.paths {
            line.push_str(&format!(" {}", word(path.as_os_str().as_bytes())));
        }
        line
    }
}

/// Writes the saved files into the work tree, or reports the conflicts.
pub(crate) fn apply(
    repo: &Repo,
    chosen: &SelectedRescue<'_>,
    typed: &ApplyArgs<'_>,
) -> Result<Answer, Failure> {
    let wanted = SelectedRescue::wanted(&chosen.changes, &typed.from_root)?;
    let outcome = repo.apply(&wanted, &chosen.content.note.unfiltered, typed.copies);
    match outcome.map_err(|error| failed(chosen, typed, error))? {
        ApplyOutcome::Done(applied) => Ok(done(chosen, &applied)),
        ApplyOutcome::Conflicts(conflicts) => Ok(refused(chosen, typed, &conflicts)),
    }
}

fn failed(chosen: &SelectedRescue<'_>, typed: &ApplyArgs<'_>, error: ApplyError) -> Failure {
    let what = with_causes(&error);
    match error {
        ApplyError::Repo(error) => git_failed(error),
        ApplyError::NoWorkTree => Failure::with_next_step(Exit::Config, what, "git worktree list"),
        ApplyError::BadPath(_) => Failure::with_next_step(Exit::Damaged, what, "cmw-rescue list"),
        ApplyError::Write { source, .. } => {
            let exit = if source.kind() == ErrorKind::PermissionDenied {
                Exit::NotPermitted
            } else if source.kind() == ErrorKind::ResourceBusy {
                Exit::Busy
            } else {
                Exit::Unavailable
            };
            let what = format!("{what}; the files written so far are complete, and the rest can follow");
            Failure::with_next_step(
                exit,
                what,
                &typed.again(chosen, if typed.copies { "--copies" } else { "" }),
            )
        }
    }
}

fn refused(chosen: &SelectedRescue<'_>, typed: &ApplyArgs<'_>, conflicts: &[(Vec<u8>, String)]) -> Answer {
    let mut lines = vec![format!("nothing was written: {} in conflict", files(conflicts.len()))];
    let line = |(path, why): &(Vec<u8>, String)| format!("  {}: {}", path_shown(path), sanitize::line(why));
    lines.extend(conflicts.iter().map(line));
    let next = typed.again(chosen, "--copies");
    let name = |(path, why): &(Vec<u8>, String)| json!({"path": path_encoding::to_text(path), "why": why});
    let data = json!({
        "rescue": chosen.rescue.name,
        "conflicts": conflicts.iter().map(name).collect::<Vec<_>>(),
    });
    let mut answer = Answer::done(data, lines.join("\n")).exiting(Exit::Refused).noting(format!(
        "--copies writes the saved version of these beside them, as NAME.rescued, and all others in place\nnext: {next}"
    ));
    answer.hint = Some(next);
    answer
}

fn done(chosen: &SelectedRescue<'_>, applied: &Applied) -> Answer {
    let changed = applied.written.len() + applied.removed.len() + applied.copies.len();
    let text = match (changed, applied.unchanged.len()) {
        (0, 0) if applied.kept.is_empty() => format!("{} changes no file", shown(chosen.rescue)),
        (0, n) => format!("nothing was written: {} already as in {}", files(n), shown(chosen.rescue)),
        (n, 0) => format!("applied {}: {}", shown(chosen.rescue), files(n)),
        (n, same) => format!("applied {}: {}, {same} already as saved", shown(chosen.rescue), files(n)),
    };
    let mut lines = vec![text];
    lines.extend(applied.written.iter().map(|path| format!("  wrote {}", path_shown(path))));
    lines.extend(applied.removed.iter().map(|path| format!("  removed {}", path_shown(path))));
    let copied = |(path, copy): &(Vec<u8>, Vec<u8>)| {
        format!("  wrote {}; {} has changed since, and was kept", path_shown(copy), path_shown(path))
    };
    lines.extend(applied.copies.iter().map(copied));
    let kept = |path: &Vec<u8>| {
        format!("  kept {}: the rescue removes it, but it has changed since", path_shown(path))
    };
    lines.extend(applied.kept.iter().map(kept));
    let repository = |path: &Vec<u8>| format!("  skipped {}: a nested repository", path_shown(path));
    lines.extend(applied.repositories.iter().map(repository));
    let next = "git status";
    let mut answer = Answer::done(data(chosen, applied), lines.join("\n"));
    answer.note = format!("the index was not changed\nnext: {next}");
    answer.hint = Some(next.to_owned());
    answer
}

fn data(chosen: &SelectedRescue<'_>, applied: &Applied) -> Value {
    let texts = |paths: &[Vec<u8>]| paths.iter().map(|path| path_encoding::to_text(path)).collect::<Vec<_>>();
    let copy = |(path, copy): &(Vec<u8>, Vec<u8>)| json!({"path": path_encoding::to_text(path), "copy": path_encoding::to_text(copy)});
    json!({
        "rescue": chosen.rescue.name,
        "written": texts(&applied.written),
        "removed": texts(&applied.removed),
        "unchanged": texts(&applied.unchanged),
        "copies": applied.copies.iter().map(copy).collect::<Vec<_>>(),
        "kept": texts(&applied.kept),
        "repositories": texts(&applied.repositories),
    })
}
