//! `cmw-rescue show`: the content of one rescue, path by path or as a patch.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::adapters::git::Repo;
use crate::adapters::git::rescue::list::{TreeChange, TreeEntryKind};
use crate::domain::util::path_encoding;
use crate::domain::util::sanitize;

use crate::adapters::os::stdio::write_bytes;
use crate::app::answer::Answer;
use crate::app::error::Failure;
use crate::app::exit::Exit;
use crate::cli::rescue::{SelectedRescue, data, files, git_failed, path_shown, reason, shown};

/// One path of a rescue.
struct RescuedPath<'a> {
    path: &'a [u8],
    letter: char,
    state: &'static str,
}

/// Shows the content of a rescue.
pub(crate) fn show(repo: &Repo, chosen: &SelectedRescue<'_>, paths: &[Vec<u8>]) -> Result<Answer, Failure> {
    let content = chosen.content;
    let staged = repo.tree_changes(content.base.as_ref(), &content.index).map_err(git_failed)?;
    let stages = match &content.stages {
        Some(stages) => repo.tree_changes(None, stages).map_err(git_failed)?,
        None => Vec::new(),
    };
    // `1/PATH`: the number of the index stage, and the path.
    let conflicts: BTreeSet<&[u8]> = stages.iter().filter_map(|change| change.path.get(2..)).collect();
    let index: BTreeMap<&[u8], &TreeChange> =
        staged.iter().map(|change| (&change.path[..], change)).collect();
    let only_staged = staged.iter().filter(|s| !chosen.changes.iter().any(|c| c.path == s.path));
    let mut all: Vec<TreeChange> = chosen.changes.iter().chain(only_staged).cloned().collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    let wanted = SelectedRescue::wanted(&all, paths)?;
    let worked: BTreeSet<&[u8]> = chosen.changes.iter().map(|change| &change.path[..]).collect();
    let rows: Vec<RescuedPath<'_>> = wanted
        .iter()
        .map(|change| row(change, &index, &conflicts, worked.contains(&change.path[..])))
        .collect();
    let next = format!("cmw-rescue apply {}", chosen.word());
    let mut shown = data(chosen.rescue);
    shown["changes"] = rows
        .iter()
        .map(|row| json!({"path": path_encoding::to_text(row.path), "change": row.letter.to_string(), "state": row.state}))
        .collect();
    let mut answer = Answer::done(shown, lines(chosen, &rows)).noting(format!("next: {next}"));
    answer.hint = Some(next);
    Ok(answer)
}

fn row<'a>(
    change: &'a TreeChange,
    index: &BTreeMap<&[u8], &TreeChange>,
    conflicts: &BTreeSet<&[u8]>,
    is_in_work_tree: bool,
) -> RescuedPath<'a> {
    let is_repository =
        [&change.old, &change.new].into_iter().flatten().any(|e| e.kind == TreeEntryKind::Repository);
    let kinds = |e: &Option<crate::adapters::git::rescue::list::TreeEntry>| {
        e.as_ref().map(|e| matches!(e.kind, TreeEntryKind::File | TreeEntryKind::Program))
    };
    let letter = match (&change.old, &change.new) {
        (None, _) => 'A',
        (Some(_), None) => 'D',
        (Some(_), Some(_)) if kinds(&change.old) == kinds(&change.new) => 'M',
        (Some(_), Some(_)) => 'T',
    };
    let staged = index.get(&change.path[..]);
    let state = match staged {
        _ if conflicts.contains(&change.path[..]) => "conflict",
        _ if is_repository => "a nested repository: only its commit",
        Some(_) if !is_in_work_tree => "staged, and deleted from the work tree",
        Some(staged) if staged.new == change.new => "staged",
        Some(_) => "staged and unstaged",
        None if change.old.is_none() => "untracked",
        None => "unstaged",
    };
    RescuedPath { path: &change.path, letter, state }
}

fn lines(chosen: &SelectedRescue<'_>, rows: &[RescuedPath<'_>]) -> String {
    let content = chosen.content;
    let note = &content.note;
    let at = chosen.rescue.made.map_or_else(|| shown(chosen.rescue), |made| made.to_string());
    let mut lines = vec![
        format!("rescued from {} at {at}: {}", sanitize::line(&note.role), reason(content)),
        format!(
            "work tree {}, base {}",
            note.work_tree.as_deref().map_or("unknown".to_owned(), sanitize::line),
            content.base.as_ref().map_or("none", |base| &base.as_str()[..7])
        ),
    ];
    let width = rows.iter().map(|row| path_shown(row.path).chars().count()).max().unwrap_or(0).min(60);
    lines.extend(
        rows.iter().map(|row| format!(" {} {:width$}  ({})", row.letter, path_shown(row.path), row.state)),
    );
    if rows.is_empty() {
        lines.push(format!("{}: nothing could be saved", files(0)));
    }
    let skipped = note.skipped.iter();
    lines.extend(skipped.map(|s| format!("not saved: {} ({})", path_shown(&s.path), sanitize::line(&s.why))));
    lines.join("\n")
}

/// Prints the diff: verbatim for a program, without control characters for a terminal.
pub(crate) fn patch(
    repo: &Repo,
    chosen: &SelectedRescue<'_>,
    paths: &[Vec<u8>],
    is_terminal: bool,
    json: bool,
) -> Result<Answer, Failure> {
    SelectedRescue::wanted(&chosen.changes, paths)?;
    // An empty path is the root, and means all.
    let paths: &[Vec<u8>] = if paths.iter().any(Vec::is_empty) { &[] } else { paths };
    let content = chosen.content;
    let patch = repo.patch(content.base.as_ref(), &content.commit, paths).map_err(git_failed)?;
    if json {
        let mut shown = data(chosen.rescue);
        shown["patch"] = path_encoding::to_text(&patch).into();
        return Ok(Answer::done(shown, ""));
    }
    if is_terminal {
        return Ok(Answer::done(json!({}), sanitize::block(&String::from_utf8_lossy(&patch))));
    }
    write_bytes(&patch).map_err(|error| {
        Failure::with_next_step(
            Exit::Unavailable,
            format!("the patch could not be written: {error}"),
            "df -h .",
        )
    })?;
    Ok(Answer::done(json!({}), ""))
}
