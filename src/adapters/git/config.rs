//! Reads and writes git's configuration by running git, which alone resolves includes, conditions, work trees
//! and the environment.
//!
//! For `cmw-init` and `cmw-doctor`; a hook never reads policy from here, since `git -c` could
//! weaken it (docs/rules.md R5.1).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use crate::domain::util::path_encoding;

use crate::adapters::git::{Repo, RepoError, failure};

/// The origin of a value, as git names it, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// This git is too old to report it.
    Unknown,
    /// The system configuration.
    System,
    /// The user's configuration.
    Global,
    /// The repository's configuration.
    Local,
    /// The configuration of this work tree.
    Worktree,
    /// `git -c`, or variables of the environment.
    Command,
}

impl Scope {
    fn parse(text: &[u8]) -> Self {
        match text {
            b"system" => Self::System,
            b"global" => Self::Global,
            b"local" => Self::Local,
            b"worktree" => Self::Worktree,
            b"command" => Self::Command,
            _ => Self::Unknown,
        }
    }
}

/// One value of the configuration. Texts are encoded by `domain::util::path_encoding`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// `section.name` or `section.subsection.name`; section and name in lower case.
    pub key: String,
    /// The value; `None` for a key without `=`, which means true.
    pub value: Option<String>,
    /// Its scope.
    pub scope: Scope,
    /// Its exact origin, as git reports it: `file:.git/config`, `command line:`.
    pub origin: String,
}

/// The effective configuration of a repository; later entries win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Every value, weakest first.
    pub entries: Vec<ConfigEntry>,
}

/// Returns the form in which keys are compared: section and name in lower case, subsection unchanged.
fn canonical(key: &str) -> String {
    match (key.find('.'), key.rfind('.')) {
        (Some(first), Some(last)) => format!(
            "{}{}{}",
            key[..first].to_ascii_lowercase(),
            &key[first..last],
            key[last..].to_ascii_lowercase()
        ),
        (_, _) => key.to_ascii_lowercase(),
    }
}

impl Config {
    /// Parses the output of `git config --list -z --show-origin`, with or without `--show-scope`.
    fn parse(output: &[u8], with_scope: bool) -> Option<Self> {
        let body = match output {
            b"" => return Some(Self::default()),
            output => output.strip_suffix(b"\0")?,
        };
        let fields: Vec<&[u8]> = body.split(|b| *b == 0).collect();
        let width = if with_scope { 3 } else { 2 };
        if !fields.len().is_multiple_of(width) {
            return None;
        }
        let entries = fields.chunks(width).map(|record| {
            let (pair, origin) = (record[width - 1], record[width - 2]);
            let (key, value) = match pair.iter().position(|b| *b == b'\n') {
                Some(at) => (&pair[..at], Some(path_encoding::to_text(&pair[at + 1..]))),
                None => (pair, None),
            };
            let scope = if with_scope { Scope::parse(record[0]) } else { Scope::Unknown };
            ConfigEntry {
                key: canonical(&path_encoding::to_text(key)),
                value,
                scope,
                origin: path_encoding::to_text(origin),
            }
        });
        Some(Self { entries: entries.collect() })
    }

    /// Returns the effective entry of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&ConfigEntry> {
        let key = canonical(key);
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    /// Makes a value from a command line override every configured one.
    pub fn overrule(&mut self, key: &str, value: &str) {
        let (value, origin) = (Some(value.to_owned()), "command line:".to_owned());
        self.entries.push(ConfigEntry { key: canonical(key), value, scope: Scope::Command, origin });
    }

    /// Returns all entries of a key, weakest first.
    #[must_use]
    pub fn get_all(&self, key: &str) -> Vec<&ConfigEntry> {
        let key = canonical(key);
        self.entries.iter().filter(|entry| entry.key == key).collect()
    }

    /// Returns the entries whose key begins with this text, ignoring case; weakest first.
    #[must_use]
    pub fn beginning(&self, start: &str) -> Vec<&ConfigEntry> {
        let begins = |entry: &&ConfigEntry| {
            entry.key.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
        };
        self.entries.iter().filter(begins).collect()
    }

