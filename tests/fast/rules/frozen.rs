//! Hard freezes and the broken glass over every state that they can reach.

use super::*;
use cmw::domain::freeze::break_glass;
use cmw::domain::freeze::freeze_state::GLASS_MS_MAX;
use cmw::domain::freeze::pins::{PinFindings, PinId, PinRequest};
use cmw::domain::guard::git_ref::RefName;
use cmw::domain::guard::permission::{Known, Movement, Stop, judge};
use cmw::domain::guard::ref_rules::{Guarded, RefVerdict};
use cmw::domain::lock::checks;
use cmw::domain::policy::checks::{Check, Level};

use super::scenes::{ask, waiting};

fn name(of: &str) -> RefName {
    RefName::parse(format!("refs/heads/{of}").as_bytes()).unwrap()
}

fn hard(freeze: &str, names: &[&str]) -> Command {
    let refs = names.iter().map(|n| name(n)).collect();
    Command::Freeze { reason: "f".to_owned(), pins: Some(PinRequest { freeze: freeze.to_owned(), refs }) }
}

const ID: PinId = PinId { dev: 1, ino: 2 };

/// What a command could find: that a pin was set, that it vanished, that it was removed.
fn findings(freeze: &str, of: &str) -> [Command; 3] {
    let none = || PinFindings { freeze: freeze.to_owned(), ..PinFindings::default() };
    [
        Command::Pinned(PinFindings { set: [(name(of), ID)].into(), ..none() }),
        Command::Pinned(PinFindings { vanished: vec![(name(of), ID)], ..none() }),
        Command::Pinned(PinFindings { removed: vec![name(of)], ..none() }),
    ]
}

fn alphabet() -> Vec<Command> {
    let mut all = vec![
        Command::Freeze { reason: "f".to_owned(), pins: None },
        hard("F", &["main"]),
        hard("G", &["main", "next"]),
        Command::Thaw { reason: "t".to_owned() },
        Command::BreakGlass { reason: "b".to_owned(), for_ms: 600_000 },
        Command::EndGlass,
        Command::Acquire { request: request(Priority::Normal), caller: None, stand_in: None },
        Command::Release { token: None },
    ];
    all.extend(findings("F", "main"));
    all.extend(findings("G", "main"));
    all
}

fn frozen_shape(node: &Node) -> String {
    let glass = node.state.glass.as_ref().map(|g| g.until.ms.saturating_sub(node.ms) / 300_000);
    format!("{} {:?} {glass:?}", shape(node), node.state.pins)
}

/// Who may move protected refs without a lease, and while frozen.
fn only_the_user_moves_without_the_lock(node: &Node) {
    let facts = facts(node, 0);
    assert_eq!(node.state.policy.checks.level(Check::Lock), Level::Enforce);
    let mut unproven = askers();
    unproven.extend([(Caller { actor: Actor::Unproven, process: process(40) }, process(41))]);
    unproven.extend([(Caller { actor: Actor::System, process: process(42) }, process(43))]);
    for (asker, _) in unproven {
        let broken = break_glass::active(&node.state, &facts).is_some();
        let may = permit(&node.state, &asker, &facts);
        let serves = broken && asker.actor == Actor::User;
        match may {
            Ok(Some(held)) => {
                assert!(node.state.is_holder(&held.holder, &held.process) && held.holder == asker.actor);
            }
            Ok(None) => assert!(serves, "only_the_user_moves_without_the_lock: {}", asker.actor),
            Err(_) => assert!(!serves, "the glass is broken for the User"),
        }
        if node.state.system != FreezeState::Running {
            assert_eq!(checks::not_frozen(&node.state, &asker, &facts).is_ok(), serves, "{}", asker.actor);
        }
    }
}

/// What the sequence of checks says of a protected branch.
fn permit<'a>(state: &'a State, asker: &Caller, facts: &Facts) -> Result<Option<&'a Lease>, Stop> {
    let movement = Movement::new(RefVerdict::Protected(Guarded::Branch), "x");
    judge(state, asker, facts, &movement, &Known::default()).permit
}

fn pins_are_wanted_only_while_frozen(state: &State) {
    let wanted = state.pins.as_ref().is_some_and(|pins| pins.wanted);
    assert!(!wanted || state.system != FreezeState::Running, "pins_are_wanted_only_while_frozen");
}

#[test]
fn hard_freezes_and_the_broken_glass_keep_the_rules() {
    let mut seen = HashSet::new();
    let mut frontier = VecDeque::from([(first(), 0)]);
    while let Some((node, depth)) = frontier.pop_front() {
        only_the_user_moves_without_the_lock(&node);
        pins_are_wanted_only_while_frozen(&node.state);
        if depth == 6 || !seen.insert(frozen_shape(&node)) {
            continue;
        }
        let librarian =
            Caller { actor: Actor::Role(Role::parse("Librarian").unwrap()), process: process(30) };
        let unproven = Caller { actor: Actor::Unproven, process: process(40) };
        let who = [askers()[1].0.clone(), askers()[3].0.clone(), librarian, unproven];
        for (asker, command) in who.iter().flat_map(|asker| alphabet().into_iter().map(move |c| (asker, c))) {
            let now = facts(&node, 1_000);
            let decision = decide(&node.state, asker, &command, &now);
            let after = apply(&node, asker, &decision);
            check(&node, asker, &command, &decision, &after, &now);
            same_but_for_wall_time(
                &decision,
                &decide(&node.state, asker, &command, &facts(&node, -400_000_000)),
            );
            frontier.push_back((after, depth + 1));
        }
        for step in [300_000, GLASS_MS_MAX] {
            frontier.push_back((Node { ms: node.ms + step, ..node.clone() }, depth + 1));
        }
    }
    assert!(seen.len() > 500, "the search is smaller than it was: {}", seen.len());
}

