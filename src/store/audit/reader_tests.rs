//! Tests of reading the audit trail from its end and of following it.

use std::cell::Cell;
use std::collections::BTreeSet;

use crate::domain::command::{Caller, Command};
use crate::domain::facts::Facts;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::roster::Roster;
use crate::domain::policy::compiled::Policy;
use crate::domain::session::process::Process;
use crate::domain::state::State;
use crate::domain::util::time::{BootId, BootTime, Now, WallTime};
use crate::store::audit::reader::*;
use crate::store::disk::RealDisk;
use crate::store::{Store, TransactionEnv};

struct Scene {
    dir: tempfile::TempDir,
    store: Store<RealDisk>,
    random: Cell<u128>,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(RealDisk::open(dir.path()).unwrap());
        let state = State::new("01".to_owned(), Policy::of(Roster::of_size(12)));
        store.create(state, &now(), &Actor::User).unwrap();
        Self { dir, store, random: Cell::new(0) }
    }

    fn run(&self, command: &Command) {
        let process = Process { pid: 1, start_ticks: 1, boot: BootId("b".to_owned()) };
        let caller = Caller { actor: Actor::User, process };
        let facts = |_: &State| Facts {
            now: now(),
            dead: BTreeSet::new(),
            active: BTreeMap::new(),
            saver: None,
            endings: BTreeMap::new(),
        };
        let random = || {
            self.random.set(self.random.get() + 1);
            self.random.get()
        };
        self.store.transact(&caller, command, TransactionEnv { facts: &facts, random: &random }).unwrap();
    }

    /// Publishes two records, in two logs.
    fn round(&self, text: &str) {
        self.run(&Command::VerifyInitialization(vec![text.to_owned()]));
        self.run(&Command::Pause { roles: Vec::new(), reason: String::new() });
        self.run(&Command::Resume { roles: Vec::new() });
    }

    fn log(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(layout::log(name))
    }

    #[expect(clippy::disallowed_methods, reason = "a test damages what it wrote")]
    fn edit(&self, name: &str, edit: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.log(name)).unwrap();
        std::fs::write(self.log(name), edit(text)).unwrap();
    }

    /// Returns all record numbers, newest first, and the problems found.
    fn all(&self) -> (Vec<u64>, Vec<String>) {
        let mut trail = AuditReader::open(self.store.disk()).unwrap();
        let seqs = std::iter::from_fn(|| trail.previous().map(|record| record.seq)).collect();
        (seqs, trail.problems().iter().map(ToString::to_string).collect())
    }
}

fn now() -> Now {
    Now { wall: WallTime(0), boot: BootTime { boot: BootId("b".to_owned()), ms: 5 } }
}

const STARTUP: &str = "orchestrator-startup.log";

#[test]
fn the_end_is_read_whatever_the_chunks() {
    let scene = Scene::new();
    // Lines of very different lengths: some exceed the first chunk.
    for n in 0..20_usize {
        scene.round(&"x".repeat(n * n * 200));
    }
    let (seqs, problems) = scene.all();
    assert_eq!(seqs, (1..=61).rev().collect::<Vec<u64>>());
    assert_eq!(problems, Vec::<String>::new());
    assert!(std::fs::metadata(scene.log(STARTUP)).unwrap().len() > 4 * CHUNK_BYTES as u64);
}

#[test]
fn what_is_in_the_outbox_is_there_already() {
    let scene = Scene::new();
    scene.round("a");
    // As after a crash between the publish and the append, with half a line.
    scene
        .edit("orchestrator-decisions.log", |text| text.lines().next().unwrap().to_owned() + "\n{\"seq\":4,");
    assert_eq!(scene.all(), (vec![4, 3, 2, 1], Vec::new()));
}

