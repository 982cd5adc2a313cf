//! The directory of hook programs, `cmw/hooks/`: installs, checks and removes them.
//!
//! The program is stored once, as `.program-<digest>`, and under each hook's name as a hard link to it. It is
//! replaced name by name with `rename`: a git that starts a hook at that moment runs the old or the new
//! program, and a running one keeps its own. Never a symbolic link: when its target is gone, git skips the
//! hook silently. (docs/decisions.md D46)
//!
//! Invariants (each has a test of the same name, the last in `tests/fast/guard/hook_upgrade.rs`):
//! * `an_install_that_is_up_to_date_touches_nothing`
//! * `left_overs_of_a_crash_block_no_install`
//! * `what_is_wrong_with_a_hook_is_told_apart`
//! * `an_upgrade_disturbs_no_commit`

use std::io;

use sha2::{Digest, Sha256};

use crate::store::disk::Disk;

/// The hooks that enforce rules.
pub const OWN_HOOKS: [&str; 11] = [
    "pre-commit",
    "prepare-commit-msg",
    "pre-merge-commit",
    "applypatch-msg",
    "pre-rebase",
    "pre-push",
    "pre-receive",
    "post-commit",
    "post-merge",
    "post-rewrite",
    "reference-transaction",
];

/// The directory of hook programs, relative to git's common directory; the value of `core.hooksPath` is its
/// absolute path.
pub const DIR: &str = "cmw/hooks";

/// Held while the directory is changed, so that two installations do not mix.
const LOCK: &str = "cmw/hooks.lock";

/// How long an installation waits for another one, in milliseconds.
const LOCK_WAIT_MS: u64 = 10_000;

/// Larger files than this are not our program.
const PROGRAM_BYTES_MAX: u64 = 256 << 20;

/// The state of one hook's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookState {
    /// The given program.
    Ok,
    /// No file: git runs no hook.
    Missing,
    /// The given program, but not executable: git would skip it.
    NotExecutable,
    /// A file with other content: another version, or a changed one.
    Different,
    /// A symbolic link, a directory, or a file of another user.
    Foreign,
}

fn at(name: &str) -> String {
    format!("{DIR}/{name}")
}

/// Compares files with a program byte by byte; a file that has several names is read once.
struct Comparison<'a> {
    program: &'a [u8],
    equal: Option<(u64, u64)>,
}

impl<'a> Comparison<'a> {
    fn with(program: &'a [u8]) -> Self {
        Self { program, equal: None }
    }

    fn state_of<D: Disk>(&mut self, disk: &D, name: &str) -> io::Result<HookState> {
        match self.compare(disk, name) {
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidData | io::ErrorKind::PermissionDenied) => {
                Ok(HookState::Foreign)
            }
            other => other,
        }
    }

    fn compare<D: Disk>(&mut self, disk: &D, name: &str) -> io::Result<HookState> {
        let Some(file) = disk.program(&at(name))? else { return Ok(HookState::Missing) };
        if self.equal != Some(file.file_id) {
            if file.size != self.program.len() as u64 {
                return Ok(HookState::Different);
            }
            match disk.read(&at(name), PROGRAM_BYTES_MAX)? {
                None => return Ok(HookState::Missing),
                Some(bytes) if bytes != self.program => return Ok(HookState::Different),
                Some(_) => self.equal = Some(file.file_id),
            }
        }
        Ok(if file.is_executable { HookState::Ok } else { HookState::NotExecutable })
    }
}

/// Returns the state of each of these hooks.
///
/// # Errors
/// When the directory cannot be read.
pub fn installed<D: Disk>(disk: &D, program: &[u8], names: &[&str]) -> io::Result<Vec<(String, HookState)>> {
    let mut comparison = Comparison::with(program);
    names.iter().map(|name| Ok(((*name).to_owned(), comparison.state_of(disk, name)?))).collect()
}

/// Installs the program under each of these names; leaves names that are up to date untouched. Returns how
/// many names were changed.
///
/// # Errors
/// The system's error; names that were installed stay, and running it again does the rest. A directory in the
/// place of a hook is an error and is not removed.
pub fn install<D: Disk>(disk: &D, program: &[u8], names: &[&str]) -> io::Result<usize> {
    disk.ensure_dir(DIR)?;
    let _one_at_a_time = disk.lock(LOCK, LOCK_WAIT_MS)?;
    let digest: String = Sha256::digest(program).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let original = format!(".program-{digest}");
    let mut comparison = Comparison::with(program);
    if comparison.state_of(disk, &original)? != HookState::Ok {
        // A left-over of a crash may have either name; git runs neither.
        let temporary = at(&format!(".new-{digest}"));
        disk.remove(&temporary)?;
        disk.create_program(&temporary, program)?;
        disk.sync(&temporary)?;
        disk.rename(&temporary, &at(&original))?;
    }
    let mut changed = 0;
    for name in names {
        if comparison.state_of(disk, name)? == HookState::Ok {
            continue;
        }
        let temporary = at(&format!(".link-{name}"));
        disk.remove(&temporary)?;
        disk.link(&at(&original), &temporary)?;
        disk.rename(&temporary, &at(name))?;
        // Between two names of one file, rename does nothing and leaves both.
        disk.remove(&temporary)?;
        changed += 1;
    }
    sweep(disk, |name| name != original)?;
    disk.sync_dir(DIR)?;
    Ok(changed)
}

/// Removes these hooks and the left-overs of installations; missing names are no error. Running programs
/// continue.
pub fn remove<D: Disk>(disk: &D, names: &[&str]) -> io::Result<()> {
    if disk.list(DIR)?.is_empty() {
        return Ok(());
    }
    let _one_at_a_time = disk.lock(LOCK, LOCK_WAIT_MS)?;
    for name in names {
        disk.remove(&at(name))?;
    }
    sweep(disk, |_| true)?;
    disk.sync_dir(DIR)
}

