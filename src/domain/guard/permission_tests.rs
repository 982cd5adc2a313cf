//! Every combination of faults of a movement, at every level, and which of them refuses first.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::freeze::freeze_state::FreezeState;
use crate::domain::guard::permission::*;
use crate::domain::guard::ref_rules::Guarded;
use crate::domain::identity::role::Role;
use crate::domain::identity::roster::Roster;
use crate::domain::lock::request::LockRequest;
use crate::domain::lock::request::Waiter;
use crate::domain::lock::write_lock::Offer;
use crate::domain::lock::write_lock::WriteLock;
use crate::domain::mail::priority::Priority;
use crate::domain::policy::compiled::Policy;
use crate::domain::session::instance::RolePause;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootId, BootTime, Now, WallTime};

const PROTECTED: RefVerdict = RefVerdict::Protected(Guarded::Branch);

fn caller(name: &str, pid: u32) -> Caller {
    let process = Process { pid, start_ticks: 1, boot: BootId("b".to_owned()) };
    Caller { actor: Actor::try_from(name.to_owned()).unwrap(), process }
}

fn moment(ms: u64) -> BootTime {
    BootTime { boot: BootId("b".to_owned()), ms }
}

fn facts() -> Facts {
    let now = Now { wall: WallTime(0), boot: moment(1_000) };
    Facts { now, dead: BTreeSet::new(), active: BTreeMap::new(), saver: None, endings: BTreeMap::new() }
}

fn request(files: &[&str]) -> LockRequest {
    LockRequest {
        files: Claim::parse(files).unwrap(),
        purpose: String::new(),
        estimate_ms: None,
        loc: None,
        priority: Priority::Normal,
        work_tree: None,
        guessed: false,
    }
}

fn held(who: &Caller) -> Lease {
    Lease {
        token: 1,
        holder: who.actor.clone(),
        process: who.process.clone(),
        request: request(&["a"]),
        granted: moment(0),
        granted_at: WallTime(0),
        expires: moment(900_000),
        expires_at: WallTime(900_000),
        auto: false,
        unseen: None,
    }
}

fn waiter(ticket: u64, who: &Caller) -> Waiter {
    Waiter {
        ticket,
        actor: who.actor.clone(),
        process: who.process.clone(),
        caller: None,
        stand_in: None,
        request: request(&[]),
        requested_at: WallTime(0),
        asked: moment(0),
        missed: 0,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    Mine,
    Free,
    Theirs,
    Offered,
    Queued,
}

/// One combination of faults.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    frozen: bool,
    contradicted: bool,
    tainted: bool,
    librarian: bool,
    paused: bool,
    lock: Lock,
    others: bool,
    outside: bool,
}

fn combinations() -> Vec<Wrong> {
    let mut all = Vec::new();
    for bits in 0..128_u32 {
        let is = |bit: u32| bits & (1 << bit) != 0;
        for lock in [Lock::Mine, Lock::Free, Lock::Theirs, Lock::Offered, Lock::Queued] {
            all.push(Wrong {
                frozen: is(0),
                contradicted: is(1),
                tainted: is(2),
                librarian: is(3),
                paused: is(4),
                others: is(5),
                outside: is(6),
                lock,
            });
        }
    }
    all
}

impl Wrong {
    fn caller(self) -> Caller {
        caller(if self.librarian { "Librarian" } else { "Dev-A" }, 10)
    }

    fn state(self) -> State {
        let mut state = State::new("01".to_owned(), Policy::of(Roster::of_size(12)));
        let (me, other) = (self.caller(), caller("Dev-B", 11));
        if self.frozen {
            let (by, reason, since, at) = (Actor::User, "red".to_owned(), WallTime(0), moment(0));
            state.system = FreezeState::Frozen { by, reason, since, at, unsaved: None };
        }
        if self.paused {
            let pause = RolePause { by: Actor::User, reason: "lunch".to_owned(), since: WallTime(0) };
            state.paused.insert(me.actor.role().unwrap().clone(), pause);
        }
        match self.lock {
            Lock::Mine => state.lock = WriteLock::Held(held(&me)),
            Lock::Free => {}
            Lock::Theirs => state.lock = WriteLock::Held(held(&other)),
            Lock::Offered => {
                let (to, until) = (other.actor.clone(), moment(60_000));
                state.queue.push(waiter(1, &other));
                state.lock = WriteLock::Offered(Offer { ticket: 1, to, until, until_at: WallTime(60_000) });
            }
            Lock::Queued => {
                state.lock = WriteLock::Held(held(&other));
                state.queue.push(waiter(1, &me));
            }
        }
        state
    }

