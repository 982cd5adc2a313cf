//! Finds the repository of a directory, as git finds it, without starting git.
//!
//! Invariants (tests of the same name in `tests/fast/git/adapter.rs`):
//! * `discovery_agrees_with_git`

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::adapters::git::{GitEnv, ObjectFormat, RefFormat, Repo, RepoError, ini, io_error};

/// Larger files are not written by git (git has the same limit for `.git` files).
const SMALL_BYTES: u64 = 1 << 20;

/// Finds the repository to which a directory belongs.
///
/// `start` is the directory to begin with; it also serves as the working directory for variables with a
/// relative path.
///
/// # Errors
/// [`RepoError::NotARepository`], or the fault of the repository that was found.
pub fn discover(start: &Path, env: &GitEnv) -> Result<Repo, RepoError> {
    let start = start.canonicalize().map_err(io_error(start))?;
    if let Some(git_dir) = &env.git_dir {
        let named = start.join(git_dir);
        let git_dir = if named.is_file() { follow_git_file(&named)? } else { named };
        if !is_git_dir(&git_dir, &start, env) {
            return Err(RepoError::NotARepository { start: git_dir });
        }
        return open(&git_dir, GitDirOrigin::Named, &start, env);
    }
    let ceilings = ceilings(env);
    let device = device(&start)?;
    for dir in start.ancestors() {
        if dir != start && (ceilings.iter().any(|c| c == dir) || self::device(dir)? != device) {
            break;
        }
        let dot_git = dir.join(".git");
        if dot_git.is_file() {
            return open(&follow_git_file(&dot_git)?, GitDirOrigin::WorkTree(dir), &start, env);
        }
        if is_git_dir(&dot_git, &start, env) {
            return open(&dot_git, GitDirOrigin::WorkTree(dir), &start, env);
        }
        if is_git_dir(dir, &start, env) {
            return open(dir, GitDirOrigin::Inside, &start, env);
        }
    }
    Err(RepoError::NotARepository { start })
}

/// How a git directory was found, which decides the location of its work tree.
enum GitDirOrigin<'a> {
    /// By `GIT_DIR`: the work tree is the working directory, unless configured otherwise.
    Named,
    /// As `.git` of this directory.
    WorkTree(&'a Path),
    /// The start directory, or one above it, is itself a git directory.
    Inside,
}

fn device(dir: &Path) -> Result<u64, RepoError> {
    Ok(std::fs::metadata(dir).map_err(io_error(dir))?.dev())
}

/// Resolves links in entries, except after an empty entry (as git documents it).
fn ceilings(env: &GitEnv) -> Vec<PathBuf> {
    let Some(list) = &env.ceiling_directories else { return Vec::new() };
    let mut resolve = true;
    let mut out = Vec::new();
    for entry in list.as_bytes().split(|b| *b == b':') {
        let path = Path::new(std::ffi::OsStr::from_bytes(entry));
        if entry.is_empty() {
            resolve = false;
        } else if path.is_absolute() {
            let resolved = if resolve { path.canonicalize().ok() } else { None };
            out.push(resolved.unwrap_or_else(|| path.components().collect()));
        }
    }
    out
}

/// Reads a whole small file; `None` when it does not exist.
fn read_small(path: &Path) -> Result<Option<Vec<u8>>, RepoError> {
    use std::io::Read;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(io_error(path)(source)),
    };
    let mut bytes = Vec::new();
    file.take(SMALL_BYTES + 1).read_to_end(&mut bytes).map_err(io_error(path))?;
    if bytes.len() as u64 > SMALL_BYTES {
        return Err(broken(path, "it is larger than 1 MiB"));
    }
    Ok(Some(bytes))
}

fn broken(path: &Path, why: &str) -> RepoError {
    RepoError::Broken { path: path.to_owned(), why: why.to_owned() }
}

fn as_path(bytes: &[u8]) -> &Path {
    let end = bytes.iter().rposition(|b| !matches!(b, b'\n' | b'\r')).map_or(0, |i| i + 1);
    Path::new(std::ffi::OsStr::from_bytes(&bytes[..end]))
}

/// Returns the directory that the `.git` file of a linked work tree or submodule names.
fn follow_git_file(file: &Path) -> Result<PathBuf, RepoError> {
    let text = read_small(file)?.unwrap_or_default();
    let Some(target) = text.strip_prefix(b"gitdir: ").map(as_path).filter(|p| *p != Path::new("")) else {
        return Err(broken(file, "it does not contain `gitdir: <path>`"));
    };
    let target = file.parent().unwrap_or(Path::new("/")).join(target);
    if target.join("HEAD").symlink_metadata().is_err() {
        let why = format!("it names {}, which is not a git directory", target.display());
        return Err(broken(file, &why));
    }
    Ok(target)
}

