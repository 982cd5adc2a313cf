//! Checks that the required directories exist and that files and directories are of the right kind. The check
//! changes nothing; a repair moves the obstacle aside and never removes it.

use std::fs::symlink_metadata;

use crate::domain::util::time::WallTime;
use crate::store::disk::{Disk, RealDisk};
use crate::store::error::{Doing, Result};
use crate::store::inspect;
use crate::store::layout;

/// Files that every command needs.
const FILES: [&str; 9] = [
    layout::STATE,
    layout::GATE,
    layout::JOURNAL,
    layout::JOURNAL_LOCK,
    layout::CHAINED_HOOKS,
    layout::VIEWS_LOCK,
    layout::BODIES_LOCK,
    layout::PINS_LOCK,
    layout::INIT_LOCK,
];

/// A path of the wrong kind or missing, below git's common directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutProblem {
    /// A required directory is missing.
    Missing(&'static str),
    /// A directory's name belongs to something else.
    NoDirectory(&'static str),
    /// A file's name belongs to something else.
    NoFile(&'static str),
}

impl LayoutProblem {
    /// Describes what is wrong.
    #[must_use]
    pub fn what(self) -> String {
        match self {
            Self::Missing(dir) => format!("the directory {dir} is missing"),
            Self::NoDirectory(dir) => format!("{dir} is not a directory"),
            Self::NoFile(file) => format!("{file} is not a file"),
        }
    }
}

/// Lists what is wrong, directories first.
#[must_use]
pub fn layout_problems(disk: &RealDisk) -> Vec<LayoutProblem> {
    let look = |path: &str| symlink_metadata(disk.path().join(path)).ok().map(|found| found.file_type());
    let dirs = layout::DIRECTORIES.into_iter().filter_map(|dir| match look(dir) {
        None => Some(LayoutProblem::Missing(dir)),
        Some(kind) => (!kind.is_dir()).then_some(LayoutProblem::NoDirectory(dir)),
    });
    let files = FILES.into_iter();
    let files =
        files.filter(|file| look(file).is_some_and(|kind| !kind.is_file())).map(LayoutProblem::NoFile);
    dirs.chain(files).collect()
}

/// Creates the directory, or moves the obstacle aside; returns a sentence that says what was done.
pub fn repair(disk: &RealDisk, misfit: LayoutProblem, now: WallTime) -> Result<String> {
    let aside = |path: &str| inspect::displace(disk, path, now);
    match misfit {
        LayoutProblem::Missing(dir) => {
            disk.ensure_dir(dir).doing("make", dir)?;
            Ok(format!("created the missing directory {dir}"))
        }
        LayoutProblem::NoDirectory(dir) => {
            let name = aside(dir)?;
            disk.ensure_dir(dir).doing("make", dir)?;
            Ok(format!("moved the file that blocked {dir} to {name}"))
        }
        LayoutProblem::NoFile(file) => {
            Ok(format!("moved the directory that blocked {file} to {}", aside(file)?))
        }
    }
}
