//! Snapshots of all relevant refs, with their reflogs.
//!
//! Limitations: of a store other than files git reports only the new value of each reflog line, not the old
//! one ([`ANYWHERE`]), and damaged refs not at all: those appear to be deleted.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::domain::audit::reflog::{ANYWHERE, RefWithReflog, ReflogLine, renamed};
use crate::domain::guard::git_ref::{Oid, RefName};
use crate::domain::util::path_encoding;
use crate::domain::util::time::WallTime;

use crate::adapters::git::refs::RefValue;
use crate::adapters::git::{RefFormat, Repo, RepoError, io_error};

/// The prefixes of the refs that are examined.
const PLACES: [&str; 5] = ["refs/heads", "refs/tags", "refs/notes", "refs/replace", "refs/cmw"];

/// Where git puts the reflog of a branch that is being renamed, before it runs the hook.
const ASIDE: &str = "refs/.tmp-renamed-log";

impl Repo {
    /// Returns every ref below the examined prefixes, by its name as text.
    ///
    /// # Errors
    /// Git's error message, or the error of a reflog.
    pub fn ref_snapshot(&self) -> Result<BTreeMap<String, RefWithReflog>, RepoError> {
        let mut args = vec!["for-each-ref", "--format=%(refname)%00%(objectname)%00%(symref)"];
        args.extend(PLACES);
        let args: Vec<&OsStr> = args.into_iter().map(OsStr::new).collect();
        let output = self.run_ok(self.settled_git(&[]), &args)?;
        let mut found = BTreeMap::new();
        for line in output.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let mut fields = line.split(|b| *b == 0).map(path_encoding::to_text);
            let (Some(name), Some(oid), Some(symref)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let value = if symref.is_empty() { oid } else { format!("ref:{symref}") };
            let log = self.reflog(&name)?;
            found.insert(name, RefWithReflog { value, log });
        }
        Ok(found)
    }

    /// Returns one ref; its value is empty when it does not exist.
    ///
    /// # Errors
    /// As [`Repo::read_ref`], or of its reflog.
    pub fn ref_state(&self, name: &RefName) -> Result<RefWithReflog, RepoError> {
        let value = match self.read_ref(name)? {
            RefValue::Missing => return Ok(RefWithReflog::default()),
            RefValue::Oid(oid) => oid.to_string(),
            RefValue::Symref(target) => format!("ref:{}", target.as_str()),
        };
        Ok(RefWithReflog { value, log: self.reflog(name.as_str())? })
    }

    /// Returns the lines of a reflog, oldest first; none when there is no log.
    fn reflog(&self, name: &str) -> Result<Vec<ReflogLine>, RepoError> {
        if self.ref_format != RefFormat::Files {
            return Ok(self.git_reflog(name));
        }
        let logs = self.common_dir.join("logs");
        if let Some(log) = read_log(&logs.join(OsStr::from_bytes(&path_encoding::from_text(name))))? {
            return Ok(log);
        }
        let mut log = read_log(&logs.join(ASIDE))?.unwrap_or_default();
        let is_its = log.iter().any(|line| renamed(line, Some(name)).is_some());
        log.retain(|_| is_its);
        Ok(log)
    }

    /// Returns the reflog as git reports it; empty when git fails, since the ref itself is compared in any
    /// case.
    fn git_reflog(&self, name: &str) -> Vec<ReflogLine> {
        let name = path_encoding::from_text(name);
        let args =
            ["log", "-g", "--no-show-signature", "--date=unix", "--format=%H%x00%gD%x00%gn <%ge>%x00%gs"];
        let mut args: Vec<&OsStr> = args.map(OsStr::new).to_vec();
        args.extend([OsStr::from_bytes(&name), OsStr::new("--")]);
        let output = self.run_ok(self.settled_git(&[]), &args).unwrap_or_default();
        let told = |line: &[u8]| {
            let mut fields = line.split(|b| *b == 0).map(path_encoding::to_text);
            let (new, selector) = (fields.next()?, fields.next()?);
            let seconds = selector.rsplit_once("@{")?.1.trim_end_matches('}').parse().ok();
            let at = WallTime(seconds.map_or(0, |s: i64| s.saturating_mul(1_000)));
            let (who, what) = (fields.next()?, fields.next().unwrap_or_default());
            Some(ReflogLine { old: ANYWHERE.to_owned(), new, at, who, what })
        };
        let mut lines: Vec<ReflogLine> = output.split(|b| *b == b'\n').filter_map(told).collect();
        lines.reverse();
        // A line whose new value equals the previous one is no movement.
        let mut before = String::new();
        lines.retain(|line| std::mem::replace(&mut before, line.new.clone()) != line.new);
        lines
    }

