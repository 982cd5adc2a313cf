//! The line about files in a late refusal: some commands change files before git's hook can refuse the
//! movement of the branch.

use crate::domain::guard::git_command::GitCommand;
use crate::domain::guard::git_ref::Oid;
use crate::domain::refusal::Refusal;

/// Commands that move only refs, or run a hook before they change a file.
const FIRST_ASK: [&str; 20] = [
    "branch",
    "bundle",
    "commit",
    "fast-import",
    "fetch",
    "fetch-pack",
    "filter-branch",
    "http-backend",
    "notes",
    "pack-refs",
    "push",
    "receive-pack",
    "remote",
    "replace",
    "replay",
    "send-pack",
    "symbolic-ref",
    "tag",
    "update-ref",
    "worktree",
];

/// Returns one line about this command, when it may have changed files before the hook ran.
fn hint_for(call: &GitCommand, to: Option<&Oid>) -> Option<String> {
    let back = match call.command() {
        // The rebase has not begun, but local changes were stashed, and an old git leaves them there.
        "rebase" if to.is_none() => "git rebase --quit && git stash pop".to_owned(),
        // The rebase stops in the middle and keeps its progress.
        "rebase" => {
            return Some(
                "no branch moved; git rebase --continue resumes it; this takes it back: git rebase --abort"
                    .to_owned(),
            );
        }
        "am" => "git am --abort".to_owned(),
        // These were begun earlier: the files are as they were before this step.
        "cherry-pick" | "revert" | "merge" if call.has_option("--continue", "--con") => return None,
        // Without a name, or with several: the undo command is the same.
        command @ ("cherry-pick" | "revert") => format!("git {command} --quit && git reset --merge"),
        "reset" if call.has_option("--soft", "--so") => return None,
        "reset" if changes_files(call) => "git reset --merge".to_owned(),
        "reset" => "git reset".to_owned(),
        command if FIRST_ASK.contains(&command) => return None,
        // The same as moving from that commit to this branch, which keeps local changes, staged or not.
        // Without a commit, the index was clean when the command began.
        _ => to
            .and_then(|to| to.as_str().get(..12))
            .map_or_else(|| "git reset --merge".to_owned(), |to| format!("git read-tree -m -u {to} HEAD")),
    };
    Some(format!("no branch moved; if git changed files before the refusal, this takes it back: {back}"))
}

/// Whether a reset changes files, not only the index.
fn changes_files(call: &GitCommand) -> bool {
    [("--hard", "--h"), ("--keep", "--k"), ("--merge", "--me")]
        .iter()
        .any(|(full, least)| call.has_option(full, least))
}

/// Returns one line about what is safe when this command was refused after it may have changed files (to
/// those of this commit, when that is known).
#[must_use]
pub fn undo_hint(refusal: &Refusal, call: Option<&GitCommand>, to: Option<&Oid>) -> Option<String> {
    let Some(rest) = call.and_then(|call| hint_for(call, to)) else { return refusal.safe_state_hint() };
    match refusal {
        Refusal::Held { place: Some(place), .. }
        | Refusal::Offered { place: Some(place), .. }
        | Refusal::Unsaved { place: Some(place), failure: None, .. } => {
            Some(format!("you are number {place} in the queue; {rest}"))
        }
        Refusal::Held { .. }
        | Refusal::Offered { .. }
        | Refusal::Unsaved { failure: None, .. }
        | Refusal::NotHeld { .. }
        | Refusal::OthersFiles { .. }
        | Refusal::OutsideClaim { .. }
        | Refusal::Paused { .. }
        | Refusal::Frozen { .. }
        | Refusal::ReadOnly { .. }
        | Refusal::Tainted { .. }
        | Refusal::UnknownIdentity { .. } => Some(rest),
        Refusal::Unsaved { failure: Some(_), .. }
        | Refusal::NotHolder { .. }
        | Refusal::StaleToken { .. }
        | Refusal::NotPermitted { .. }
        | Refusal::NotQueued { .. }
        | Refusal::SessionUp { .. }
        | Refusal::RoleTaken { .. }
        | Refusal::NotFrozen
        | Refusal::SelfTest
        | Refusal::NoViolation { .. }
        | Refusal::Task { .. }
        | Refusal::Careless { .. }
        | Refusal::Diverted { .. } => refusal.safe_state_hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_that_of_the_command() {
        let to = Oid::parse("a1".repeat(20).as_bytes()).unwrap();
        let said = |line: &str| {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let refusal = Refusal::NotHeld { action: "moving refs/heads/main".to_owned() };
            undo_hint(&refusal, GitCommand::parse(&words).as_ref(), Some(&to)).unwrap()
        };
        for (line, end) in [
            ("git commit -m x", "as they were"),
            ("git -C x update-ref refs/heads/x y", "as they were"),
            ("git receive-pack .", "as they were"),
            ("git reset --hard x", ": git reset --merge"),
            ("git reset --har x", ": git reset --merge"),
            ("git reset x", ": git reset"),
            ("git reset --soft x", "as they were"),
            ("git checkout -b x y", ": git read-tree -m -u a1a1a1a1a1a1 HEAD"),
            ("/usr/lib/git-core/git-revert x", ": git revert --quit && git reset --merge"),
            ("git cherry-pick --continue", "as they were"),
            ("git am x", ": git am --abort"),
            ("git rebase --continue", ": git rebase --abort"),
            ("git an-other", ": git read-tree -m -u a1a1a1a1a1a1 HEAD"),
            ("python x", "as they were"),
        ] {
            assert!(said(line).ends_with(end), "{line}: {}", said(line));
        }
    }
}
