//! Lists rescues and reads their content.
//!
//! Any process can write refs below `refs/cmw/rescue/`, and disks fail: an invalid or unreadable rescue is
//! reported as such and does not affect the others. Three git processes read any number of rescues.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use crate::domain::guard::git_ref::Oid;
use crate::domain::rescue::note::{PREFIX, RescueNote};
use crate::domain::util::path_encoding;
use crate::domain::util::time::WallTime;

use crate::adapters::git::{Repo, RepoError, failure};

/// A larger commit is not a rescue, in bytes: a snapshot names only a limited number of paths.
const COMMIT_BYTES_MAX: usize = 2 << 20;

/// A ref below `refs/cmw/rescue/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescue {
    /// Its name, such as `Dev-A/20261124T161500Z`; as [`path_encoding::to_text`] writes it.
    pub name: String,
    /// When it was made, according to its commit.
    pub made: Option<WallTime>,
    /// Its content, or why it is not a valid rescue.
    pub content: Result<RescueContent, String>,
}

/// The content of a rescue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RescueContent {
    /// Its commit, whose tree is the work tree.
    pub commit: Oid,
    /// The note in its commit message.
    pub note: RescueNote,
    /// The commit on which the work is based; `None` when there was none.
    pub base: Option<Oid>,
    /// A commit whose tree is the index.
    pub index: Oid,
    /// A commit whose tree holds the stages of conflicts.
    pub stages: Option<Oid>,
}

/// The entry of a path in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its kind.
    pub kind: TreeEntryKind,
    /// Its object.
    pub oid: String,
}

/// The kinds of entries in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeEntryKind {
    /// A file.
    File,
    /// An executable file.
    Program,
    /// A symbolic link.
    Link,
    /// A commit of another repository.
    Repository,
}

/// A path that differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChange {
    /// From the root, as git writes it.
    pub path: Vec<u8>,
    /// The entry before.
    pub old: Option<TreeEntry>,
    /// The entry after.
    pub new: Option<TreeEntry>,
}

impl Rescue {
    /// Returns its full ref name.
    #[must_use]
    pub fn ref_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    fn broken(name: &[u8], why: &str) -> Self {
        Self { name: path_encoding::to_text(name), made: None, content: Err(why.to_owned()) }
    }
}

impl Repo {
    /// Returns all rescues, newest first; invalid ones last.
    ///
    /// # Errors
    /// Git's error message.
    pub fn rescues(&self) -> Result<Vec<Rescue>, RepoError> {
        let args = ["for-each-ref", "--format=%(objectname) %(refname)", PREFIX].map(OsStr::new);
        let mut command = self.settled_git(&[]);
        command.args(args);
        let output = self.run(command)?;
        if !output.status.success() {
            return Err(failure(&args, &output));
        }
        // Git skips refs that it cannot read, and warns on stderr.
        let broken = output.stderr.split(|b| *b == b'\n').filter_map(|line| {
            let name = line.strip_prefix(b"warning: ignoring broken ref ");
            name.or_else(|| line.strip_prefix(b"warning: ignoring dangling symref "))
        });
        let named = |name: &[u8]| name.strip_prefix(PREFIX.as_bytes()).map(<[u8]>::to_vec);
        let mut found: Vec<Rescue> = broken
            .filter_map(named)
            .map(|name| Rescue::broken(&name, "the ref is damaged, or its target is missing"))
            .collect();
        let refs: Vec<(Vec<u8>, Oid)> = output
            .stdout
            .split(|b| *b == b'\n')
            .filter_map(|line| {
                let at = line.iter().position(|b| *b == b' ')?;
                Some((named(&line[at + 1..])?, Oid::parse(&line[..at]).ok()?))
            })
            .collect();
        let mut commits = self.commits(refs.iter().map(|(_, oid)| oid))?;
        for (name, oid) in &refs {
            let commit = commits.remove(oid.as_str()).unwrap_or(Err("its object is missing".to_owned()));
            found.push(read(name, oid, &commit));
            commits.insert(oid.to_string(), commit);
        }
        found.sort_by(|a, b| {
            let key = |r: &Rescue| (r.content.is_ok(), r.made, r.name.clone());
            key(b).cmp(&key(a))
        });
        Ok(found)
    }

