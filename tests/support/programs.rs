//! Programs of a test: written so that they can be run at once, and this test program started again.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The directory of the built tools.
pub(crate) fn tools() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_cmw-lock")).parent().unwrap().to_owned()
}

/// Writes an executable file. Another process does it: a file that this one has open for writing cannot
/// be run as long as a process that another thread forked meanwhile has it open too ("text file busy").
pub(crate) fn write_program(path: &Path, text: impl AsRef<[u8]>) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut sh = Command::new("/bin/sh");
    sh.args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"]).arg(path).stdin(Stdio::piped());
    let mut sh = sh.spawn().unwrap();
    sh.stdin.take().unwrap().write_all(text.as_ref()).unwrap();
    assert!(sh.wait().unwrap().success(), "{} cannot be written", path.display());
}

/// Whether this process runs nothing but this test. Where it does not, another one is started that does, and
/// must succeed: for tests that would disturb their neighbours, or be disturbed.
#[track_caller]
pub(crate) fn runs_alone(module: &str, test: &str) -> bool {
    const ALONE: &str = "CMW_TEST_ALONE";
    let test = full_name(module, test);
    if std::env::var_os(ALONE).is_some_and(|alone| alone == *test) {
        return true;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.args(["--exact", &test, "--nocapture"]).env(ALONE, &test).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let ran = said.contains("test result: ok. 1 passed");
    assert!(output.status.success() && ran, "{said}{}", String::from_utf8_lossy(&output.stderr));
    false
}

/// What the test harness calls a test of the module `module_path!()`.
pub(crate) fn full_name(module: &str, test: &str) -> String {
    let (_, module) = module.split_once("::").expect("tests stand in modules of a test crate");
    format!("{module}::{test}")
}
