//! The tool calls that are refused to an agent before they run: only those that git's hooks do not see, or
//! see too late; the hooks refuse the rest (docs/rules.md R13).
//!
//! Only against mistakes: a command hidden on purpose is not found here, but by git's own hooks.

use std::path::{Component, Path, PathBuf};

use crate::domain::guard::git_command::GitCommand;
use crate::domain::guard::shell::{self, SimpleCommand, Word};
use crate::domain::refusal::Refusal;

/// The context in which a command line would run.
#[derive(Clone, Copy)]
pub struct CommandContext<'a> {
    /// The directory in which it begins.
    pub cwd: &'a Path,
    /// Git's common directory, and that of this work tree.
    pub git_dirs: &'a [PathBuf],
    /// Whether a directory is in the work tree that the roles share; false where each has its own.
    pub is_shared: &'a dyn Fn(&Path) -> bool,
    /// Whether a directory is in this repository.
    pub is_ours: &'a dyn Fn(&Path) -> bool,
    /// Whether a file or directory of that name exists.
    pub exists: &'a dyn Fn(&Path) -> bool,
    /// Whether the tmux server of this name (none: the default one) is the session's.
    pub is_our_server: &'a dyn Fn(Option<&str>) -> bool,
}

/// A git command of the line that makes commits here, which git's own hooks would judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCommit {
    /// The command.
    pub call: GitCommand,
    /// The directory in which it would run.
    pub dir: PathBuf,
}

/// Examines a shell's command line; returns the commands that commit in this repository, in order.
///
/// # Errors
/// [`Refusal::Careless`].
pub fn judge(line: &str, place: &CommandContext<'_>) -> Result<Vec<PlannedCommit>, Refusal> {
    let mut commits = Vec::new();
    let mut dirs: Vec<Option<PathBuf>> = vec![Some(place.cwd.to_owned())];
    for simple in shell::commands(line) {
        let level = usize::from(simple.level);
        dirs.truncate(level + 1);
        while dirs.len() <= level {
            dirs.push(dirs.last().cloned().flatten());
        }
        let here = dirs.last().cloned().flatten();
        writes_below_git(&simple, here.as_deref(), place)?;
        match program(&simple) {
            Some("cd" | "pushd" | "popd") => {
                let to = simple.words.get(1).and_then(Word::known).filter(|to| *to != "-");
                let to = here.zip(to).map(|(here, to)| resolved(&here, to));
                if let Some(last) = dirs.last_mut() {
                    *last = to;
                }
            }
            Some("git") => commits.extend(git(&simple, here.as_deref(), place)?),
            Some("tmux") => tmux(&simple, place)?,
            Some(_) | None => {}
        }
    }
    Ok(commits)
}

/// Examines a file that a tool would change.
///
/// # Errors
/// [`Refusal::Careless`].
pub fn judge_file(path: &Path, git_dirs: &[PathBuf]) -> Result<(), Refusal> {
    match git_dirs.iter().any(|dir| path.starts_with(dir)) {
        true => Err(below_git(path)),
        false => Ok(()),
    }
}

/// Returns a path from a directory, with `.` and `..` resolved lexically.
#[must_use]
pub fn resolved(here: &Path, path: &str) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in here.join(path).components() {
        match part {
            Component::ParentDir => drop(whole.pop()),
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => whole.push(part),
        }
    }
    whole
}

fn program(simple: &SimpleCommand) -> Option<&str> {
    simple.words.first()?.known()?.rsplit('/').next()
}

fn refusal_for(what: impl Into<String>, next: impl Into<String>) -> Refusal {
    Refusal::Careless { what: what.into(), next: next.into() }
}

fn below_git(path: &Path) -> Refusal {
    refusal_for(format!("{} belongs to git and cmw, and is not written by hand", path.display()), "cmw")
}

/// Programs that change all files named by their words.
const CHANGING: [&str; 12] = [
    "rm", "mv", "touch", "mkdir", "rmdir", "chmod", "chown", "truncate", "tee", "unlink", "shred", "install",
];
/// Programs that write only to their last word.
const COPYING: [&str; 3] = ["cp", "ln", "rsync"];

fn writes_below_git(
    simple: &SimpleCommand,
    here: Option<&Path>,
    place: &CommandContext<'_>,
) -> Result<(), Refusal> {
    let Some(here) = here else { return Ok(()) };
    let name = program(simple).unwrap_or_default();
    let rest = simple.words.get(1..).unwrap_or_default();
    let edits =
        name == "sed" && rest.iter().any(|w| w.text.starts_with("-i") || w.text.starts_with("--in-place"));
    let named: &[Word] = if CHANGING.contains(&name) || edits {
        rest
    } else if COPYING.contains(&name) {
        rest.get(rest.len().saturating_sub(1)..).unwrap_or_default()
    } else {
        &[]
    };
    for word in simple.writes.iter().chain(named).filter_map(Word::known) {
        let path = resolved(here, word);
        judge_file(&path, place.git_dirs)?;
        // These change everything inside a directory.
        let takes_all = ["rm", "mv"].contains(&name) && !word.starts_with('-');
        if takes_all && place.git_dirs.iter().any(|dir| dir.starts_with(&path)) {
            return Err(below_git(&path));
        }
    }
    Ok(())
}