    fn known(self) -> Known {
        let mut paths = vec![b"a".to_vec()];
        let mut owners = Owners::new();
        if self.others {
            paths.push(b"b".to_vec());
            owners.insert(b"b".to_vec(), Role::parse("Dev-B").unwrap());
        }
        if self.outside {
            paths.push(b"c".to_vec());
        }
        let tainted = Refusal::Tainted { violation: 1, told: "moved".to_owned(), found: WallTime(0) };
        Known {
            contradiction: self
                .contradicted
                .then(|| Refusal::UnknownIdentity { found: "two roles".to_owned() }),
            violation: Evidence::Known(self.tainted.then_some(tainted)),
            paths: Evidence::Known(paths),
            owners: Evidence::Known(owners),
        }
    }

    /// Returns the faults in the order of the sequence; those that no level excuses have no check.
    fn in_order(self) -> Vec<(Option<Check>, &'static str)> {
        let lock = match self.lock {
            Lock::Mine => None,
            Lock::Free => Some("NotHeld"),
            Lock::Theirs | Lock::Queued => Some("Held"),
            Lock::Offered => Some("Offered"),
        };
        // Files of others are outside the claim too.
        let outside = self.lock == Lock::Mine && (self.outside || self.others);
        let all = [
            self.frozen.then_some((Some(Check::Freeze), "Frozen")),
            self.contradicted.then_some((Some(Check::Identity), "UnknownIdentity")),
            self.tainted.then_some((None, "Tainted")),
            self.librarian.then_some((Some(Check::Role), "ReadOnly")),
            self.paused.then_some((None, "Paused")),
            lock.map(|name| (Some(Check::Lock), name)),
            self.others.then_some((Some(Check::Claims), "OthersFiles")),
            outside.then_some((Some(Check::Claims), "OutsideClaim")),
        ];
        all.into_iter().flatten().collect()
    }
}

fn name(refusal: &Refusal) -> String {
    let text = format!("{refusal:?}");
    text.split([' ', '{']).next().unwrap().to_owned()
}

fn judged(state: &State, wrong: Wrong, movement: &Movement<'_>) -> (Option<String>, Vec<(Check, String)>) {
    let judgement = judge(state, &wrong.caller(), &facts(), movement, &wrong.known());
    let refused = match judgement.permit {
        Ok(_) => None,
        Err(Stop::Refused(refusal)) => Some(name(&refusal)),
        Err(Stop::Needs(need)) => panic!("{need:?} is known"),
    };
    (refused, judgement.warnings.iter().map(|(check, refusal)| (*check, name(refusal))).collect())
}

#[test]
fn the_first_refusal_is_the_first_in_the_order() {
    let movement = Movement::new(PROTECTED, "committing");
    let mut seen = BTreeSet::new();
    for wrong in combinations() {
        for varied in Check::ALL {
            for level in [Level::Enforce, Level::Warn, Level::Off] {
                let mut state = wrong.state();
                Check::ALL.into_iter().for_each(|check| state.policy.checks.set(check, Level::Enforce));
                state.policy.checks.set(varied, level);
                let (mut refused, mut warned) = (None, Vec::new());
                for (check, what) in wrong.in_order() {
                    match check.map_or(Level::Enforce, |check| state.policy.checks.level(check)) {
                        Level::Enforce => {
                            refused = Some(what.to_owned());
                            break;
                        }
                        Level::Warn => warned.push((check.unwrap(), what.to_owned())),
                        Level::Off => {}
                    }
                }
                let at = format!("{wrong:?}, {varied:?} at {level:?}");
                assert_eq!(judged(&state, wrong, &movement), (refused.clone(), warned), "{at}");
                seen.extend(refused);
            }
        }
    }
    let all = ["Frozen", "Held", "NotHeld", "Offered", "OthersFiles", "OutsideClaim", "Paused", "ReadOnly"];
    let all = all.into_iter().chain(["Tainted", "UnknownIdentity"]).map(str::to_owned);
    assert_eq!(seen, all.collect(), "each of them refuses somewhere");
}

