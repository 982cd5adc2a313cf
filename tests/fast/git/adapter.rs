//! The git adapter against git itself: each git on PATH, real repositories in temporary places.

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cmw::adapters::git::config::Scope;
use cmw::adapters::git::refs::RefValue;
use cmw::adapters::git::{GitEnv, ObjectFormat, RefFormat, Repo, RepoError, discover};
use cmw::domain::guard::git_ref::{Oid, RefName};
use cmw::domain::guard::hook_input;
use cmw::domain::guard::ref_rules::{self, RefContext};
use cmw::domain::policy::mode::Mode;

use crate::support::programs::{full_name, write_program};

/// The gits on PATH, each once.
fn gits() -> Vec<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "which gits there are to test with")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = Vec::new();
    for git in std::env::split_paths(&path).filter_map(|dir| dir.join("git").canonicalize().ok()) {
        if !found.contains(&git) {
            found.push(git);
        }
    }
    assert!(!found.is_empty(), "the tests need git");
    found
}

fn hermetic() -> Vec<(OsString, OsString)> {
    let pairs = [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("LC_ALL", "C"),
        ("TZ", "UTC"),
        ("HOME", "/nonexistent"),
        ("GIT_AUTHOR_NAME", "A"),
        ("GIT_AUTHOR_EMAIL", "a@example.org"),
        ("GIT_COMMITTER_NAME", "A"),
        ("GIT_COMMITTER_EMAIL", "a@example.org"),
    ];
    pairs.map(|(name, value)| (name.into(), value.into())).to_vec()
}

/// A temporary place and one git.
struct World {
    dir: tempfile::TempDir,
    git: PathBuf,
}