/// A git command, as far as its words are known.
struct GitWords<'a> {
    call: GitCommand,
    /// The words after the command.
    args: &'a [Word],
    /// Its working directory, as far as known.
    dir: Option<PathBuf>,
}

impl<'a> GitWords<'a> {
    /// Reads a git command, and refuses forbidden settings on its command line.
    fn read(simple: &'a SimpleCommand, here: Option<&Path>) -> Result<Option<Self>, Refusal> {
        let mut dir = here.map(Path::to_owned);
        let mut at = 1;
        while let Some(word) = simple.words.get(at).filter(|word| word.text.starts_with('-')) {
            let value = simple.words.get(at + 1);
            match word.text.as_str() {
                "-C" => dir = dir.zip(value.and_then(Word::known)).map(|(dir, to)| resolved(&dir, to)),
                "-c" | "--config-env" => {
                    let name = value.map(|value| value.text.to_ascii_lowercase()).unwrap_or_default();
                    check_setting(&name)?;
                }
                "--git-dir" | "--work-tree" | "--namespace" | "--exec-path" => dir = None,
                other => {
                    if let Some(setting) = other.strip_prefix("--config-env=") {
                        check_setting(&setting.to_ascii_lowercase())?;
                    }
                    if other.starts_with("--git-dir=") || other.starts_with("--work-tree=") {
                        dir = None;
                    }
                    at += 1;
                    continue;
                }
            }
            at += 2;
        }
        let Some(args) = simple.words.get(at + 1..) else { return Ok(None) };
        let words: Vec<Vec<u8>> = simple.words.iter().map(|word| word.text.clone().into_bytes()).collect();
        Ok(GitCommand::parse(&words).map(|call| Self { call, args, dir }))
    }

    /// Returns the words that are no options, up to `--`; and the words after it.
    fn split(&self) -> (Vec<&str>, Option<Vec<&str>>) {
        let texts: Vec<&str> = self.args.iter().map(|word| word.text.as_str()).collect();
        match texts.iter().position(|text| *text == "--") {
            Some(at) => {
                let (before, behind) = texts.split_at(at);
                (before.to_vec(), Some(behind.get(1..).unwrap_or_default().to_vec()))
            }
            None => (texts, None),
        }
    }

    fn has(&self, options: &[&str]) -> bool {
        self.split().0.iter().any(|word| options.contains(word))
    }

    /// Whether a bundle of short options has this letter.
    fn has_short(&self, letter: char) -> bool {
        let bundle = |word: &&str| word.starts_with('-') && !word.starts_with("--");
        self.split().0.iter().filter(|word| bundle(word)).any(|word| word.contains(letter))
    }

    /// Returns its paths: all words after `--`, else the words that are no options.
    fn paths(&self) -> Vec<&str> {
        let (before, behind) = self.split();
        behind.unwrap_or_else(|| before.into_iter().filter(|word| !word.starts_with('-')).collect())
    }
}

/// Refuses settings that disable git's hooks.
fn check_setting(setting: &str) -> Result<(), Refusal> {
    match ["core.hookspath", "hook.cmw", "include"].iter().any(|name| setting.starts_with(name)) {
        true => Err(refusal_for("agents may not change the checks before a commit", "cmw-doctor")),
        false => Ok(()),
    }
}

fn git(
    simple: &SimpleCommand,
    here: Option<&Path>,
    place: &CommandContext<'_>,
) -> Result<Option<PlannedCommit>, Refusal> {
    let Some(git) = GitWords::read(simple, here)? else { return Ok(None) };
    let Some(dir) = git.dir.as_deref() else { return Ok(None) };
    if !(place.is_ours)(dir) {
        return Ok(None);
    }
    let call = &git.call;
    if call.is("config") && !git.has(&["--get", "--get-all", "--list", "-l", "get", "list"]) {
        for word in git.args.iter().skip_while(|word| word.text.starts_with('-')) {
            check_setting(&word.text.to_ascii_lowercase())?;
        }
    }
    let skips = call.has_option("--no-verify", "--no-veri") || call.is("commit") && has_letter(&git, 'n');
    if skips {
        let next = if call.is("commit") { "cmw-commit -m 'what was done' -- PATHS" } else { "cmw why" };
        return Err(refusal_for("the checks before a commit or a push apply to agents too", next));
    }
    if (place.is_shared)(dir) {
        sweeps(&git, &|word| (place.exists)(&resolved(dir, word)))?;
    }
    let ends = ["--abort", "--quit", "--dry-run", "--no-commit", "-n"];
    let commits = ["commit", "cherry-pick", "revert"].iter().any(|name| call.is(name)) && !git.has(&ends);
    let dir = dir.to_owned();
    Ok(commits.then_some(PlannedCommit { call: git.call, dir }))
}