#[test]
fn a_lock_that_is_acquired_next_refuses_last() {
    let movement = Movement::new(PROTECTED, "committing").taking_the_lock();
    for wrong in combinations() {
        let mut state = wrong.state();
        Check::ALL.into_iter().for_each(|check| state.policy.checks.set(check, Level::Enforce));
        let order = wrong.in_order();
        // Acquiring the lock waits for it, and claims the changed files.
        let waits = ["NotHeld", "Held", "Offered", "OutsideClaim"];
        let first = order.iter().find(|(_, what)| !waits.contains(what));
        let expected = first.map(|(_, what)| (*what).to_owned());
        assert_eq!(judged(&state, wrong, &movement).0, expected, "{wrong:?}");
    }
}

#[test]
fn what_costs_a_look_is_asked_for_only_when_it_counts() {
    let fine = Wrong {
        frozen: false,
        contradicted: false,
        tainted: false,
        librarian: false,
        paused: false,
        lock: Lock::Mine,
        others: false,
        outside: false,
    };
    let open = Known {
        contradiction: None,
        violation: Evidence::Open,
        paths: Evidence::Open,
        owners: Evidence::Open,
    };
    let permit = |wrong: Wrong, verdict, known: &Known| {
        let state = wrong.state();
        let judgement =
            judge(&state, &wrong.caller(), &facts(), &Movement::new(verdict, "committing"), known);
        judgement.permit.map(|lease| lease.is_some())
    };
    let ours = RefVerdict::Harmless(Harmless::Cmw);
    assert_eq!(permit(fine, RefVerdict::OwnBranch, &open), Ok(false));
    assert!(matches!(permit(fine, ours, &open), Err(Stop::Refused(Refusal::NotPermitted { .. }))));
    assert_eq!(permit(fine, PROTECTED, &open), Err(Stop::Needs(Need::Violation)));
    assert!(matches!(
        permit(Wrong { frozen: true, ..fine }, PROTECTED, &open),
        Err(Stop::Refused(Refusal::Frozen { .. }))
    ));
    let known = Known { violation: Evidence::Known(None), ..open };
    assert_eq!(permit(fine, PROTECTED, &known), Err(Stop::Needs(Need::Owners)));
    assert!(matches!(permit(Wrong { lock: Lock::Free, ..fine }, PROTECTED, &known), Err(Stop::Refused(_))));
    let known = Known { owners: Evidence::Known(Owners::new()), ..known };
    assert_eq!(permit(fine, PROTECTED, &known), Err(Stop::Needs(Need::Paths)));
    let known = Known { paths: Evidence::Known(vec![b"a".to_vec()]), ..known };
    assert_eq!(permit(fine, PROTECTED, &known), Ok(true));
}

#[test]
fn a_push_stops_at_a_freeze_and_a_violation_whatever_it_is() {
    let wrong = combinations()[0];
    for (frozen, tainted) in [(false, false), (true, false), (false, true), (true, true)] {
        let wrong = Wrong { frozen, tainted, lock: Lock::Free, ..wrong };
        let movement = Movement::new(RefVerdict::FreeBranch, "pushing").leaving();
        let expected = frozen.then_some("Frozen").or(tainted.then_some("Tainted"));
        assert_eq!(judged(&wrong.state(), wrong, &movement).0.as_deref(), expected);
    }
}

#[test]
fn files_of_others_refuse_a_directory_whatever_the_policy_and_the_branch() {
    let wrong = Wrong { others: true, lock: Lock::Mine, ..combinations()[0] };
    for verdict in [PROTECTED, RefVerdict::OwnBranch, RefVerdict::Pseudo] {
        let mut state = wrong.state();
        state.policy.checks.set(Check::Claims, Level::Off);
        state.lock = WriteLock::Held(Lease { request: request(&["a", "b"]), ..held(&wrong.caller()) });
        let movement = Movement::new(verdict, "committing").taking_the_lock();
        assert_eq!(judged(&state, wrong, &movement).0, None, "{verdict:?}");
        let strict = Movement { strict_owners: true, ..movement };
        assert_eq!(judged(&state, wrong, &strict).0.as_deref(), Some("OthersFiles"), "{verdict:?}");
    }
}
