//! Owns the repositories in which things are measured, and how programs run in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cmw::adapters::os::clock;
use cmw::domain::identity::actor::{Actor, Mailbox};
use cmw::domain::identity::role::Role;
use cmw::domain::mail::id::MessageId;
use cmw::domain::mail::message::{Body, Draft, SealedMessage};
use cmw::store::disk::RealDisk;
use cmw::store::mail::registry::Registry;

use super::{Options, Result};

/// A program with its arguments, ready to be run again and again.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    words: Vec<PathBuf>,
    dir: PathBuf,
    role: String,
    path: String,
    input: Option<PathBuf>,
}

impl Program {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).current_dir(&self.dir).env_clear();
        command.env("PATH", &self.path).env("HOME", &self.dir).env("LC_ALL", "C").env("TZ", "UTC");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("CLAUDE_ROLE", &self.role);
        let input = self.input.as_ref().and_then(|file| fs::File::open(file).ok());
        command.stdin(input.map_or_else(Stdio::null, Stdio::from));
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end; anything but success is an error that says what it said.
    pub(crate) fn run(&self) -> Result<()> {
        let output = self.command().spawn()?.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{:?}: {}: {}", self.words, output.status, String::from_utf8_lossy(&output.stderr))
            .into())
    }

    /// Starts it, with its standard error to read.
    pub(crate) fn spawn(&self) -> Result<std::process::Child> {
        Ok(self.command().spawn()?)
    }

    /// The same with this file on its input.
    pub(crate) fn reading(mut self, file: &Path) -> Self {
        self.input = Some(file.to_owned());
        self
    }

    /// The same as somebody else.
    pub(crate) fn by(mut self, role: &str) -> Self {
        role.clone_into(&mut self.role);
        self
    }
}

/// A repository of its own.
#[derive(Clone, Debug)]
pub(crate) struct Yard {
    pub(crate) dir: PathBuf,
    tools: PathBuf,
}

impl Yard {
    /// A repository with so many files, a hundred in each directory, in one commit.
    pub(crate) fn new(options: &Options, name: &str, files: usize) -> Result<Self> {
        let dir = options.work.canonicalize()?.join(name);
        for n in 0..files {
            let sub = dir.join(format!("d{:03}", n / 100));
            if n % 100 == 0 {
                fs::create_dir_all(&sub)?;
            }
            fs::write(sub.join(format!("f{:02}", n % 100)), format!("file {n}\nsecond line\n"))?;
        }
        fs::create_dir_all(&dir)?;
        let yard = Self { dir, tools: options.tools.canonicalize()? };
        yard.git(&["init", "-q", "-b", "main"])?;
        let settings = [
            ("user.name", "bench"),
            ("user.email", "bench@example.invalid"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("commit.gpgSign", "false"),
        ];
        for (key, value) in settings {
            yard.git(&["config", key, value])?;
        }
        yard.git(&["add", "."])?;
        yard.git(&["commit", "-q", "--allow-empty", "-m", "first"])?;
        Ok(yard)
    }

    /// The same, with cmw set up.
    pub(crate) fn ready(options: &Options, name: &str, files: usize, init: &[&str]) -> Result<Self> {
        let yard = Self::new(options, name, files)?;
        yard.tool("cmw-init", init).by("").run()?;
        Ok(yard)
    }

    /// A program on PATH or with a whole path, run in this repository as Dev-A.
    pub(crate) fn program(&self, name: &str, args: &[&str]) -> Program {
        let words = std::iter::once(&name).chain(args).map(PathBuf::from).collect();
        let path = std::env::var("PATH").unwrap_or_default();
        Program { words, dir: self.dir.clone(), role: "Dev-A".to_owned(), path, input: None }
    }

    /// One of ours.
    pub(crate) fn tool(&self, name: &str, args: &[&str]) -> Program {
        self.program(&self.tools.join(name).to_string_lossy(), args)
    }

    /// Runs git.
    pub(crate) fn git(&self, args: &[&str]) -> Result<()> {
        self.program("git", args).run()
    }

    /// Its git directory.
    pub(crate) fn git_dir(&self) -> PathBuf {
        self.dir.join(".git")
    }

    /// Changes three files of the first directory.
    pub(crate) fn change(&self) -> Result<()> {
        use std::io::Write;
        for file in ["f00", "f01", "f02"] {
            let mut file = fs::OpenOptions::new().append(true).open(self.dir.join("d000").join(file))?;
            writeln!(file, "another line")?;
        }
        Ok(())
    }

    /// Writes a program.
    pub(crate) fn script(path: &Path, text: &str) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(path, text)?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
    }
}

/// Appends messages to a store, a thousand with each sync.
pub(crate) fn fill(git_dir: &Path, count: u64) -> Result<()> {
    let disk = RealDisk::open(git_dir)?;
    let registry = Registry::new(&disk, clock::boot_id());
    let role = |name: &str| Role::parse(name).map_err(|e| e.to_string());
    let (from, to) = (role("Planner-A")?, role("Docs")?);
    let wall = clock::now().wall;
    let mut done = 0;
    while done < count {
        let batch = (count - done).min(1_000);
        let sealed = (done..done + batch).map(|n| {
            let id = MessageId::from_parts(wall.0, u128::from(n) * 0x9e37_79b9_7f4a_7c15);
            let recipients = vec![Mailbox::Role(to.clone())];
            let mut draft = Draft::new(id, Actor::Role(from.clone()), to.to_string(), recipients, wall);
            draft.subject = format!("message {n}");
            draft.body = Body::text("a few words, as such messages are".repeat(6))?;
            draft.seal()
        });
        registry.append(&sealed.collect::<std::result::Result<Vec<SealedMessage>, _>>()?)?;
        done += batch;
    }
    Ok(())
}
