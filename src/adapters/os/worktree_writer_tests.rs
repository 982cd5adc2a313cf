//! Tests of writing files into a work tree.

use std::io::{Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::adapters::os::worktree_writer::*;

fn file(text: &str) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

fn world() -> (tempfile::TempDir, WorktreeWriter) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("tree/d")).unwrap();
    std::fs::create_dir(dir.path().join("outside")).unwrap();
    std::fs::File::options().write(true).create_new(true).open(dir.path().join("tree/f")).unwrap();
    let tree = WorktreeWriter::open(&dir.path().join("tree")).unwrap();
    (dir, tree)
}

fn read(dir: &tempfile::TempDir, path: &str) -> String {
    std::fs::read_to_string(dir.path().join("tree").join(path)).unwrap()
}

#[test]
fn no_link_leads_out() {
    let (dir, tree) = world();
    symlink("../outside", dir.path().join("tree/out")).unwrap();
    symlink("d", dir.path().join("tree/in")).unwrap();
    std::fs::create_dir(dir.path().join("tree/d/a")).unwrap();
    for path in [&b"out/x"[..], b"out/d/x", b"in/x", b"../outside/x", b"/tmp/x", b"f/x"] {
        assert!(tree.write(path, None, FileContent::File(&mut file("x"), false)).is_err());
    }
    assert_eq!(tree.inspect(b"out/x").unwrap(), PathState::Blocked(b"out".to_vec()));
    assert_eq!(tree.inspect(b"in/a/x").unwrap(), PathState::Blocked(b"in".to_vec()));
    assert_eq!(tree.inspect(b"f/a/x").unwrap(), PathState::Blocked(b"f".to_vec()));
    assert!(tree.write(b"in/a/x", None, FileContent::File(&mut file("x"), false)).is_err());
    assert_eq!(tree.inspect(b"d/a/x").unwrap(), PathState::Nothing);
    assert_eq!(std::fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
    let copy = tree.write_beside(b"out/d/x", FileContent::File(&mut file("x"), false)).unwrap();
    assert_eq!(copy, b"out-d-x.rescued");
    for bad in [&b".git/x"[..], b"a/.GIT/x", b"", b"/", b"a//b", b"a/../b", b"./a", b"a/"] {
        assert!(!is_sound(bad));
    }
    assert!(is_sound(b"a/.gitignore") && is_sound(b"..a/b."));
}

#[test]
fn what_changed_is_not_replaced() {
    let (dir, tree) = world();
    let seen = tree.inspect(b"f").unwrap().seen().unwrap();
    std::fs::File::options()
        .append(true)
        .open(dir.path().join("tree/f"))
        .unwrap()
        .write_all(b"mine")
        .unwrap();
    for over in [Some(seen), None] {
        assert!(tree.write(b"f", over, FileContent::File(&mut file("x"), false)).is_err());
    }
    assert!(tree.remove(b"f", seen).is_err());
    assert!(tree.write(b"gone", Some(seen), FileContent::Link(b"x")).is_err());
    assert_eq!(read(&dir, "f"), "mine");
    let seen = tree.inspect(b"f").unwrap().seen();
    tree.write(b"f", seen, FileContent::File(&mut file("theirs"), true)).unwrap();
    assert_eq!(read(&dir, "f"), "theirs");
    let mode = dir.path().join("tree/f").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
    let names: Vec<_> = std::fs::read_dir(dir.path().join("tree")).unwrap().collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn directories_without_files_give_way_and_others_do_not() {
    let (dir, tree) = world();
    std::fs::create_dir_all(dir.path().join("tree/d/e/g")).unwrap();
    tree.write(b"d", None, FileContent::Link(b"f")).unwrap();
    assert!(matches!(tree.inspect(b"d").unwrap(), PathState::Link { target, .. } if target == b"f"));
    tree.write(b"x/y/z", None, FileContent::File(&mut file("z"), false)).unwrap();
    assert!(tree.write(b"x", None, FileContent::Link(b"f")).is_err());
    assert_eq!(tree.files_below(b"x").unwrap(), [b"x/y/z".to_vec()]);
    assert_eq!(read(&dir, "x/y/z"), "z");
    let long = [&b"x/"[..], &[b'l'; 255]].concat();
    for suffix in [".rescued", ".rescued-2"] {
        for _ in 0..2 {
            let copy = tree.write_beside(b"w", FileContent::File(&mut file(suffix), false)).unwrap();
            assert_eq!(copy, format!("w{suffix}").into_bytes());
        }
        let target = suffix.as_bytes();
        let copy = tree.write_beside(&long, FileContent::Link(target)).unwrap();
        assert_eq!(tree.write_beside(&long, FileContent::Link(target)).unwrap(), copy);
        assert!(copy.ends_with(suffix.as_bytes()) && copy.len() == 257);
    }
}