    /// Splits the keys below one such as `cmw.role`: for `cmw.role.Dev-A.kind` returns the middle `Dev-A`,
    /// the name `kind` and the entry; weakest first. Only the first part ignores case.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Vec<(&str, &str, &ConfigEntry)> {
        let (section, rest) = prefix.split_once('.').unwrap_or((prefix, ""));
        let mut start = section.to_ascii_lowercase();
        if !rest.is_empty() {
            start.push('.');
            start.push_str(rest);
        }
        start.push('.');
        let parts = self.entries.iter().filter_map(|entry| {
            let (middle, name) = entry.key.strip_prefix(&start)?.rsplit_once('.')?;
            Some((middle, name, entry))
        });
        parts.collect()
    }
}

impl ConfigEntry {
    /// Returns whether it is from the repository's own configuration (where git cannot tell: from the file of
    /// that name).
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.scope {
            Scope::Local => true,
            Scope::Unknown => self.origin.ends_with(".git/config"),
            Scope::System | Scope::Global | Scope::Worktree | Scope::Command => false,
        }
    }

    /// Returns whether it is effective in every work tree and for every caller.
    fn is_lasting(&self) -> bool {
        match self.scope {
            Scope::System | Scope::Global | Scope::Local => true,
            Scope::Worktree | Scope::Command => false,
            Scope::Unknown => self.origin.starts_with("file:") && !self.origin.ends_with("config.worktree"),
        }
    }

    /// Returns the value as text; a key without a value is `true`.
    #[must_use]
    pub fn text(&self) -> &str {
        self.value.as_deref().unwrap_or("true")
    }

    /// Returns the value as a boolean, as git reads one; `None` when it is not one.
    #[must_use]
    pub fn truth(&self) -> Option<bool> {
        crate::adapters::git::ini::truth(
            self.value.as_ref().map(|value| path_encoding::from_text(value)).as_deref(),
        )
    }
}

impl Repo {
    /// Reads the effective configuration, including the environment; one process.
    ///
    /// # Errors
    /// Git's error message when it cannot read it.
    pub fn read_all(&self) -> Result<Config, RepoError> {
        self.list(&|| self.git())
    }

    /// Reads the configuration that may become policy: the system's, the user's and the repository's. Leaves
    /// out `git -c` and the environment, which a caller sets for one command, and the configuration of a
    /// single work tree.
    ///
    /// # Errors
    /// Git's error message when it cannot read it.
    pub fn read_lasting(&self) -> Result<Config, RepoError> {
        let mut config = self.list(&|| self.plain_git())?;
        config.entries.retain(ConfigEntry::is_lasting);
        Ok(config)
    }

    /// Returns a key's value from the repository's own file, when no other file can change it: the file has
    /// no include, and no work tree has a configuration of its own. Runs no process.
    #[must_use]
    pub fn plain_local(&self, key: &str) -> Option<String> {
        let text = std::fs::read(self.common_dir.join("config")).ok()?;
        let values = crate::adapters::git::ini::parse(&text).ok()?;
        let more = |(key, value): (&String, &Option<Vec<u8>>)| {
            let own = key == "extensions.worktreeconfig"
                && crate::adapters::git::ini::truth(value.as_deref()) != Some(false);
            own || key.starts_with("include.") || key.starts_with("includeif.")
        };
        if values.iter().any(more) {
            return None;
        }
        values.get(&canonical(key))?.as_ref().map(|value| path_encoding::to_text(value))
    }