    /// Returns the content of commits, and for other objects a description.
    fn commits<'a>(
        &self,
        oids: impl Iterator<Item = &'a Oid>,
    ) -> Result<BTreeMap<String, Result<Vec<u8>, String>>, RepoError> {
        let ask = |what: &str, oids: &[String]| {
            let input: Vec<u8> = oids.iter().flat_map(|oid| format!("{oid}\n").into_bytes()).collect();
            self.run_with_input_ok(self.settled_git(&[]), &["cat-file", what].map(OsStr::new), &input)
        };
        let oids: Vec<String> = oids.map(Oid::to_string).collect();
        if oids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let answer = ask("--batch-check", &oids)?;
        let mut found = BTreeMap::new();
        let mut wanted = Vec::new();
        for line in String::from_utf8_lossy(&answer).lines() {
            let (oid, why) = match line.split(' ').collect::<Vec<_>>()[..] {
                [oid, "commit", size] if size.parse().is_ok_and(|size: usize| size <= COMMIT_BYTES_MAX) => {
                    wanted.push(oid.to_owned());
                    continue;
                }
                [oid, "missing"] => (oid, "its object is missing".to_owned()),
                [oid, kind, _] => (oid, format!("it is a {kind}, not a rescue")),
                _ => continue,
            };
            found.insert(oid.to_owned(), Err(why));
        }
        wanted.sort();
        wanted.dedup();
        if let Ok(answer) = ask("--batch", &wanted) {
            found.extend(batch(&answer).into_iter().map(|(oid, bytes)| (oid, Ok(bytes))));
            return Ok(found);
        }
        // An unreadable commit ends git's whole answer.
        for oid in wanted {
            let answer = ask("--batch", std::slice::from_ref(&oid));
            let bytes = answer.ok().and_then(|answer| batch(&answer).pop()).map(|(_, bytes)| bytes);
            found.insert(oid, bytes.ok_or_else(|| "its commit cannot be read".to_owned()));
        }
        Ok(found)
    }

    /// Returns the paths that differ between two commits; without an old one, all paths of the new one.
    ///
    /// # Errors
    /// Git's error message, for instance that an object is missing.
    pub fn tree_changes(&self, old: Option<&Oid>, new: &Oid) -> Result<Vec<TreeChange>, RepoError> {
        let old = old.map_or(self.object_format.empty_tree(), Oid::as_str);
        let args =
            ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none"];
        let args = [&args[..], &["--end-of-options", old, new.as_str()]].concat();
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        let answer = self.run_ok(self.settled_git(&[]), &args)?;
        let mut words = answer.split(|b| *b == 0);
        let mut changes = Vec::new();
        while let (Some(head), Some(path)) = (words.next(), words.next()) {
            let head = String::from_utf8_lossy(head);
            let fields: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
            let &[old_mode, new_mode, old, new, _] = &fields[..] else { continue };
            changes.push(TreeChange {
                path: path.to_vec(),
                old: entry(old_mode, old),
                new: entry(new_mode, new),
            });
        }
        Ok(changes)
    }

    /// Returns the difference between two commits as a patch; of these literal paths and everything below
    /// them, or of all.
    ///
    /// # Errors
    /// Git's error message.
    pub fn patch(&self, old: Option<&Oid>, new: &Oid, paths: &[Vec<u8>]) -> Result<Vec<u8>, RepoError> {
        use std::os::unix::ffi::OsStrExt;
        let old = old.map_or(self.object_format.empty_tree(), Oid::as_str);
        let fixed = ["diff-tree", "-r", "-p", "--binary", "--no-renames", "--no-color", "--no-ext-diff"];
        let args = [&fixed[..], &["--no-textconv", "--end-of-options", old, new.as_str(), "--"]].concat();
        let mut args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
        args.extend(paths.iter().map(|path| OsStr::from_bytes(path)));
        let mut command = self.settled_git(&[]);
        command.env("GIT_LITERAL_PATHSPECS", "1");
        self.run_ok(command, &args)
    }
}

fn entry(mode: &str, oid: &str) -> Option<TreeEntry> {
    let kind = match mode {
        "000000" => return None,
        "100755" => TreeEntryKind::Program,
        "120000" => TreeEntryKind::Link,
        "160000" => TreeEntryKind::Repository,
        _ => TreeEntryKind::File,
    };
    Some(TreeEntry { kind, oid: oid.to_owned() })
}

/// Parses the objects in an answer of `cat-file --batch`.
fn batch(mut answer: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(end) = answer.iter().position(|b| *b == b'\n') {
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        answer = &answer[end + 1..];
        let mut fields = head.split(' ');
        let (oid, size) = (fields.next().unwrap_or_default(), fields.nth(1).and_then(|s| s.parse().ok()));
        // A missing object has no content.
        let Some(size) = size else { continue };
        let Some(content) = answer.get(..size) else { break };
        found.push((oid.to_owned(), content.to_vec()));
        answer = answer.get(size + 1..).unwrap_or_default();
    }
    found
}

fn read(name: &[u8], oid: &Oid, commit: &Result<Vec<u8>, String>) -> Rescue {
    let bytes = match commit {
        Ok(bytes) => bytes,
        Err(why) => return Rescue::broken(name, why),
    };
    let text = String::from_utf8_lossy(bytes);
    let (head, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let lines = |key: &'static str| head.lines().filter_map(move |line| line.strip_prefix(key));
    let seconds = |line: &str| line.rsplit(' ').nth(1)?.parse::<i64>().ok();
    let made = lines("committer ").next().and_then(seconds).map(|s| WallTime(s.saturating_mul(1_000)));
    let parents: Vec<Oid> = lines("parent ").filter_map(|line| Oid::parse(line.as_bytes()).ok()).collect();
    let content = content(oid, message, &parents);
    Rescue { name: path_encoding::to_text(name), made, content: content.map_err(str::to_owned) }
}

/// Checks the note's parents against the commit's actual parents.
fn content(commit: &Oid, message: &str, parents: &[Oid]) -> Result<RescueContent, &'static str> {
    let note = RescueNote::parse(message).ok_or("it is not a commit made by a rescue")?;
    let (base, rest) = match note.base.as_deref() {
        Some("none") => (None, parents),
        Some(said) => match parents.split_first() {
            Some((first, rest)) if first.as_str() == said => (Some(first.clone()), rest),
            Some(_) | None => return Err("its parent is not the commit that it names"),
        },
        None => return Err("it does not name its base commit"),
    };
    let index = rest.first().cloned().ok_or("it has no commit for the index")?;
    Ok(RescueContent { commit: commit.clone(), note, base, index, stages: rest.get(1).cloned() })
}