/// Returns the common directory of a git directory.
fn common_dir(git_dir: &Path, start: &Path, env: &GitEnv) -> Result<PathBuf, RepoError> {
    if let Some(common) = &env.common_dir {
        return Ok(start.join(common));
    }
    let text = read_small(&git_dir.join("commondir"))?;
    Ok(text.map_or_else(|| git_dir.to_owned(), |text| git_dir.join(as_path(&text))))
}

/// Applies git's own test: a HEAD that could be one, `objects/` and `refs/`.
fn is_git_dir(dir: &Path, start: &Path, env: &GitEnv) -> bool {
    let head = dir.join("HEAD");
    let head_is_good = match std::fs::read_link(&head) {
        Ok(target) => target.as_os_str().as_bytes().starts_with(b"refs/"),
        Err(_) => read_small(&head).ok().flatten().is_some_and(|text| {
            let symbolic =
                text.strip_prefix(b"ref:").is_some_and(|t| t.trim_ascii_start().starts_with(b"refs/"));
            symbolic || (text.len() >= 40 && text[..40].iter().all(u8::is_ascii_hexdigit))
        }),
    };
    head_is_good
        && common_dir(dir, start, env)
            .is_ok_and(|common| common.join("objects").is_dir() && common.join("refs").is_dir())
}

fn settings(path: &Path) -> Result<ini::IniValues, RepoError> {
    let text = read_small(path)?.unwrap_or_default();
    ini::parse(&text).map_err(|why| broken(path, &why))
}

fn open(git_dir: &Path, place: GitDirOrigin<'_>, start: &Path, env: &GitEnv) -> Result<Repo, RepoError> {
    let git_dir = git_dir.canonicalize().map_err(io_error(git_dir))?;
    let common = common_dir(&git_dir, start, env)?;
    let common_dir = common.canonicalize().map_err(io_error(&common))?;
    let shared = settings(&common_dir.join("config"))?;
    let get = |key: &str| shared.get(key).map(|value| value.as_deref());
    let of_worktree = match get("extensions.worktreeconfig").map(ini::truth) {
        Some(Some(true)) => Some(settings(&git_dir.join("config.worktree"))?),
        Some(Some(false) | None) | None => None,
    };
    // In a linked work tree the shared core.bare and core.worktree refer to the main one, unless each work
    // tree has a configuration of its own.
    let counts = of_worktree.is_some() || git_dir == common_dir;
    let own = |key: &str| {
        let value = of_worktree.as_ref().and_then(|values| values.get(key)).or_else(|| shared.get(key));
        value.filter(|_| counts).map(|value| value.as_deref())
    };
    let is_true = |value| ini::truth(value).unwrap_or(false);
    let core_bare = own("core.bare").map(is_true);
    let core_worktree = own("core.worktree").flatten();
    let work_tree = work_tree(&git_dir, &place, start, env, core_bare, core_worktree)?;
    // Without a work tree the shared configuration does count.
    let bare = work_tree.is_none() && core_bare.or_else(|| get("core.bare").map(is_true)).unwrap_or(true);
    let ref_format = match get("extensions.refstorage") {
        None | Some(Some(b"files")) => RefFormat::Files,
        Some(Some(b"reftable")) => RefFormat::Reftable,
        Some(Some(_) | None) => RefFormat::Other,
    };
    let object_format = match get("extensions.objectformat") {
        None | Some(Some(b"sha1")) => ObjectFormat::Sha1,
        Some(Some(b"sha256")) => ObjectFormat::Sha256,
        Some(Some(_) | None) => {
            return Err(broken(
                &common_dir.join("config"),
                "extensions.objectFormat is neither sha1 nor sha256",
            ));
        }
    };
    Ok(Repo {
        git_dir,
        common_dir,
        work_tree,
        bare,
        ref_format,
        object_format,
        program: env.program.clone().unwrap_or_else(|| PathBuf::from("git")),
        variables: env.variables.clone(),
        own_refs: None,
    })
}

fn work_tree(
    git_dir: &Path,
    place: &GitDirOrigin<'_>,
    start: &Path,
    env: &GitEnv,
    core_bare: Option<bool>,
    core_worktree: Option<&[u8]>,
) -> Result<Option<PathBuf>, RepoError> {
    let path = match (&env.work_tree, core_worktree, place) {
        (Some(named), _, _) => start.join(named),
        (None, Some(named), _) => git_dir.join(as_path(named)),
        (None, None, _) if core_bare == Some(true) => return Ok(None),
        (None, None, GitDirOrigin::Named) => start.to_owned(),
        (None, None, GitDirOrigin::WorkTree(dir)) => (*dir).to_owned(),
        (None, None, GitDirOrigin::Inside) => return Ok(None),
    };
    let path = path.canonicalize().map_err(io_error(&path))?;
    // Hooks of a push run inside the git directory with GIT_DIR=. there; git then calls that a work tree, but
    // it has no working files.
    Ok(Some(path).filter(|path| path != git_dir))
}
