//! The command line of a running git: its command, and how to type it again.
//!
//! Only for convenience: the words are not trusted. Every git may acquire a free lock, independent of its
//! words.

use crate::domain::guard::retry_command::{LINE_BYTES_MAX, shell_quote};

/// Global options whose value is the next word.
const WITH_VALUE: [&str; 8] =
    ["-C", "-c", "--git-dir", "--work-tree", "--namespace", "--config-env", "--attr-source", "--exec-path"];

/// Commands that add commits to the branch that is checked out.
const COMMITTING: [&str; 6] = ["commit", "merge", "pull", "cherry-pick", "revert", "am"];

/// Options of a push whose value is the next word.
const PUSH_WITH_VALUE: [&str; 5] =
    ["--push-option", "--repo", "--receive-pack", "--exec", "--recurse-submodules"];

/// A git command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitCommand {
    command: String,
    /// The words after the command; words that are not UTF-8 are converted lossily.
    args: Vec<String>,
    /// The command and its arguments, when no word but `git` stood before it.
    plain: Option<Vec<String>>,
}

impl GitCommand {
    /// Reads the words of a process; `None` when it is no git command.
    #[must_use]
    pub fn parse(words: &[Vec<u8>]) -> Option<Self> {
        let (program, rest) = words.split_first()?;
        let text = |word: &Vec<u8>| String::from_utf8(word.clone()).ok();
        let name = program.rsplit(|b| *b == b'/').next()?;
        if let Some(command) = name.strip_prefix(b"git-") {
            // Git starts its own parts like this: `git-merge …` in the directory of its programs.
            let command = String::from_utf8(command.to_vec()).ok()?;
            return Some(Self { command, args: lossy(rest), plain: None });
        }
        if name != b"git" {
            return None;
        }
        let mut at = 0;
        while let Some(word) = rest.get(at).filter(|word| word.starts_with(b"-")) {
            at += if WITH_VALUE.iter().any(|option| option.as_bytes() == word.as_slice()) { 2 } else { 1 };
        }
        let command = text(rest.get(at)?)?;
        let plain = (at == 0).then(|| rest.iter().map(text).collect::<Option<Vec<_>>>()).flatten();
        Some(Self { command, args: lossy(&rest[at + 1..]), plain })
    }

    /// Returns the command's name.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Whether no word stood between `git` and the command.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.plain.is_some()
    }

    /// Returns the message of a commit, as far as its words contain it: the values of `-m` as paragraphs.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let words = self.plain.as_ref()?;
        let mut parts = Vec::new();
        let mut at = 1;
        while let Some(word) = words.get(at).filter(|word| *word != "--") {
            at += 1;
            if let Some(text) = word.strip_prefix("--message=") {
                parts.push(text.to_owned());
            } else if word == "--message" || is_short_with(word, 'm') && word.ends_with('m') {
                parts.extend(words.get(at).cloned());
                at += 1;
            } else if is_short_with(word, 'm') {
                parts.extend(word.split_once('m').map(|(_, text)| text.to_owned()));
            }
        }
        (!parts.is_empty()).then(|| parts.join("\n\n"))
    }

    /// Whether it is this command.
    #[must_use]
    pub fn is(&self, command: &str) -> bool {
        self.command == command
    }

    /// Whether it may set a branch to another existing commit, and not only to one that it has just made.
    #[must_use]
    pub fn may_move_branches(&self) -> bool {
        !["commit", "cherry-pick", "revert", "am"].contains(&self.command.as_str())
    }

    /// Whether it adds commits to the branch that is checked out, so that it takes a free lock itself.
    #[must_use]
    pub fn is_committing(&self) -> bool {
        COMMITTING.contains(&self.command.as_str())
    }

    /// Whether a merge makes no commit: `--squash` or `--no-commit`, also abbreviated.
    #[must_use]
    pub fn prepares_only(&self) -> bool {
        self.has_option("--squash", "--sq") || self.has_option("--no-commit", "--no-co")
    }

    /// Whether a push is a dry run: `--dry-run` or `-n`; the last such option counts.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        let mut tries = false;
        let mut words = self.options();
        while let Some(word) = words.next() {
            let is = |full: &str, least: &str| word.starts_with(least) && full.starts_with(word);
            if PUSH_WITH_VALUE.contains(&word) {
                words.next();
            } else if let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')) {
                // After an `o` follows its value, in this word or the next.
                let end = letters.find('o');
                tries |= letters[..end.unwrap_or(letters.len())].contains('n');
                if end.is_some_and(|at| at + 1 == letters.len()) {
                    words.next();
                }
            } else if is("--dry-run", "--dr") {
                tries = true;
            } else if is("--no-dry-run", "--no-dr") {
                tries = false;
            }
        }
        tries
    }

    /// Whether this option was given, in full or abbreviated down to `least`.
    #[must_use]
    pub fn has_option(&self, full: &str, least: &str) -> bool {
        self.options().any(|word| word.starts_with(least) && full.starts_with(word))
    }

    /// Returns the words after the command, up to the one that ends options.
    fn options(&self) -> impl Iterator<Item = &str> {
        self.args.iter().map(String::as_str).take_while(|word| *word != "--")
    }

    /// Returns the command to type again, without the words before it, on one line; `None` as with
    /// [`GitCommand::retry_under_lock`].
    #[must_use]
    pub fn retry_command(&self) -> Option<String> {
        let words: Vec<String> = [&self.command].into_iter().chain(&self.args).cloned().collect();
        self.typed("git", &words)
    }

    /// Returns the same under the write lock, on one line; `None` when that would be too long, would be read
    /// differently by a shell, or would repeat an option that skips hooks.
    #[must_use]
    pub fn retry_under_lock(&self) -> Option<String> {
        self.typed("cmw-lock run -- git", self.plain.as_ref()?)
    }

    /// Returns the same under the lock of the repository at this path.
    #[must_use]
    pub fn retry_under_lock_in(&self, repo: &str) -> Option<String> {
        self.typed(&format!("cmw-lock run --repo {} -- git", shell_quote(repo)), self.plain.as_ref()?)
    }

    /// Returns these words after the given beginning.
    fn typed(&self, before: &str, words: &[String]) -> Option<String> {
        let skips =
            |word: &String| word.contains("verify") || (self.command == "commit" && is_short_with(word, 'n'));
        let odd = |word: &String| word.chars().any(|c| c.is_control() || c == '\u{fffd}');
        if words.iter().any(|word| skips(word) || odd(word)) {
            return None;
        }
        let quoted: Vec<String> = words.iter().map(|word| shell_quote(word)).collect();
        let line = format!("{before} {}", quoted.join(" "));
        (line.len() <= LINE_BYTES_MAX).then_some(line)
    }
}

