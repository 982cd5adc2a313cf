//! Owns seeing how all refs stand that somebody may be answerable for, with what their reflogs say.
//!
//! Limitations: of a store that is not files git tells only where each line of a reflog leads to, not where
//! it came from ([`ANYWHERE`]), and of refs that are damaged nothing at all: those seem to be gone.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::domain::audit::reflog::{ANYWHERE, LogLine, Present, renamed};
use crate::domain::guard::git_ref::{Oid, RefName};
use crate::domain::util::path_encoding;
use crate::domain::util::time::Wall;

use crate::adapters::git::refs::RefValue;
use crate::adapters::git::{RefFormat, Repo, RepoError, io_error};

/// Where refs stand that are looked at.
const PLACES: [&str; 5] = ["refs/heads", "refs/tags", "refs/notes", "refs/replace", "refs/cmw"];

/// Where git puts the reflog of a branch that is renamed, before it asks whether it may be.
const ASIDE: &str = "refs/.tmp-renamed-log";

impl Repo {
    /// Every ref below the places that are looked at, by its name as text.
    ///
    /// # Errors
    /// Git's own words, or of a reflog.
    pub fn sightings(&self) -> Result<BTreeMap<String, Present>, RepoError> {
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
            found.insert(name, Present { value, log });
        }
        Ok(found)
    }

    /// One ref; with an empty value when there is none.
    ///
    /// # Errors
    /// As [`Repo::read_ref`], or of its reflog.
    pub fn sighting(&self, name: &RefName) -> Result<Present, RepoError> {
        let value = match self.read_ref(name)? {
            RefValue::Missing => return Ok(Present::default()),
            RefValue::Oid(oid) => oid.to_string(),
            RefValue::Symref(target) => format!("ref:{}", target.as_str()),
        };
        Ok(Present { value, log: self.reflog(name.as_str())? })
    }

    /// The lines of a reflog, oldest first; none when there is no log.
    fn reflog(&self, name: &str) -> Result<Vec<LogLine>, RepoError> {
        if self.ref_format != RefFormat::Files {
            return Ok(self.told_reflog(name));
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

    /// The same, as git tells it; nothing when it cannot, since the ref itself is compared in any case.
    fn told_reflog(&self, name: &str) -> Vec<LogLine> {
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
            let at = Wall(seconds.map_or(0, |s: i64| s.saturating_mul(1_000)));
            let (who, what) = (fields.next()?, fields.next().unwrap_or_default());
            Some(LogLine { old: ANYWHERE.to_owned(), new, at, who, what })
        };
        let mut lines: Vec<LogLine> = output.split(|b| *b == b'\n').filter_map(told).collect();
        lines.reverse();
        // What leads to where it was moves nothing.
        let mut before = String::new();
        lines.retain(|line| std::mem::replace(&mut before, line.new.clone()) != line.new);
        lines
    }

    /// Tries to make a ref, as anybody's git would that is called here, and takes it away again: what git
    /// said when it did not make it, `None` when it did.
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

    /// Whether a commit is among those that another one has behind it.
    ///
    /// # Errors
    /// Git's own words, for instance that an object is missing.
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

    /// The branches whose tip a commit is.
    ///
    /// # Errors
    /// Git's own words.
    pub fn branches_at(&self, commit: &Oid) -> Result<Vec<RefName>, RepoError> {
        let args = ["for-each-ref", "--format=%(refname)", "--points-at", commit.as_str(), "refs/heads"];
        let output = self.run_ok(self.plain_git(), &args.map(OsStr::new))?;
        Ok(output.split(|b| *b == b'\n').filter_map(|line| RefName::parse(line).ok()).collect())
    }

    /// The branches, here and of remotes, that have a commit behind them, by their names as text.
    ///
    /// # Errors
    /// Git's own words, for instance that the commit is missing.
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

/// What stands in the file of a reflog; `None` when there is none.
fn read_log(path: &Path) -> Result<Option<Vec<LogLine>>, RepoError> {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text.split(|b| *b == b'\n').filter_map(parse).collect())),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | IsADirectory) => Ok(None),
        Err(error) => Err(io_error(path)(error)),
    }
}

/// `<old> <new> <name> <<mail>> <seconds> <zone>\t<what>`.
fn parse(line: &[u8]) -> Option<LogLine> {
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
    let at = Wall(seconds.saturating_mul(1_000));
    Some(LogLine { old: value(old)?, new: value(new)?, at, who, what: what.to_owned() })
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
        assert_eq!((read.at, read.who.as_str()), (Wall(1_700_000_000_000), "A B <a@b>"));
        assert_eq!(read.what, "commit: x > y");
        assert_eq!(parse(format!("{one} {one} x <y> 1 +0000").as_bytes()).unwrap().what, "");
        assert!(parse(b"").is_none() && parse(b"garbage").is_none() && parse(b"a b c").is_none());
    }
}