    fn list(&self, git: &dyn Fn() -> Command) -> Result<Config, RepoError> {
        let args = ["config", "--list", "-z", "--show-origin", "--show-scope"].map(OsStr::new);
        let mut command = git();
        command.args(args);
        let output = self.run(command)?;
        let (with_scope, output) = match output.status.code() {
            // Git before 2.26 does not know --show-scope, and prints its usage.
            Some(129) => (false, self.run_ok(git(), &args[..4])?),
            Some(0) => (true, output.stdout),
            Some(_) | None => return Err(failure(&args, &output)),
        };
        Config::parse(&output, with_scope).ok_or_else(|| RepoError::Git {
            what: "config --list".to_owned(),
            code: Some(0),
            said: "its output cannot be parsed".to_owned(),
        })
    }

    /// Sets one value in the repository's own configuration, replacing all values of the key.
    ///
    /// # Errors
    /// Git's error message, for instance that another git process holds `config.lock`.
    pub fn set_local(&self, key: &str, value: &str) -> Result<(), RepoError> {
        let value = OsString::from_vec(path_encoding::from_text(value));
        let args = ["config", "--local", "--replace-all", "--", key].map(OsStr::new);
        let args: Vec<&OsStr> = args.into_iter().chain([value.as_os_str()]).collect();
        self.run_ok(self.plain_git(), &args).map(|_| ())
    }

    /// Removes everything below a section such as `cmw` from the repository's own configuration.
    ///
    /// # Errors
    /// Git's error message.
    pub fn remove_sections(&self, section: &str) -> Result<(), RepoError> {
        let start = format!("{section}.");
        let config = self.read_all()?;
        let mut keys: Vec<&str> = config
            .entries
            .iter()
            .filter(|e| e.is_local() && e.key.starts_with(&start))
            .map(|e| e.key.as_str())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            self.unset_local(key)?;
        }
        Ok(())
    }

    /// Removes all values of a key from the repository's own configuration; returns whether there was one.
    ///
    /// # Errors
    /// Git's error message.
    pub fn unset_local(&self, key: &str) -> Result<bool, RepoError> {
        let args = ["config", "--local", "--unset-all", "--", key].map(OsStr::new);
        let mut command = self.plain_git();
        command.args(args);
        let output = self.run(command)?;
        match output.status.code() {
            Some(0) => Ok(true),
            // 5: there is no such key.
            Some(5) => Ok(false),
            Some(_) | None => Err(failure(&args, &output)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_as_git_compares_them() {
        assert_eq!(canonical("Core.HooksPath"), "core.hookspath");
        assert_eq!(canonical("CMW.role.Dev-A.Kind"), "cmw.role.Dev-A.kind");
        let output =
            b"local\0file:.git/config\0cmw.role.Dev-A.kind\ndev\0command\0command line:\0core.bare\0";
        let config = Config::parse(output, true).unwrap();
        assert_eq!(config.get("cmw.role.Dev-A.KIND").unwrap().text(), "dev");
        assert!(config.get("cmw.role.dev-a.kind").is_none());
        assert_eq!(config.get("CORE.bare").unwrap().truth(), Some(true));
        assert_eq!(config.get("core.bare").unwrap().scope, Scope::Command);
        let [(role, name, _)] = config.below("cmw.role")[..] else { panic!("one role") };
        assert_eq!((role, name), ("Dev-A", "kind"));
        let scoped = |scope: Scope, origin: &str| {
            ConfigEntry { key: "a.b".to_owned(), value: None, scope, origin: origin.to_owned() }.is_lasting()
        };
        for (scope, lasts) in [(Scope::System, true), (Scope::Global, true), (Scope::Local, true)] {
            assert_eq!(scoped(scope, "file:.git/config"), lasts);
        }
        assert!(!scoped(Scope::Worktree, "file:x") && !scoped(Scope::Command, "file:included"));
        assert!(scoped(Scope::Unknown, "file:.git/config") && !scoped(Scope::Unknown, "command line:"));
        assert!(!scoped(Scope::Unknown, "file:.git/config.worktree"));
        assert!(Config::parse(b"a\0b\0c", true).is_none() && Config::parse(b"a\0b\0", true).is_none());
        assert_eq!(Config::parse(b"file:x\0a.b\n1\n2\0", false).unwrap().get("a.b").unwrap().text(), "1\n2");
    }
}
