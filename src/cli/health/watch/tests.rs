//! Tests of the `--watch` screen: what keys do, and how it looks, without a terminal.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::cli::cmw::screen::tests::HOSTILE;
use crate::cli::cmw::screen::tests::busy;
use crate::cli::cmw::status::Status;
use crate::cli::health::watch::model::MessageRow;
use crate::cli::health::watch::update::*;
use crate::cli::health::watch::view::Palette;
use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::health::condition::Condition;
use crate::domain::identity::actor::Actor;
use crate::domain::identity::role::Role;
use crate::domain::lock::write_lock::WriteLock;
use crate::domain::mail::priority::Priority;
use crate::domain::util::time::WallTime;
use crate::domain::work::task::{self, Task};

fn looked(status: Status, size: (u16, u16)) -> Model {
    update(Model::new(size), Message::Looked(Box::new(status))).0
}

/// A status without problems but one crashed instance.
fn calm(count: usize) -> Status {
    let mut status = busy(count, |i| if i == 4 { Condition::Crashed } else { Condition::Working });
    status.state.system = FreezeState::Running;
    status.state.lock = WriteLock::Free;
    status.state.queue.clear();
    (status.place, status.unguarded) = ("/home/me/project".to_owned(), None);
    for row in &mut status.rows {
        (row.task, row.activity, row.paused, row.holds) = (Some("write".to_owned()), None, false, false);
        (row.undelivered, row.beat_age_ms, row.for_ms) = (0, Some(12_000), Some(65_000));
    }
    status
}

fn keys(mut model: Model, keys: impl IntoIterator<Item = Key>) -> (Model, Vec<Effect>) {
    let mut all = Vec::new();
    for key in keys {
        let (next, effects) = update(model, Message::Key(key));
        model = next;
        all.extend(effects);
    }
    (model, all)
}

fn typed(model: Model, text: &str) -> (Model, Vec<Effect>) {
    keys(model, text.chars().map(|c| if c == '\n' { Key::Enter } else { Key::Char(c) }))
}

fn drawn(model: &Model) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(model.size.0, model.size.1)).unwrap();
    terminal.draw(|frame| view::draw(model, Palette { colours: false }, frame)).unwrap();
    terminal
}

/// The text on the screen.
fn shown(model: &Model) -> String {
    let terminal = drawn(model);
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(usize::from(model.size.0));
    let line = |cells: &[ratatui::buffer::Cell]| cells.iter().map(|c| c.symbol()).collect::<String>();
    lines.map(|cells| format!("{}\n", line(cells).trim_end())).collect()
}