/// Removes our own hidden files in this directory that are unwanted.
fn sweep<D: Disk>(disk: &D, is_unwanted: impl Fn(&str) -> bool) -> io::Result<()> {
    let is_hidden = |name: &str| [".program-", ".new-", ".link-"].iter().any(|start| name.starts_with(start));
    for name in disk.list(DIR)?.iter().filter(|name| is_hidden(name) && is_unwanted(name)) {
        disk.remove(&at(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;
    use crate::store::disk::RealDisk;

    const NAMES: [&str; 3] = ["pre-commit", "reference-transaction", "pre-push"];

    fn world() -> (tempfile::TempDir, RealDisk, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(dir.path()).unwrap();
        let hooks = dir.path().join(DIR);
        (dir, disk, hooks)
    }

    fn states(disk: &RealDisk, program: &[u8]) -> Vec<HookState> {
        installed(disk, program, &NAMES).unwrap().into_iter().map(|(_, state)| state).collect()
    }

    #[test]
    fn an_install_that_is_up_to_date_touches_nothing() {
        let (_dir, disk, hooks) = world();
        assert_eq!(states(&disk, b"one"), [HookState::Missing; 3]);
        assert_eq!(install(&disk, b"one", &NAMES).unwrap(), 3);
        assert_eq!(states(&disk, b"one"), [HookState::Ok; 3]);
        let inode = || std::fs::metadata(hooks.join("pre-commit")).unwrap().ino();
        let before = (inode(), std::fs::metadata(&hooks).unwrap().mtime_nsec());
        assert_eq!(install(&disk, b"one", &NAMES).unwrap(), 0);
        assert_eq!((inode(), std::fs::metadata(&hooks).unwrap().mtime_nsec()), before);
        assert_eq!(std::fs::metadata(hooks.join("pre-push")).unwrap().nlink(), 4, "one file on the disk");
        assert_eq!(states(&disk, b"two"), [HookState::Different; 3]);
        assert_eq!(install(&disk, b"two", &NAMES).unwrap(), 3);
        assert_ne!(inode(), before.0);
        assert_eq!(std::fs::read(hooks.join("pre-push")).unwrap(), b"two");
        assert_eq!(disk.list(DIR).unwrap().len(), 4, "the old program is gone");
        remove(&disk, &NAMES).unwrap();
        assert!(disk.list(DIR).unwrap().is_empty());
        remove(&disk, &NAMES).unwrap();
    }

    #[test]
    fn left_overs_of_a_crash_block_no_install() {
        let (_dir, disk, hooks) = world();
        install(&disk, b"one", &NAMES).unwrap();
        disk.link("cmw/hooks/pre-push", "cmw/hooks/.link-pre-push").unwrap();
        let original =
            disk.list(DIR).unwrap().into_iter().find(|name| name.starts_with(".program-")).unwrap();
        let half = original.replace(".program-", ".new-");
        disk.create_new(&at(&half), b"o").unwrap();
        disk.remove(&at(&original)).unwrap();
        disk.create_new(&at(&original), b"garbage").unwrap();
        disk.create_new("cmw/hooks/.program-0000", b"old").unwrap();
        disk.remove("cmw/hooks/pre-push").unwrap();
        // A hook of another tool stays.
        disk.create_new("cmw/hooks/post-checkout", b"theirs").unwrap();
        assert_eq!(install(&disk, b"one", &NAMES).unwrap(), 1);
        assert_eq!(states(&disk, b"one"), [HookState::Ok; 3]);
        let left = disk.list(DIR).unwrap();
        assert_eq!(left, [&original, "post-checkout", "pre-commit", "pre-push", "reference-transaction"]);
        assert_eq!(std::fs::read(hooks.join(original)).unwrap(), b"one");
    }

    #[test]
    fn what_is_wrong_with_a_hook_is_told_apart() {
        let (dir, disk, hooks) = world();
        install(&disk, b"one", &NAMES).unwrap();
        let file = hooks.join("pre-commit");
        let swap = |plant: &dyn Fn()| {
            std::fs::remove_file(&file).unwrap();
            plant();
            let seen = states(&disk, b"one")[0];
            assert_eq!(install(&disk, b"one", &NAMES).unwrap(), 1, "{seen:?} is repaired");
            assert_eq!(states(&disk, b"one"), [HookState::Ok; 3]);
            seen
        };
        let victim = dir.path().join("victim");
        disk.create_new("victim", b"one").unwrap();
        assert_eq!(swap(&|| symlink(&victim, &file).unwrap()), HookState::Foreign);
        assert_eq!(swap(&|| symlink("nowhere", &file).unwrap()), HookState::Foreign);
        assert_eq!(
            swap(&|| disk.create_new("cmw/hooks/pre-commit", b"one").unwrap()),
            HookState::NotExecutable
        );
        assert_eq!(swap(&|| disk.create_new("cmw/hooks/pre-commit", b"").unwrap()), HookState::Different);
        assert_eq!(swap(&|| ()), HookState::Missing);
        assert_eq!(std::fs::read(&victim).unwrap(), b"one");
        // All names are links to one file: a mode bit that one loses, all lose, and all regain.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(states(&disk, b"one").contains(&HookState::NotExecutable));
        install(&disk, b"one", &NAMES).unwrap();
        assert_eq!(states(&disk, b"one"), [HookState::Ok; 3]);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert_eq!(states(&disk, b"one")[0], HookState::Foreign);
        assert!(install(&disk, b"one", &NAMES).is_err());
    }
}