fn lossy(words: &[Vec<u8>]) -> Vec<String> {
    words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// Whether a word is a bundle of short options that contains this one, before any option that takes a
/// value.
fn is_short_with(word: &str, option: char) -> bool {
    let Some(letters) = word.strip_prefix('-').filter(|rest| !rest.starts_with('-')) else { return false };
    let end = letters.find(|c| "mFCct".contains(c)).map_or(letters.len(), |i| i + 1);
    letters.get(..end).is_some_and(|letters| letters.contains(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<GitCommand> {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        GitCommand::parse(&words)
    }

    #[test]
    fn the_command_is_found_behind_global_options() {
        for (line, command) in [
            ("git commit -m x", "commit"),
            ("/usr/bin/git -C /r -c a.b=c --no-pager cherry-pick x", "cherry-pick"),
            ("/usr/lib/git-core/git-merge x", "merge"),
            ("git --git-dir=/x pull", "pull"),
        ] {
            assert!(parse(line).unwrap().is(command), "{line}");
        }
        assert_eq!(parse("python -c git"), None);
        assert_eq!(parse("git"), None);
        assert_eq!(GitCommand::parse(&[]), None);
        assert!(parse("git commit").unwrap().is_committing());
        assert!(!parse("git reset --hard").unwrap().is_committing());
    }

    #[test]
    fn the_message_is_found() {
        let message = |line: &str| parse(line).unwrap().message();
        assert_eq!(message("git commit -m x -m y").as_deref(), Some("x\n\ny"));
        assert_eq!(message("git commit -qam x").as_deref(), Some("x"));
        assert_eq!(message("git commit -mx --message=y -- -m z").as_deref(), Some("x\n\ny"));
        assert_eq!(message("git commit -F file"), None);
        assert_eq!(message("git -C /x commit -m x"), None);
    }

    #[test]
    fn what_only_prepares_or_tries_is_told_apart() {
        for (line, is) in [
            ("git merge --squash x", true),
            ("git merge --sq x", true),
            ("git -c a.b=c merge --no-commit --no-ff x", true),
            ("git merge --no-com x", true),
            ("git merge --no-ff -n x", false),
            ("git merge --no-verify --stat -s ours x", false),
            ("git merge -- --squash", false),
        ] {
            assert_eq!(parse(line).unwrap().prepares_only(), is, "{line}");
        }
        for (line, is) in [
            ("git push -n", true),
            ("git push -fn origin main", true),
            ("git -C x push --dry-run --no-verify", true),
            ("git push --dry", true),
            ("git push --dry-run --no-dry-run", false),
            ("git push -o -n origin", false),
            ("git push -on origin", false),
            ("git push -fo -n origin", false),
            ("git push --push-option -n origin", false),
            ("git push --no-thin origin", false),
            ("git push origin -- -n", false),
            ("git push -", false),
        ] {
            assert_eq!(parse(line).unwrap().is_dry_run(), is, "{line}");
        }
    }

    #[test]
    fn it_is_typed_again_only_when_that_is_the_same_and_skips_nothing() {
        let again = |line: &str| parse(line).unwrap().retry_under_lock();
        assert_eq!(again("git commit -qam x").as_deref(), Some("cmw-lock run -- git commit -qam x"));
        assert_eq!(again("git commit -m it's").as_deref(), Some("cmw-lock run -- git commit -m 'it'\\''s'"));
        assert_eq!(again("git commit -mn").as_deref(), Some("cmw-lock run -- git commit -mn"));
        for no in [
            "git commit --no-verify -m x",
            "git commit -n -m x",
            "git commit -anm x",
            "git -c core.hooksPath=/x commit",
            "git commit -m a\nb",
        ] {
            assert_eq!(again(no), None, "{no}");
        }
        let bare = |line: &str| parse(line).unwrap().retry_command();
        assert_eq!(bare("git -c a.b=c commit -m x").as_deref(), Some("git commit -m x"));
        assert_eq!(bare("git -c a.b=c commit -nm x"), None);
        assert_eq!(again(&format!("git commit -m {}", "x".repeat(300))), None);
    }
}