#[test]
fn damage_is_told_and_the_rest_is_read() {
    let told = |edit: fn(String) -> String| {
        let scene = Scene::new();
        (0..3).for_each(|_| scene.round("a"));
        scene.edit(STARTUP, edit);
        scene.all()
    };
    let all: Vec<u64> = (1..=10).rev().collect();
    // This log has the records 1, 2, 5 and 8.
    let (seqs, said) = told(|text| text.replacen("\"findings\":[\"a\"]", "\"findings\":[\"b\"]", 1));
    assert_eq!((seqs, said.len()), (all.clone(), 1));
    assert!(said[0].contains("orchestrator-startup.log is damaged: record 2 was changed"), "{said:?}");
    let (seqs, said) = told(|text| {
        text.lines().filter(|l| !l.starts_with("{\"seq\":5,")).map(|l| format!("{l}\n")).collect()
    });
    assert_eq!(seqs, [10, 9, 8, 7, 6, 4, 3, 2, 1]);
    assert_eq!(said, ["audit is damaged: record 5 is missing"]);
    let (seqs, said) = told(|text| {
        text.lines().filter(|l| !l.starts_with("{\"seq\":1,")).map(|l| format!("{l}\n")).collect()
    });
    assert_eq!((seqs.len(), said), (9, vec!["audit is damaged: record 1 is missing".to_owned()]));
    let (seqs, said) = told(|text| text.clone() + text.lines().last().unwrap() + "\n");
    assert_eq!((seqs.len(), said), (11, vec!["audit is damaged: record 8 is there twice".to_owned()]));
    let (seqs, said) = told(|text| text.replacen("{\"seq\":5,", "garbage", 1));
    assert_eq!((seqs.len(), said.len()), (9, 1));
    assert!(said[0].contains("a line is not an audit record"), "{said:?}");
    let (seqs, said) = told(|_| String::new());
    assert_eq!(
        (seqs, said),
        (vec![10, 9, 7, 6, 4, 3], vec!["audit is damaged: record 8 is missing".to_owned()])
    );
}

#[test]
fn without_a_document_the_logs_are_read() {
    let scene = Scene::new();
    scene.round("a");
    std::fs::remove_file(scene.dir.path().join(layout::STATE)).unwrap();
    let (seqs, said) = scene.all();
    assert_eq!((seqs.len(), said.len()), (4, 1), "{said:?}");
    assert!(said[0].contains(layout::STATE), "{said:?}");
    let empty = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(empty.path()).unwrap();
    assert!(matches!(AuditReader::open(&disk), Err(StoreError::NotInitialised)));
}

#[test]
fn a_follower_misses_nothing_and_sees_nothing_twice() {
    let scene = Scene::new();
    scene.round("a");
    let disk = scene.store.disk();
    let mut along = AuditFollower::start(disk).unwrap();
    // A publish between the two reads.
    scene.round("b");
    let trail = AuditReader::open(disk).unwrap();
    assert_eq!(trail.last(), 7);
    along.start_after(trail.last());
    let mut news = |scene: &Scene| {
        let (records, problems) = along.new_records(scene.store.disk());
        assert!(problems.is_empty(), "{problems:?}");
        records.iter().map(|record| record.seq).collect::<Vec<u64>>()
    };
    assert_eq!(news(&scene), Vec::<u64>::new());
    scene.round("c");
    // The last line is torn: its record is in the outbox.
    scene.edit("orchestrator-decisions.log", |text| text[..text.len() - 20].to_owned());
    assert_eq!(news(&scene), [8, 9, 10]);
    scene.round("d");
    assert_eq!(news(&scene), [11, 12, 13]);
    assert_eq!(news(&scene), Vec::<u64>::new());
    // A log that is started anew, as a rotation does.
    scene.edit(STARTUP, |_| String::new());
    scene.round("e");
    assert_eq!(news(&scene), [14, 15, 16]);
}

#[test]
fn a_follower_is_told_of_a_gap_once() {
    let scene = Scene::new();
    let mut along = AuditFollower::start(scene.store.disk()).unwrap();
    along.start_after(1);
    scene.round("a");
    scene.edit(STARTUP, |text| {
        text.lines().filter(|l| !l.starts_with("{\"seq\":2,")).map(|l| format!("{l}\n")).collect()
    });
    let (records, problems) = along.new_records(scene.store.disk());
    assert_eq!(records.iter().map(|r| r.seq).collect::<Vec<u64>>(), [3, 4]);
    assert_eq!(problems.len(), 1);
    scene.round("b");
    let (records, problems) = along.new_records(scene.store.disk());
    assert_eq!((records.len(), problems.len()), (3, 0));
}
