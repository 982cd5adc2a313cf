//! Owns the hook that was in effect before ours: it runs after ours has allowed, with the same
//! arguments, environment, working directory and input, and its "no" is a "no".

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use cmw::cli::output::write_err;
use cmw::store::disk::{Disk, RealDisk};
use cmw::store::layout;

use super::scene::House;

/// Runs the chained hook, if there is one. `stdin`: what ours has read and it must get too.
pub(crate) fn run(house: &House, name: &str, args: &[OsString], stdin: Option<Vec<u8>>) -> ExitCode {
    let Some(program) = chained(house, name) else { return ExitCode::SUCCESS };
    let mut command = Command::new(&program);
    command.args(args);
    let Some(stdin) = stdin else {
        // Nothing is left for us to do: become it.
        let error = command.exec();
        write_err(&format!("cmw: cannot run {}: {error}", program.display()));
        return ExitCode::from(1);
    };
    match feed(command, &stdin) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            write_err(&format!("cmw: cannot run {}: {error}", program.display()));
            ExitCode::from(1)
        }
    }
}

fn feed(mut command: Command, stdin: &[u8]) -> std::io::Result<u8> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A hook that does not read its input is no error.
        let _ = pipe.write_all(stdin);
    }
    let status = child.wait()?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(u8::try_from(code).unwrap_or(1))
}

/// The executable of that name in the directory that was in effect before ours.
fn chained(house: &House, name: &str) -> Option<PathBuf> {
    let disk = RealDisk::open(&house.common_dir()?).ok()?;
    let bytes = disk.read(layout::CHAINED_HOOKS, 8 << 10).ok()??;
    let dir = String::from_utf8(bytes).ok()?;
    let dir = Path::new(dir.trim_end_matches('\n'));
    // A relative path means, as for git, the directory in which hooks run.
    let program = house.env.cwd.as_deref().unwrap_or(Path::new(".")).join(dir).join(name);
    let mode = std::fs::metadata(&program).ok().filter(std::fs::Metadata::is_file)?.permissions().mode();
    (mode & 0o111 != 0).then_some(program)
}