fn pins(node: &Node) -> Vec<(String, bool)> {
    let refs = node.state.pins.as_ref().map(|pins| pins.refs.clone()).unwrap_or_default();
    refs.iter().map(|(name, id)| (name.to_string(), id.is_some())).collect()
}

fn events(node: &mut Node, who: usize, command: &Command) -> Vec<&'static str> {
    let (asker, _) = &askers()[who];
    let decision = decide(&node.state, asker, command, &facts(node, 0));
    *node = apply(node, asker, &decision);
    decision.events.iter().map(cmw::domain::event::Event::tag).collect()
}

#[test]
fn a_soft_freeze_is_hardened_and_a_thaw_wants_no_pin() {
    let mut node = first();
    ask(&mut node, 3, Command::Freeze { reason: "f".to_owned(), pins: None }).unwrap();
    assert!(ask(&mut node, 1, hard("F", &["main"])).is_err(), "Dev-A may not");
    ask(&mut node, 3, hard("F", &["main"])).unwrap();
    assert!(ask(&mut node, 3, hard("G", &["main"])).is_err(), "it is as hard already");
    ask(&mut node, 3, hard("G", &["main", "next"])).unwrap();
    let main = "refs/heads/main".to_owned();
    let next = "refs/heads/next".to_owned();
    assert_eq!(pins(&node), [(main.clone(), false), (next.clone(), false)]);
    let [set, vanished, removed] = findings("F", "main");
    assert_eq!(events(&mut node, 0, &set), ["PINS_SET"]);
    assert_eq!(events(&mut node, 0, &set), [""; 0], "once");
    assert_eq!(events(&mut node, 0, &removed), [""; 0], "what is wanted stays");
    assert_eq!(events(&mut node, 0, &vanished), ["PIN_VANISHED", "VIOLATION_FOUND"]);
    assert_eq!(node.state.violations.len(), 1);
    let adopt = || Command::Adopt { ids: Vec::new(), reason: "seen".to_owned() };
    for who in 0..3 {
        assert!(ask(&mut node, who, adopt()).is_err(), "only the User adopts");
    }
    ask(&mut node, 3, adopt()).unwrap();
    assert!(node.state.violations.is_empty() && ask(&mut node, 3, adopt()).is_err());
    assert_eq!(events(&mut node, 0, &vanished), [""; 0], "a vanished pin is found once");
    events(&mut node, 0, &set);
    ask(&mut node, 3, Command::Thaw { reason: "t".to_owned() }).unwrap();
    assert_eq!(node.state.pinned(), 0);
    assert_eq!(events(&mut node, 0, &vanished), [""; 0], "a pin that is not wanted has not vanished");
    // A freeze before they are gone takes them over, and trusts nothing that was known of them.
    ask(&mut node, 3, hard("H", &["main"])).unwrap();
    assert_eq!(pins(&node), [(main, false), (next, false)]);
    assert_eq!(node.state.pins.as_ref().unwrap().freeze, "F");
    ask(&mut node, 3, Command::Thaw { reason: "t".to_owned() }).unwrap();
    events(&mut node, 0, &removed);
    events(&mut node, 0, &findings("F", "next")[2]);
    assert_eq!(node.state.pins, None);
}

#[test]
fn the_glass_breaks_for_the_user_and_not_for_long() {
    let mut node = first();
    let for_ever = Command::BreakGlass { reason: "b".to_owned(), for_ms: u64::MAX };
    assert!(ask(&mut node, 0, for_ever.clone()).is_err(), "the Orchestrator may not");
    ask(&mut node, 1, waiting(1, Priority::Normal)).unwrap();
    ask(&mut node, 3, for_ever).unwrap();
    let may = |node: &Node, who: usize| permit(&node.state, &askers()[who].0, &facts(node, 0)).is_ok();
    assert!(may(&node, 3) && !may(&node, 2), "beside a holder, who keeps the lock");
    assert_eq!(scenes::holder(&node), "Dev-A");
    node.ms += GLASS_MS_MAX - 1;
    assert!(may(&node, 3));
    let mut rebooted = facts(&node, 0);
    rebooted.now.boot.boot = cmw::domain::util::time::BootId("another".to_owned());
    assert!(break_glass::active(&node.state, &rebooted).is_none(), "a reboot ends it");
    node.ms += 1;
    assert!(!may(&node, 3), "an hour is the most");
    assert!(events(&mut node, 0, &Command::Observe(Vec::new())).contains(&"BREAK_GLASS_ENDED"));
    assert_eq!(node.state.glass, None);
}