/// Compares with `tests/transcripts/NAME.txt`, or writes it under `CMW_BLESS=1`.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "a test writes its transcript")]
fn assert_screen(name: &str, model: &Model) {
    let path = format!("{}/tests/transcripts/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("CMW_BLESS").is_some() {
        std::fs::write(&path, shown(model)).unwrap();
    }
    assert_eq!(shown(model), std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
}

#[test]
fn it_fits_into_every_terminal() {
    let all = [|_| Condition::Crashed, |_| Condition::Working];
    for (count, liveness) in [1, 12, 200].into_iter().flat_map(|n| all.map(|l| (n, l))) {
        for size in [(80, 24), (40, 10), (200, 60), (80, 12), (20, 5), (3, 2), (1, 1)] {
            let mut model = looked(busy(count, liveness), size);
            for key in ["", "G", "f", "\x1b", "?", "j", "q", "p"] {
                model = typed(model, key).0;
                let screen = shown(&model);
                assert_eq!(screen.lines().count(), usize::from(size.1));
                if matches!(model.face, View::Table) && size.1 >= 10 && size.0 >= 40 {
                    let rows =
                        screen.lines().filter(|l| l.starts_with("CRASHED") || l.starts_with("working"));
                    assert!(rows.count() >= count.min(3), "{count} at {size:?}:\n{screen}");
                    assert!(screen.contains("FROZEN"), "{screen}");
                }
            }
        }
    }
}

#[test]
fn nothing_that_is_drawn_can_move_the_cursor() {
    let mut model = looked(busy(12, |_| Condition::Stale), (200, 50));
    model.trouble = Some(HOSTILE.to_owned());
    let done = ActionResult { typed: HOSTILE.into(), ok: false, out: HOSTILE.into(), words: HOSTILE.into() };
    let role = Role::parse("Dev-A").unwrap();
    let letter = MessageRow { seq: 1, line: HOSTILE.to_owned(), is_new: true };
    for (said, message) in [
        ("FROZEN", Message::Key(Key::Redraw)),
        ("FAILED", Message::Done(done)),
        ("1 unread", Message::Letters(role, vec![letter])),
        ("a message to", Message::Opened(1, HOSTILE.to_owned())),
    ] {
        let opened = matches!(message, Message::Opened(..));
        model = update(model, message).0;
        let screen = shown(&model);
        assert!(screen.contains(said), "{said}:\n{screen}");
        assert!(!screen.chars().any(|c| c != '\n' && sanitize::is_unsafe(c)), "{screen}");
        if !opened && matches!(model.face, View::Sheet(_)) {
            model = keys(model, [Key::Escape]).0;
        }
    }
}

#[test]
fn whose_line_is_selected_stays_selected_wherever_it_moves() {
    let model = looked(calm(12), (80, 24));
    let (model, _) = typed(model, "jjj");
    let chosen = model.row().unwrap().role.clone();
    let mut moved = calm(12);
    moved.rows.reverse();
    let (model, _) = update(model, Message::Looked(Box::new(moved.clone())));
    assert_eq!(model.row().unwrap().role, chosen);
    moved.rows.retain(|row| row.role != chosen);
    let (model, _) = update(model, Message::Looked(Box::new(moved)));
    assert!(model.row().is_some_and(|row| row.role != chosen), "gone: another one's");
    let first = looked(calm(12), (80, 24));
    assert_eq!(first.at(), 0);
    let (last, _) = keys(first, [Key::End, Key::Down]);
    assert_eq!(last.at(), 11);
    let (page, _) = keys(last, [Key::PageUp, Key::Home, Key::Up]);
    assert_eq!(page.at(), 0);
    let mut empty = calm(1);
    empty.rows.clear();
    let (model, effects) = typed(looked(empty, (80, 24)), "jkGm\nrp");
    assert!(effects.is_empty() && model.face == View::Table, "{effects:?}");
}

#[test]
fn nothing_is_changed_without_a_confirmation_that_says_what_will_happen() {
    let frozen = || looked(busy(12, |_| Condition::Working), (80, 24));
    let holder = frozen().status.unwrap().state.held().unwrap().holder.clone();
    for (key, what, go, no) in [
        ('f', format!("Force-release WL-0007, held by {holder}"), "it hangs\n", "\x1b"),
        ('t', "Lift the freeze by User".to_owned(), "it was me\n", "\x1b"),
        ('r', "Restart ".to_owned(), "y", "n"),
        ('p', "Resume ".to_owned(), "y", "\n"),
    ] {
        let (asked, effects) = typed(frozen(), &key.to_string());
        assert!(effects.is_empty(), "{key}: {effects:?}");
        assert!(shown(&asked).replace('\n', " ").contains(&what), "{}", shown(&asked));
        let leave = if no == "\x1b" { vec![Key::Escape] } else { vec![Key::Char('n')] };
        let (left, effects) = keys(asked.clone(), leave);
        assert!(effects.is_empty() && left.face == View::Table, "{key}: {effects:?}");
        assert!(shown(&left).contains("cancelled"));
        let (gone, effects) = typed(asked, go);
        assert!(matches!(effects.as_slice(), [Effect::Run(_)]), "{key}: {effects:?}");
        assert!(shown(&gone).contains("running: cmw"), "{}", shown(&gone));
        let (again, effects) = typed(gone, &format!("{key}y\n"));
        assert!(!effects.iter().any(|e| matches!(e, Effect::Run(_))), "one after the other: {effects:?}");
        assert!(again.running.is_some());
    }
    // Without a reason nothing happens, and control characters are dropped from it.
    let (asked, effects) = typed(frozen(), "f \n");
    assert!(effects.is_empty() && matches!(asked.face, View::Ask(_)));
    let (_, effects) =
        keys(asked, [Key::Char('-'), Key::Char('\u{202e}'), Key::Backspace, Key::Char('x'), Key::Enter]);
    let words = ["cmw-lock", "force-release", "--reason=x"].map(ToOwned::to_owned).to_vec();
    assert_eq!(effects, [Effect::Run(words)]);
    // When there is nothing to do, a message says so.
    for (key, said) in [('f', "the write lock is not held"), ('t', "the system is not frozen")] {
        let (model, effects) = typed(looked(calm(12), (80, 24)), &key.to_string());
        assert!(effects.is_empty() && shown(&model).contains(said), "{}", shown(&model));
    }
}

#[test]
fn what_was_refused_is_shown_whole() {
    let words = format!(
        "refused: thawing is the User's\nwhy: {}\nnext: cmw-freeze status",
        "some reason ".repeat(30)
    );
    let done = |ok| ActionResult {
        typed: "cmw-freeze thaw".into(),
        ok,
        out: "running again".into(),
        words: words.clone(),
    };
    let model = looked(calm(12), (40, 10));
    let (refused, _) = update(model.clone(), Message::Done(done(false)));
    let mut seen = String::new();
    let mut at = refused.clone();
    for _ in 0..40 {
        seen.push_str(&shown(&at));
        at = typed(at, "j").0;
    }
    assert!(seen.contains("FAILED: cmw-freeze thaw") && seen.contains("next: cmw-freeze status"), "{seen}");
    assert!(shown(&refused).contains("more lines"), "{}", shown(&refused));
    let (back, effects) = typed(refused, "q");
    assert!(back.face == View::Table && effects.is_empty(), "q closes what is read, and no more");
    let (well, _) = update(model.clone(), Message::Done(done(true)));
    assert!(well.face == View::Table && shown(&well).contains("running again"), "{}", shown(&well));
    // A result does not interrupt the typing of a reason.
    let (asked, _) = typed(looked(busy(12, |_| Condition::Working), (80, 24)), "fbec");
    let (asked, _) = update(asked, Message::Done(done(false)));
    assert!(matches!(&asked.face, View::Ask(q) if q.reason.as_deref() == Some("bec")));
}

#[test]
fn a_failed_look_is_said_and_the_last_one_stays() {
    let (model, _) = update(looked(calm(12), (80, 24)), Message::Failed("cmw/state.json is damaged".into()));
    let screen = shown(&model);
    assert!(screen.starts_with("CANNOT UPDATE: cmw/state.json is damaged\nlast update 16:00Z"), "{screen}");
    assert!(screen.contains("Dev-A"), "{screen}");
    let (model, _) = update(model, Message::Looked(Box::new(calm(12))));
    assert!(!shown(&model).contains("CANNOT"));
    let (never, _) = update(Model::new((80, 24)), Message::Failed("gone".into()));
    assert!(shown(&never).starts_with("CANNOT UPDATE: gone\n"), "{}", shown(&never));
    let (_, effects) = typed(never, "q");
    assert_eq!(effects, [Effect::Leave]);
}

#[test]
fn keys_lead_to_panes_and_messages() {
    let model = looked(calm(12), (80, 24));
    let role = model.row().unwrap().role.clone();
    let (model, effects) = typed(model, "\nm");
    assert_eq!(effects, [Effect::Jump(role.clone(), "%4".to_owned()), Effect::Letters(role.clone())]);
    let letters: Vec<MessageRow> =
        (1..=30).map(|seq| MessageRow { seq, line: format!("message {seq}"), is_new: seq > 20 }).collect();
    let (list, _) = update(model.clone(), Message::Letters(role.clone(), letters));
    assert!(shown(&list).starts_with("Architect-A: 10 unread (*), 20 taken up\n"), "{}", shown(&list));
    let (list, effects) = typed(list, "j\n");
    assert_eq!(effects, [Effect::Open(role.clone(), 22)], "the first unread one, and one further");
    let (letter, _) = update(list.clone(), Message::Opened(22, "from: Docs\n\nhello".to_owned()));
    assert!(shown(&letter).contains("from: Docs\n\nhello"), "{}", shown(&letter));
    let (late, _) = update(list, Message::Opened(7, "another one".to_owned()));
    assert!(matches!(late.face, View::Mail(_)), "a message that is no longer wanted is not opened");
    let (list, _) = keys(letter, [Key::Escape]);
    assert!(matches!(list.face, View::Mail(_)));
    let (table, effects) = keys(list, [Key::Escape]);
    assert!(table.face == View::Table && effects.is_empty());
    let (beside, effects) =
        update(model.clone(), Message::InFront("Dev-A's pane is in front".to_owned(), false));
    assert!(effects.is_empty() && shown(&beside).contains("Dev-A's pane is in front"));
    let (_, effects) = update(model.clone(), Message::InFront(String::new(), true));
    assert_eq!(effects, [Effect::Leave], "a popup makes way");
    let (none, _) = update(model, Message::Letters(role, Vec::new()));
    assert!(shown(&none).contains("no messages are waiting for Architect-A"), "{}", shown(&none));
}

#[test]
fn a_click_selects_and_everything_leads_out() {
    let model = looked(calm(12), (80, 24));
    let (model, effects) = typed(model, "M");
    assert_eq!(effects, [Effect::Mouse(true)]);
    let y = shown(&model).lines().position(|line| line.contains("Dev-B")).unwrap();
    let row = view::row_at(&model, u16::try_from(y).unwrap()).unwrap();
    let (clicked, _) = update(model.clone(), Message::Clicked(row));
    assert_eq!(clicked.row().unwrap().role.as_str(), "Dev-B");
    assert_eq!(view::row_at(&model, 0), None);
    assert_eq!(view::row_at(&model, 23), None);
    assert_eq!(keys(clicked.clone(), [Key::Escape]).1, [Effect::Leave]);
    for face in ["", "?", "f", "r"] {
        let model = typed(clicked.clone(), face).0;
        assert_eq!(keys(model, [Key::Interrupt]).1, [Effect::Leave], "Ctrl-C leaves from everywhere");
    }
}

#[test]
fn what_is_to_be_done_stands_where_there_is_room() {
    let mut status = calm(12);
    for id in 1..=9 {
        let task = Task {
            id,
            title: format!("write part {id}"),
            body: None,
            wanted_by: Actor::User,
            assignee: Role::parse("Dev-A").unwrap(),
            priority: Priority::Normal,
            after: Vec::new(),
            reviewers: Vec::new(),
            status: if id == 3 { task::TaskStatus::Started } else { task::TaskStatus::Open },
            since: WallTime(0),
            made: WallTime(0),
            blocked: (id == 5).then(|| "no role of kind dev is running".to_owned()),
        };
        status.state.tasks.insert(id, task);
    }
    assert_screen("watch-tasks", &looked(status.clone(), (80, 30)));
    let low = shown(&looked(status, (80, 20)));
    assert!(
        low.contains("work   1 started, 8 open, 1 BLOCKED: T5 no role") && !low.contains("part 1"),
        "{low}"
    );
}

#[test]
fn the_screen_looks_so() {
    assert_screen("watch-80x24", &looked(calm(12), (80, 24)));
    assert_screen("watch-busy-40x10", &looked(busy(12, |_| Condition::Working), (40, 10)));
    assert_screen("watch-busy-120x40", &looked(busy(40, |_| Condition::Working), (120, 40)));
    assert_screen("watch-help", &typed(looked(calm(12), (80, 24)), "?").0);
    let ask = typed(looked(busy(3, |_| Condition::Working), (80, 24)), "fit hangs").0;
    assert_screen("watch-ask", &ask);
}

#[test]
fn long_lines_break_between_words() {
    assert_eq!(view::wrapped("one two three", 7), ["one two", "three"]);
    assert_eq!(
        view::wrapped("one two three\n\nabcdefghij", 4),
        ["one", "two", "thre", "e", "", "abcd", "efgh", "ij"]
    );
    assert_eq!(view::wrapped("a\tb\x1b", 80), ["a    b\\u{1b}"]);
    assert_eq!(view::wrapped("ab", 0), ["a", "b"]);
}
