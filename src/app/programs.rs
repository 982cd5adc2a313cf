//! Locates our other programs: beside this one, never through PATH.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::app::env::Env;
use crate::app::error::Failure;
use crate::app::exit::Exit;

/// Returns the directory of the running program.
///
/// # Errors
/// [`Failure`] when the system does not report it.
pub fn directory() -> Result<PathBuf, Failure> {
    let unknown = |why: &str| {
        Failure::with_next_step(Exit::Unavailable, format!("cannot find our own programs: {why}"), "")
    };
    let exe = std::env::current_exe().map_err(|e| unknown(&e.to_string()))?;
    exe.parent().map(Path::to_owned).ok_or_else(|| unknown("they are in no directory"))
}

/// Returns the search path with our programs first.
///
/// # Errors
/// [`Failure`] as [`directory`], or when its name has a `:`, which a search path cannot contain.
pub fn search_path(env: &Env) -> Result<OsString, Failure> {
    let ours = directory()?;
    let rest: Vec<PathBuf> = env.get("PATH").map(|p| std::env::split_paths(p).collect()).unwrap_or_default();
    let rest = rest.into_iter().filter(|dir| *dir != ours);
    std::env::join_paths(std::iter::once(ours.clone()).chain(rest)).map_err(|_| {
        let what =
            format!("{} cannot be in PATH", crate::domain::util::sanitize::line(&ours.to_string_lossy()));
        Failure::with_next_step(
            Exit::Config,
            what,
            "move our programs to a directory without ':' in its name",
        )
    })
}

/// Reads the program that is installed under the hooks' names, from the directory of this one.
///
/// # Errors
/// [`Failure`] when it cannot be read.
pub fn hook_program() -> Result<Vec<u8>, Failure> {
    let here = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("cmw-hook")));
    let path = here.unwrap_or_else(|| "cmw-hook".into());
    std::fs::read(&path).map_err(|e| {
        let what = format!("the hook program {} cannot be read: {e}", path.display());
        Failure::with_next_step(Exit::Unavailable, what, "build all programs: cargo build --release")
    })
}