/// Whether this letter is among the short options of a commit, before one that takes a value.
fn has_letter(git: &GitWords<'_>, letter: char) -> bool {
    let bundle = |word: &&str| word.starts_with('-') && !word.starts_with("--");
    git.split().0.iter().filter(|word| bundle(word)).any(|word| {
        let end = word.find(|c| "mFCct".contains(c)).unwrap_or(word.len());
        word.get(..end).is_some_and(|letters| letters.contains(letter))
    })
}

/// Whether a path means all files.
fn is_everything(path: &str) -> bool {
    [".", "./", ":/", ":(top)", "*", ":/*", "..", "../", "./*", ":"].contains(&path)
}

/// Refuses commands that stage, undo or hide the work of others in a shared work tree. `exists`: whether a
/// word is the name of a file.
fn sweeps(git: &GitWords<'_>, exists: &dyn Fn(&str) -> bool) -> Result<(), Refusal> {
    let paths = git.paths();
    let everything = paths.iter().any(|path| is_everything(path));
    let (what, next) = match git.call.command() {
        "add"
            if everything
                || git.has(&["--all", "--update", "--no-ignore-removal"])
                || git.has_short('A')
                || git.has_short('u') =>
        {
            ("git add of everything stages the work of others too", "git add -- YOUR/FILES")
        }
        "commit" if git.has(&["--all"]) || has_letter(git, 'a') || everything => (
            "a commit of everything takes the work of others too",
            "cmw-commit -m 'what was done' -- YOUR/FILES",
        ),
        "rm" if everything => ("git rm of everything removes the work of others too", "git rm -- YOUR/FILES"),
        "stash" if !matches!(paths.first(), Some(&("list" | "show"))) => (
            "git stash takes away or brings back the work of others too",
            "git diff -- YOUR/FILES >../mine.patch",
        ),
        "checkout" if everything || git.has(&["-f", "--force"]) => {
            ("git checkout of everything undoes the work of others too", "git restore -- YOUR/FILES")
        }
        "restore" if everything => {
            ("git restore of everything undoes the work of others too", "git restore -- YOUR/FILES")
        }
        "checkout" if switches(git, exists) => (
            "others work on the branch that is checked out here",
            "cmw-send Orchestrator --subject 'another branch, please' -",
        ),
        "switch" => (
            "others work on the branch that is checked out here",
            "cmw-send Orchestrator --subject 'another branch, please' -",
        ),
        "reset" if git.has(&["--hard", "--merge", "--keep"]) => {
            ("git reset of everything undoes the work of others too", "git restore -- YOUR/FILES")
        }
        "clean" if !git.has(&["--dry-run"]) && !git.has_short('n') && (paths.is_empty() || everything) => {
            ("git clean removes the new files of others too", "git clean -n")
        }
        _ => return Ok(()),
    };
    Err(refusal_for(what, next))
}

/// Whether a checkout switches to another branch: by an option, or by one name that is no file.
fn switches(git: &GitWords<'_>, exists: &dyn Fn(&str) -> bool) -> bool {
    let (before, behind) = git.split();
    if git.has(&["-b", "-B", "--orphan", "--detach", "-d", "--track", "-t"]) {
        return true;
    }
    let named: Vec<&&str> = before.iter().filter(|word| !word.starts_with('-') || **word == "-").collect();
    behind.is_none() && matches!(named[..], [one] if !one.contains('\0') && !exists(one))
}

/// Tmux commands that type into other panes, or end them.
const KEYS: [&str; 18] = [
    "send",
    "send-keys",
    "send-prefix",
    "paste-buffer",
    "pasteb",
    "respawn-pane",
    "respawnp",
    "respawn-window",
    "respawnw",
    "kill-pane",
    "killp",
    "kill-window",
    "killw",
    "kill-session",
    "kill-server",
    "pipe-pane",
    "pipep",
    "run-shell",
];

/// Refuses keystrokes into panes of the session, and commands that end them; other servers are the agent's
/// own.
fn tmux(simple: &SimpleCommand, place: &CommandContext<'_>) -> Result<(), Refusal> {
    let (mut server, mut at) = (None, 1);
    while let Some(word) = simple.words.get(at).filter(|word| word.text.starts_with('-')) {
        match word.text.as_str() {
            "-L" => {
                server = simple.words.get(at + 1).map(|name| name.text.as_str());
                at += 2;
            }
            "-S" => return Ok(()),
            "-f" | "-c" | "-T" => at += 2,
            other => {
                if let Some(name) = other.strip_prefix("-L") {
                    server = Some(name);
                }
                at += 1;
            }
        }
    }
    if !(place.is_our_server)(server) {
        return Ok(());
    }
    let words = simple.words.get(at..).unwrap_or_default();
    let begins = |at: usize| at == 0 || words.get(at - 1).is_some_and(|before| before.text.ends_with(';'));
    let typed = words.iter().enumerate().find(|(at, word)| begins(*at) && KEYS.contains(&word.text.as_str()));
    match typed {
        Some((_, word)) => Err(refusal_for(
            format!("tmux {} would act on panes of others, and may answer a dialog there", word.text),
            "cmw-send ROLE --subject 'WHAT' -",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "tool_use_tests.rs"]
mod tests;
