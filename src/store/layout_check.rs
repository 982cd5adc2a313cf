//! Owns what has to lie in certain places for anybody to go on: our directories, and files that are files.
//! Looking changes nothing; what is in the way is moved aside and never removed.

use std::fs::symlink_metadata;

use crate::domain::util::time::Wall;
use crate::store::disk::{Disk, RealDisk};
use crate::store::error::{Doing, Result};
use crate::store::layout;

/// Files without which nothing goes on.
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

/// A place where not the thing lies that belongs there. The name is below git's common directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// A directory of ours is gone.
    Missing(&'static str),
    /// Something else than a directory has its name.
    NoDirectory(&'static str),
    /// Something else than a file has a file's name.
    NoFile(&'static str),
}

impl Misfit {
    /// What is wrong.
    #[must_use]
    pub fn what(self) -> String {
        match self {
            Self::Missing(dir) => format!("the directory {dir} is missing"),
            Self::NoDirectory(dir) => format!("{dir} is no directory"),
            Self::NoFile(file) => format!("{file} is no file"),
        }
    }
}

/// What lies wrong, directories first.
#[must_use]
pub fn misfits(disk: &RealDisk) -> Vec<Misfit> {
    let look = |path: &str| symlink_metadata(disk.path().join(path)).ok().map(|found| found.file_type());
    let dirs = layout::DIRECTORIES.into_iter().filter_map(|dir| match look(dir) {
        None => Some(Misfit::Missing(dir)),
        Some(kind) => (!kind.is_dir()).then_some(Misfit::NoDirectory(dir)),
    });
    let files = FILES.into_iter();
    let files = files.filter(|file| look(file).is_some_and(|kind| !kind.is_file())).map(Misfit::NoFile);
    dirs.chain(files).collect()
}

/// Makes the directory, or moves aside what is in the way; says what was done.
///
/// # Errors
/// As the system says.
pub fn mend(disk: &RealDisk, misfit: Misfit, now: Wall) -> Result<String> {
    let aside = |path: &str| {
        let name = format!("{path}.displaced-{}", now.to_string().replace(':', ""));
        disk.rename_new(path, &name).doing("move", path).map(|()| name)
    };
    match misfit {
        Misfit::Missing(dir) => {
            disk.ensure_dir(dir).doing("make", dir)?;
            Ok(format!("made the directory {dir}, which was missing"))
        }
        Misfit::NoDirectory(dir) => {
            let name = aside(dir)?;
            disk.ensure_dir(dir).doing("make", dir)?;
            Ok(format!("moved what was in the place of {dir} to {name}"))
        }
        Misfit::NoFile(file) => Ok(format!("moved what was in the place of {file} to {}", aside(file)?)),
    }
}