    /// Creates a ref as any git process started here would, and deletes it again; returns git's message when
    /// that failed, `None` when it succeeded.
    ///
    /// # Errors
    /// When git cannot be started.
    pub fn try_ref(&self, name: &str, commit: &Oid) -> Result<Option<String>, RepoError> {
        let mut command = self.git();
        command.args(["update-ref", name, commit.as_str()]);
        let output = self.run(command)?;
        if !output.status.success() {
            return Ok(Some(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let mut command = self.git();
        command.args(["update-ref", "-d", name]);
        self.run(command)?;
        Ok(None)
    }

    /// Returns whether a commit is an ancestor of another one.
    ///
    /// # Errors
    /// Git's error message, for instance that an object is missing.
    pub fn contains(&self, tip: &Oid, commit: &Oid) -> Result<bool, RepoError> {
        let args = ["merge-base", "--is-ancestor", commit.as_str(), tip.as_str()].map(OsStr::new);
        let mut command = self.plain_git();
        command.args(args);
        let output = self.run(command)?;
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            Some(_) | None => Err(crate::adapters::git::failure(&args, &output)),
        }
    }

    /// Returns the branches whose tip is a commit.
    ///
    /// # Errors
    /// Git's error message.
    pub fn branches_at(&self, commit: &Oid) -> Result<Vec<RefName>, RepoError> {
        let args = ["for-each-ref", "--format=%(refname)", "--points-at", commit.as_str(), "refs/heads"];
        let output = self.run_ok(self.plain_git(), &args.map(OsStr::new))?;
        Ok(output.split(|b| *b == b'\n').filter_map(|line| RefName::parse(line).ok()).collect())
    }

    /// Returns the local and remote branches that contain a commit, by their names as text.
    ///
    /// # Errors
    /// Git's error message, for instance that the commit is missing.
    pub fn branches_with(&self, commit: &Oid) -> Result<Vec<String>, RepoError> {
        let args = [
            "for-each-ref",
            "--format=%(refname)",
            "--contains",
            commit.as_str(),
            "refs/heads",
            "refs/remotes",
        ];
        let output = self.run_ok(self.plain_git(), &args.map(OsStr::new))?;
        Ok(output
            .split(|b| *b == b'\n')
            .filter(|line| !line.is_empty())
            .map(path_encoding::to_text)
            .collect())
    }
}

/// Reads the file of a reflog; `None` when it does not exist.
fn read_log(path: &Path) -> Result<Option<Vec<ReflogLine>>, RepoError> {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text.split(|b| *b == b'\n').filter_map(parse).collect())),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | IsADirectory) => Ok(None),
        Err(error) => Err(io_error(path)(error)),
    }
}

/// Parses `<old> <new> <name> <<mail>> <seconds> <zone>\t<what>`.
fn parse(line: &[u8]) -> Option<ReflogLine> {
    let text = path_encoding::to_text(line);
    let (head, what) = text.split_once('\t').unwrap_or((&text, ""));
    let mut fields = head.splitn(3, ' ');
    let (old, new, rest) = (fields.next()?, fields.next()?, fields.next()?);
    let (who, time) = rest.rsplit_once("> ").unwrap_or((rest, ""));
    let seconds: i64 = time.split(' ').next()?.parse().unwrap_or(0);
    let value = |field: &str| {
        let oid = Oid::parse(field.as_bytes()).ok()?;
        Some(if oid.is_zero() { String::new() } else { oid.to_string() })
    };
    let who = if who.contains('<') { format!("{who}>") } else { who.to_owned() };
    let at = WallTime(seconds.saturating_mul(1_000));
    Some(ReflogLine { old: value(old)?, new: value(new)?, at, who, what: what.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_reflog_is_read_whatever_stands_in_it() {
        let (zero, one) = ("0".repeat(40), "1".repeat(40));
        let line = format!("{zero} {one} A B <a@b> 1700000000 +0100\tcommit: x > y");
        let read = parse(line.as_bytes()).unwrap();
        assert_eq!((read.old.as_str(), read.new.as_str()), ("", one.as_str()));
        assert_eq!((read.at, read.who.as_str()), (WallTime(1_700_000_000_000), "A B <a@b>"));
        assert_eq!(read.what, "commit: x > y");
        assert_eq!(parse(format!("{one} {one} x <y> 1 +0000").as_bytes()).unwrap().what, "");
        assert!(parse(b"").is_none() && parse(b"garbage").is_none() && parse(b"a b c").is_none());
    }
}