impl World {
    fn new(git: &Path) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), git: git.to_owned() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    fn command(&self, dir: &str) -> Command {
        let mut command = Command::new(&self.git);
        let bin = self.git.parent().unwrap().to_str().unwrap();
        command.env_clear().envs(hermetic()).env("PATH", format!("{bin}:/usr/bin:/bin"));
        command.current_dir(self.at(dir));
        command
    }

    /// Runs git, which may fail; gives whether it did not, and what it said on stdout.
    fn try_git(&self, dir: &str, args: &[&str]) -> (bool, String) {
        let output = self.command(dir).args(args).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn git(&self, dir: &str, args: &[&str]) -> String {
        let output = self.command(dir).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {args:?}: {said}", self.git.display());
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn init(&self, dir: &str, more: &[&str]) {
        std::fs::create_dir_all(self.at(dir)).unwrap();
        self.git(dir, &[&["init", "-q", "-b", "main"], more].concat());
        self.git(dir, &["commit", "-q", "--allow-empty", "-m", "first"]);
    }

    fn write(&self, path: &str, text: &str) {
        write(&self.at(path), text.as_bytes());
    }

    fn env(&self) -> GitEnv {
        GitEnv { program: Some(self.git.clone()), variables: hermetic(), ..GitEnv::default() }
    }

    fn open(&self, dir: &str) -> Repo {
        discover(&self.at(dir), &self.env()).unwrap()
    }

    fn version(&self) -> (u32, u32) {
        let text = self.git("", &["version"]);
        let mut numbers = text.split(['.', ' ']).filter_map(|part| part.parse().ok());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn name(text: &str) -> RefName {
    RefName::parse(text.as_bytes()).unwrap()
}

fn oid(text: &str) -> Oid {
    Oid::parse(text.as_bytes()).unwrap()
}

/// Compares with git's own answers, in the same place with the same variables.
fn agree(world: &World, dir: &str, set: impl Fn(&mut GitEnv), variables: &[(&str, &str)]) {
    let mut env = world.env();
    set(&mut env);
    let what = format!("{} in {dir:?} with {variables:?}", world.git.display());
    let ask = |args: &[&str]| {
        let output =
            world.command(dir).envs(variables.iter().copied()).arg("rev-parse").args(args).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    let found = discover(&world.at(dir), &env);
    let Some(answer) =
        ask(&["--path-format=absolute", "--git-common-dir", "--git-dir", "--is-bare-repository"])
    else {
        assert!(found.is_err(), "{what}: git finds nothing, but {found:?}");
        return;
    };
    let repo = found.unwrap_or_else(|error| panic!("{what}: {error}"));
    let lines: Vec<&str> = answer.lines().collect();
    assert_eq!(repo.common_dir, Path::new(lines[0]).canonicalize().unwrap(), "{what}: common dir");
    assert_eq!(repo.git_dir, Path::new(lines[1]).canonicalize().unwrap(), "{what}: git dir");
    assert_eq!(repo.bare.to_string(), lines[2], "{what}: bare");
    let top = ask(&["--show-toplevel"]).map(|text| PathBuf::from(text.trim_end()));
    // The one difference, on purpose: git calls its own directory a work tree when told GIT_DIR=. there.
    let top = top.filter(|top| *top != repo.git_dir);
    assert_eq!(repo.work_tree, top, "{what}: work tree");
}

#[test]
fn discovery_agrees_with_git() {
    for git in gits() {
        let world = World::new(&git);
        world.init("main", &[]);
        world.init("sub", &[]);
        world.git(
            "main",
            &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../sub", "module"],
        );
        world.git("main", &["commit", "-q", "-m", "module"]);
        world.git("main", &["worktree", "add", "-q", "../linked", "-b", "side"]);
        world.git("", &["clone", "-q", "--bare", "main", "bare.git"]);
        world.git("bare.git", &["worktree", "add", "-q", "../of-bare", "-b", "more"]);
        world.git("", &["init", "-q", "--separate-git-dir=apart.git", "separate"]);
        world.init("elsewhere", &[]);
        world.git("elsewhere", &["config", "core.worktree", world.at("tree").to_str().unwrap()]);
        world.init("each", &[]);
        world.git("each", &["worktree", "add", "-q", "../each-linked", "-b", "side"]);
        world.git("each", &["config", "extensions.worktreeConfig", "true"]);
        world.git(
            "each-linked",
            &["config", "--worktree", "core.worktree", world.at("tree").to_str().unwrap()],
        );
        // A `.git` that is no repository is passed by; a file that is none is an error.
        world.write("main/odd/.git/config", "");
        world.write("main/bad/.git", "nonsense");
        world.write("main/gone/.git", "gitdir: nowhere");
        world.write("main/a/b/c", "");
        world.write("linked/a/b/c", "");
        world.write("tree/c", "");
        world.write("outside/c", "");
        // Relative `.git` files: git ≥ 2.48 writes them when asked.
        world.git("main", &["worktree", "add", "-q", "../relative", "-b", "rel"]);
        world.write("relative/.git", "gitdir: ../main/.git/worktrees/relative\n");
        std::os::unix::fs::symlink(world.at("main"), world.at("link")).unwrap();
        std::os::unix::fs::symlink(world.at("main/.git"), world.at("outside/.git")).unwrap();
        for dir in [
            "main",
            "main/a/b",
            "main/odd",
            "main/bad",
            "main/gone",
            "main/.git",
            "main/.git/refs",
            "main/module",
            "main/.git/modules/module",
            "main/.git/worktrees/linked",
            "bare.git/worktrees/of-bare",
            "linked",
            "linked/a/b",
            "relative",
            "bare.git",
            "bare.git/refs",
            "of-bare",
            "separate",
            "apart.git",
            "elsewhere",
            "tree",
            "each",
            "each-linked",
            "link",
            "link/a",
            "outside",
            "",
        ] {
            agree(&world, dir, |_| {}, &[]);
        }
        type Variables<'a> = &'a [(&'a str, &'a str)];
        let linked = world.at("main/.git/worktrees/linked");
        let linked = linked.to_str().unwrap();
        let (ceiling, tree) = (world.at("main/a"), world.at("tree"));
        let (ceiling, tree) = (ceiling.to_str().unwrap(), tree.to_str().unwrap());
        let list = format!("relative/ignored:{ceiling}");
        let cases: [(&str, Variables<'_>); 15] = [
            ("main", &[("GIT_DIR", ".git")]),
            ("main/.git", &[("GIT_DIR", ".")]),
            ("bare.git", &[("GIT_DIR", ".")]),
            ("main/a", &[("GIT_DIR", "../.git")]),
            ("linked", &[("GIT_DIR", linked)]),
            ("linked", &[("GIT_DIR", ".git")]),
            ("", &[("GIT_DIR", "bare.git")]),
            ("", &[("GIT_DIR", "bare.git"), ("GIT_WORK_TREE", "tree")]),
            ("", &[("GIT_DIR", "tree")]),
            ("main/a", &[("GIT_WORK_TREE", tree)]),
            ("main/a/b", &[("GIT_CEILING_DIRECTORIES", ceiling)]),
            ("main/a/b", &[("GIT_CEILING_DIRECTORIES", &list)]),
            ("main/a", &[("GIT_CEILING_DIRECTORIES", ceiling)]),
            ("linked", &[("GIT_DIR", linked), ("GIT_COMMON_DIR", "../main/.git")]),
            ("each-linked", &[("GIT_WORK_TREE", "../linked")]),
        ];
        for (dir, variables) in cases {
            let set = |env: &mut GitEnv| {
                let get = |wanted: &str| {
                    variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| OsString::from(value))
                };
                env.git_dir = get("GIT_DIR").map(PathBuf::from);
                env.common_dir = get("GIT_COMMON_DIR").map(PathBuf::from);
                env.work_tree = get("GIT_WORK_TREE").map(PathBuf::from);
                env.ceiling_directories = get("GIT_CEILING_DIRECTORIES");
            };
            agree(&world, dir, set, variables);
        }
    }
}

#[test]
fn no_repository_is_said_with_a_remedy() {
    let world = World::new(&gits()[0]);
    let error = discover(&world.at(""), &world.env()).unwrap_err();
    assert!(matches!(error, RepoError::NotARepository { .. }));
    assert!(error.to_string().contains("git init"), "{error}");
    world.init("main", &[]);
    world.write("main/.git/config", "[core\n");
    assert!(matches!(discover(&world.at("main"), &world.env()), Err(RepoError::Broken { .. })));
}

#[test]
fn formats_are_told_apart() {
    for git in gits() {
        let world = World::new(&git);
        world.init("one", &[]);
        world.init("two", &["--object-format=sha256"]);
        assert_eq!(world.open("one").object_format, ObjectFormat::Sha1);
        let two = world.open("two");
        assert_eq!((two.object_format, two.ref_format), (ObjectFormat::Sha256, RefFormat::Files));
        for object_format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            let dir = if object_format == ObjectFormat::Sha1 { "one" } else { "two" };
            let asked = world.git(dir, &["hash-object", "-t", "tree", "/dev/null"]);
            assert_eq!(object_format.empty_tree(), asked);
        }
        if world.version() >= (2, 45) {
            world.init("table", &["--ref-format=reftable"]);
            assert_eq!(world.open("table").ref_format, RefFormat::Reftable);
        }
    }
}

/// Each ref is what git says it is.
fn refs_agree(world: &World, dir: &str) {
    let repo = world.open(dir);
    let listed = world.git(dir, &["for-each-ref", "--format=%(refname) %(objectname) %(symref)."]);
    assert!(listed.lines().count() >= 4);
    for line in listed.lines() {
        let fields: Vec<&str> = line.trim_end_matches('.').splitn(3, ' ').collect();
        assert_eq!(repo.resolve(&name(fields[0])).unwrap(), RefValue::Oid(oid(fields[1])), "{line}");
        if !fields[2].is_empty() {
            assert_eq!(repo.read_ref(&name(fields[0])).unwrap(), RefValue::Symref(name(fields[2])));
        }
    }
    let head = world.git(dir, &["rev-parse", "HEAD"]);
    assert_eq!(repo.resolve(&name("HEAD")).unwrap(), RefValue::Oid(oid(&head)));
    let (attached, branch) = world.try_git(dir, &["symbolic-ref", "-q", "HEAD"]);
    assert_eq!(repo.head_branch().unwrap(), attached.then(|| name(&branch)));
    for missing in
        ["refs/heads/nothing", "refs/heads/packed/below", "refs/heads", "refs/heads/pack", "CHERRY_PICK_HEAD"]
    {
        assert_eq!(repo.read_ref(&name(missing)).unwrap(), RefValue::Missing, "{missing}");
    }
    assert_eq!(
        repo.read_ref(&name("refs/heads/dangling")).unwrap(),
        RefValue::Symref(name("refs/heads/nobody"))
    );
    assert_eq!(repo.resolve(&name("refs/heads/dangling")).unwrap(), RefValue::Missing);
    for per_worktree in ["main-worktree/HEAD", "worktrees/linked/HEAD", "worktrees/linked/refs/bisect/bad"] {
        let asked = world.git(dir, &["rev-parse", per_worktree]);
        assert_eq!(repo.resolve(&name(per_worktree)).unwrap(), RefValue::Oid(oid(&asked)), "{per_worktree}");
    }
}

#[test]
fn refs_agree_with_git() {
    for git in gits() {
        let world = World::new(&git);
        let table = world.version() >= (2, 45);
        let formats: [(&str, &[&str]); 3] =
            [("files", &[]), ("sha256", &["--object-format=sha256"]), ("table", &["--ref-format=reftable"])];
        for (dir, more) in formats {
            if dir == "table" && !table {
                continue;
            }
            world.init(dir, more);
            world.git(dir, &["branch", "packed"]);
            world.git(dir, &["branch", "newer"]);
            world.git(dir, &["tag", "-a", "-m", "t", "v1"]);
            world.git(dir, &["pack-refs", "--all"]);
            world.git(dir, &["commit", "-q", "--allow-empty", "-m", "second"]);
            world.git(dir, &["branch", "-f", "newer"]);
            world.git(dir, &["branch", "loose"]);
            world.git(dir, &["symbolic-ref", "refs/heads/alias", "refs/heads/packed"]);
            world.git(dir, &["symbolic-ref", "refs/heads/dangling", "refs/heads/nobody"]);
            let linked = format!("../{dir}-work/linked");
            world.git(dir, &["worktree", "add", "-q", "--detach", &linked, "HEAD~1"]);
            world.git(&format!("{dir}-work/linked"), &["update-ref", "refs/bisect/bad", "HEAD"]);
            refs_agree(&world, dir);
            refs_agree(&world, &format!("{dir}-work/linked"));
        }
    }
}

#[test]
fn broken_refs_are_errors_and_unknown_to_the_guard() {
    let world = World::new(&gits()[0]);
    world.init("main", &[]);
    let repo = world.open("main");
    for text in ["", "nonsense\n", "ref: ../x\n", &"0".repeat(40), &"a".repeat(39)] {
        world.write("main/.git/refs/heads/bad", text);
        assert!(repo.read_ref(&name("refs/heads/bad")).is_err(), "{text:?}");
        let line = format!("{} {} refs/heads/bad\n", "0".repeat(40), "1".repeat(40));
        let line = &hook_input::parse_transaction(line.as_bytes()).unwrap()[0];
        assert_eq!(repo.current(line).value, None);
    }
    world.write("main/.git/refs/heads/bad", "ref: refs/heads/bad\n");
    assert!(repo.resolve(&name("refs/heads/bad")).is_err());
    std::fs::remove_file(world.at("main/.git/refs/heads/bad")).unwrap();
    std::os::unix::fs::symlink("refs/heads/main", world.at("main/.git/refs/heads/old-style")).unwrap();
    assert_eq!(
        repo.read_ref(&name("refs/heads/old-style")).unwrap(),
        RefValue::Symref(name("refs/heads/main"))
    );
    let prune = format!("{} {} refs/heads/main\n", "1".repeat(40), "0".repeat(40));
    let prune = hook_input::parse_transaction(prune.as_bytes()).unwrap();
    assert!(!repo.packed_refs_locked() && repo.prune_possible(&prune) && !repo.prune_possible(&[]));
    world.write("main/.git/packed-refs.lock", "");
    assert!(repo.packed_refs_locked() && !repo.prune_possible(&prune));
}

#[test]
fn a_packed_ref_is_found_among_many() {
    let world = World::new(&gits()[0]);
    world.init("main", &[]);
    world.git("main", &["tag", "-a", "-m", "t", "annotated"]);
    let (commit, tag) =
        (world.git("main", &["rev-parse", "HEAD"]), world.git("main", &["rev-parse", "annotated"]));
    let mut input = String::new();
    for i in 0..4000 {
        let long = "x".repeat(i % 97);
        input.push_str(&format!("create refs/heads/b{i}/{long}z {commit}\ncreate refs/tags/t{i} {tag}\n"));
    }
    let mut child =
        world.command("main").args(["update-ref", "--stdin"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    world.git("main", &["pack-refs", "--all", "--prune"]);
    let repo = world.open("main");
    let listed = world.git("main", &["for-each-ref", "--format=%(refname) %(objectname)"]);
    let packed = std::fs::read(world.at("main/.git/packed-refs")).unwrap();
    assert!(packed.len() > 400_000 && packed.windows(6).any(|w| w == b"sorted"));
    // The same content without the word that promises the order is read from front to back.
    for sorted in [true, false] {
        if !sorted {
            let text = String::from_utf8(packed.clone()).unwrap().replacen(" sorted", "", 1);
            world.write("main/.git/packed-refs", &text);
        }
        let step = if sorted { 1 } else { 97 };
        for line in listed.lines().step_by(step) {
            let (ref_name, value) = line.split_once(' ').unwrap();
            assert_eq!(repo.read_packed(&name(ref_name)).unwrap(), Some(oid(value)), "{ref_name}");
            for other in [format!("{ref_name}y"), ref_name[..ref_name.len() - 1].to_owned() + "-"] {
                assert_eq!(repo.read_packed(&name(&other)).unwrap(), None, "{other}");
            }
        }
    }
}

#[test]
fn configuration_is_read_and_set() {
    for git in gits() {
        let world = World::new(&git);
        world.init("main", &[]);
        let mut repo = world.open("main");
        repo.set_local("cmw.role.Dev-A.kind", "dev").unwrap();
        repo.set_local("cmw.role.Dev-A.pane", "7").unwrap();
        repo.set_local("cmw.odd", "-x \"y\"\nz #").unwrap();
        world.git("main", &["config", "--add", "cmw.protect", "main"]);
        world.git("main", &["config", "--add", "cmw.protect", "release/**"]);
        let config = repo.read_all().unwrap();
        assert_eq!(config.get("CMW.role.Dev-A.Kind").unwrap().text(), "dev");
        assert_eq!(config.get("cmw.odd").unwrap().text(), "-x \"y\"\nz #");
        assert!(config.get("cmw.role.dev-a.kind").is_none());
        let protect: Vec<&str> = config.get_all("cmw.protect").iter().map(|e| e.text()).collect();
        assert_eq!(protect, ["main", "release/**"]);
        assert_eq!(config.below("cmw.role").len(), 2);
        let entry = config.get("cmw.odd").unwrap();
        assert!(entry.scope == Scope::Local && entry.origin.ends_with("main/.git/config"), "{entry:?}");
        repo.set_local("cmw.protect", "one").unwrap();
        assert_eq!(repo.read_all().unwrap().get_all("cmw.protect").len(), 1);
        assert!(repo.unset_local("cmw.protect").unwrap() && !repo.unset_local("cmw.protect").unwrap());
        // What an instance's environment adds is seen, and is no part of the local file.
        let mut env = world.env();
        for (key, value) in
            [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "core.hooksPath"), ("GIT_CONFIG_VALUE_0", "/x")]
        {
            env.variables.push((key.into(), value.into()));
        }
        repo = discover(&world.at("main"), &env).unwrap();
        let entry = repo.read_all().unwrap().get("core.hookspath").cloned().unwrap();
        assert_eq!((entry.scope, entry.text()), (Scope::Command, "/x"));
        world.write("main/.git/config.lock", "");
        let error = repo.set_local("a.b", "c").unwrap_err().to_string();
        assert!(error.contains("lock") && !error.contains('\n'), "{error}");
        assert!(repo.set_local("no-section", "c").is_err());
    }
}

fn texts(paths: &[Vec<u8>]) -> Vec<String> {
    paths.iter().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

#[test]
fn changed_and_staged_paths_are_gits() {
    for git in gits() {
        for format in ["sha1", "sha256"] {
            let world = World::new(&git);
            std::fs::create_dir(world.at("main")).unwrap();
            let dir = "main";
            world.git(dir, &["init", "-q", "-b", "main", &format!("--object-format={format}")]);
            let repo = world.open(dir);
            world.write("main/a", "a\nb\nc\n");
            world.write("main/d/new\nline é", "x");
            world.git(dir, &["add", "-A"]);
            assert_eq!(
                texts(&repo.staged_paths(None).unwrap()),
                ["a", "d/new\nline é"],
                "nothing is committed yet"
            );
            world.git(dir, &["commit", "-q", "-m", "1"]);
            assert!(repo.staged_paths(None).unwrap().is_empty());
            let one = oid(&world.git(dir, &["rev-parse", "HEAD"]));
            assert_eq!(texts(&repo.changed_paths(None, &one).unwrap()), ["a", "d/new\nline é"]);
            assert!(repo.changed_paths(Some(&one), &one).unwrap().is_empty());
            // A rename is two paths; a configuration that hides submodules hides nothing.
            world.git(dir, &["mv", "a", "b"]);
            world.git(dir, &["update-index", "--add", "--cacheinfo", &format!("160000,{one},module")]);
            world.git(dir, &["config", "diff.ignoreSubmodules", "all"]);
            let modules = "[submodule \"m\"]\n\tpath = module\n\turl = x\n\tignore = all\n";
            world.write("main/.gitmodules", modules);
            world.git(dir, &["config", "submodule.m.ignore", "all"]);
            world.git(dir, &["config", "diff.renames", "copies"]);
            assert_eq!(texts(&repo.staged_paths(None).unwrap()), ["a", "b", "module"]);
            // Another index, as a commit by path has one; the usual one is not touched.
            let index = world.at("main/.git/index");
            let before = std::fs::read(&index).unwrap();
            let other = world.at("main/.git/next-index-1.lock");
            let added = world
                .command(dir)
                .env("GIT_INDEX_FILE", &other)
                .args(["read-tree", "HEAD"])
                .status()
                .unwrap();
            assert!(added.success());
            assert!(repo.staged_paths(Some(&other)).unwrap().is_empty());
            assert_eq!(repo.staged_paths(Some(Path::new(".git/index"))).unwrap().len(), 3);
            assert_eq!(std::fs::read(&index).unwrap(), before);
            world.git(dir, &["commit", "-q", "-m", "2"]);
            let two = oid(&world.git(dir, &["rev-parse", "HEAD"]));
            assert_eq!(texts(&repo.changed_paths(Some(&one), &two).unwrap()), ["a", "b", "module"]);
            // A replaced object does not hide what changed.
            world.git(dir, &["replace", two.as_str(), one.as_str()]);
            assert_eq!(repo.changed_paths(Some(&one), &two).unwrap().len(), 3);
            let gone = oid(&"1".repeat(one.as_str().len()));
            assert!(matches!(repo.changed_paths(Some(&one), &gone), Err(RepoError::Git { .. })));
        }
    }
}

#[test]
fn staged_paths_are_those_of_this_work_tree() {
    for git in gits() {
        let world = World::new(&git);
        world.init("main", &[]);
        world.git("main", &["worktree", "add", "-q", "../linked", "-b", "side"]);
        world.write("linked/deep/x", "x");
        world.git("linked", &["add", "-A"]);
        assert_eq!(texts(&world.open("linked/deep").staged_paths(None).unwrap()), ["deep/x"]);
        assert!(world.open("main").staged_paths(None).unwrap().is_empty());
        assert!(!world.open("linked").rebase_in_progress());
    }
}

/// Where the copy of this test program that runs as a hook writes to; none in an ordinary run.
fn hook_log() -> Option<PathBuf> {
    std::env::args()
        .skip_while(|arg| arg != "--skip")
        .nth(1)
        .filter(|arg| arg.starts_with('/'))
        .map(PathBuf::from)
}

/// Not a test of its own: what runs as the reference-transaction hook of the next one.
#[test]
fn as_a_hook() {
    let Some(log) = hook_log() else { return };
    #[expect(clippy::disallowed_methods, reason = "the test's hook stands where cli::env stands otherwise")]
    let git_dir = std::env::var_os("GIT_DIR").map(PathBuf::from);
    let repo = discover(&std::env::current_dir().unwrap(), &GitEnv { git_dir, ..GitEnv::default() }).unwrap();
    let mut stdin = Vec::new();
    std::io::stdin().read_to_end(&mut stdin).unwrap();
    let lines = hook_input::parse_transaction(&stdin).unwrap();
    let ctx = RefContext {
        own_role: None,
        mode: Mode::Shared,
        protect: &[],
        prune_possible: repo.prune_possible(&lines),
    };
    let mut out = String::new();
    for line in lines {
        let verdict = ref_rules::classify(&line, &repo.current(&line), &ctx);
        out.push_str(&format!("{} {verdict:?}\n", line.name));
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    file.write_all(out.as_bytes()).unwrap();
}

/// What an operation moves in `refs/`, as the guard sees it from inside git's own hook, without
/// repetition.
fn seen(world: &World, args: &[&str]) -> Vec<String> {
    let log = world.at("log");
    let _ = std::fs::remove_file(&log);
    let (_, _) = world.try_git("main", args);
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("refs/")) {
        if !lines.iter().any(|seen| seen == line) {
            lines.push(line.to_owned());
        }
    }
    lines.sort();
    lines
}

#[test]
fn the_guard_sees_through_real_transactions() {
    for git in gits() {
        for format in ["files", "reftable"] {
            let world = World::new(&git);
            if format == "reftable" && world.version() < (2, 45) {
                continue;
            }
            let more: &[&str] = if format == "files" { &[] } else { &["--ref-format=reftable"] };
            world.init("main", more);
            for branch in ["one", "two", "three"] {
                world.git("main", &["branch", branch]);
            }
            world.git("main", &["commit", "-q", "--allow-empty", "-m", "second"]);
            world.git("main", &["tag", "v1"]);
            let exe = std::env::current_exe().unwrap();
            let hook = format!(
                "#!/bin/sh\n[ \"$1\" = prepared ] || exit 0\nexec '{}' --exact {} --skip '{}' >&2\n",
                exe.display(),
                full_name(module_path!(), "as_a_hook"),
                world.at("log").display()
            );
            write_program(&world.at("main/.git/hooks/reference-transaction"), &hook);
            world.write("main/file", "x");
            world.git("main", &["add", "file"]);
            let branch = "Protected(Branch)";
            let is_files = format == "files";
            for (args, expected) in [
                (&["commit", "-q", "-m", "third"][..], vec![format!("refs/heads/main {branch}")]),
                (&["reset", "-q", "--hard"], vec!["refs/heads/main NoOp".to_owned()]),
                (&["tag", "v2"], vec!["refs/tags/v2 TagCreation".to_owned()]),
                (&["tag", "-f", "v2", "HEAD~1"], vec!["refs/tags/v2 Protected(Tag)".to_owned()]),
                (&["update-ref", "-d", "refs/heads/one"], vec![format!("refs/heads/one {branch}")]),
                (&["checkout", "-q", "two"], vec![]),
                (&["checkout", "-q", "main"], vec![]),
                (
                    &["update-ref", "refs/heads/gone", &"0".repeat(40)],
                    vec!["refs/heads/gone NoOp".to_owned()],
                ),
            ] {
                let said = seen(&world, args);
                // Git need not mention what does not move.
                if expected.iter().any(|line| line.ends_with("NoOp")) && said.is_empty() {
                    continue;
                }
                assert_eq!(said, expected, "{} {format} {args:?}", git.display());
            }
            let packing = seen(&world, &["pack-refs", "--all", "--prune"]);
            if is_files {
                assert!(
                    packing.iter().any(|line| line.ends_with("refs/heads/main PackPrune")),
                    "{packing:?}"
                );
            }
            assert!(packing.iter().all(|l| l.ends_with(" NoOp") || l.ends_with(" PackPrune")), "{packing:?}");
            // Now two is packed only, and three is packed and loose: both deletions are real.
            world.git("main", &["update-ref", "refs/heads/three", "main"]);
            let three = world.git("main", &["rev-parse", "three"]);
            for args in [
                &["branch", "-q", "-D", "two"][..],
                &["update-ref", "-d", "refs/heads/three", &three],
                &["update-ref", "-d", "refs/tags/v1"],
            ] {
                let said = seen(&world, args);
                // Git 2.39 deletes the packed half first, and then says once more that it is gone.
                let is_real = |line: &String| line.contains("Protected(");
                let is_late = |line: &String| line.ends_with("NoOp");
                let what = format!("{} {format} {args:?} {said:?}", git.display());
                assert!(said.iter().any(is_real) && said.iter().all(|l| is_real(l) || is_late(l)), "{what}");
            }
            let stash = {
                world.write("main/file", "y");
                seen(&world, &["stash", "push", "-q"])
            };
            let calm = |line: &String| line.ends_with("NoOp") || line == "refs/stash Harmless(Git)";
            assert!(stash.iter().any(|l| l.starts_with("refs/stash")) && stash.iter().all(calm), "{stash:?}");
        }
    }
}
