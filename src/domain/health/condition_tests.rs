//! Tests of the table from evidence to state: every combination, and the rules that hold over all of them.

use crate::domain::health::condition::*;
use crate::domain::session::process::Process;
use crate::domain::util::time::{BootId, BootTime, WallTime};

const PHASES: [Option<InstancePhase>; 6] = [
    None,
    Some(InstancePhase::Starting),
    Some(InstancePhase::Ready),
    Some(InstancePhase::Stopping),
    Some(InstancePhase::Crashed),
    Some(InstancePhase::Shutdown),
];
const LIVES: [ProcessStatus; 3] = [ProcessStatus::Alive, ProcessStatus::Suspended, ProcessStatus::Dead];
const PANES: [PaneStatus; 5] =
    [PaneStatus::Unknown, PaneStatus::Its, PaneStatus::Anothers, PaneStatus::Dead, PaneStatus::Gone];
const AGES: [Option<u64>; 5] =
    [None, Some(0), Some(WORKING_MS), Some(STALE_AFTER_MS), Some(STALE_AFTER_MS + 1)];

fn activities() -> Vec<Option<Activity>> {
    let mut all = vec![
        None,
        Some(Activity::Working),
        Some(Activity::Idle),
        Some(Activity::NeedsPermission),
        Some(Activity::NeedsInput),
        Some(Activity::Failed { error: "e".to_owned() }),
        Some(Activity::Ended),
    ];
    all.extend([None, Some(WallTime(7))].map(|until| Some(Activity::LimitReached { until })));
    all
}

/// Visits every combination of evidence, and returns their number.
fn every(mut see: impl FnMut(&Evidence<'_>)) -> usize {
    let until = BootTime { boot: BootId("b".to_owned()), ms: 1 };
    let program = Process { pid: 1, start_ticks: 1, boot: BootId("b".to_owned()) };
    let with_session = RestartState::WithSession { program: program.clone(), until: until.clone() };
    let restarts = [
        None,
        Some(RestartState::Due(until.clone())),
        Some(RestartState::Running { program, until }),
        Some(with_session),
    ];
    let activities = activities();
    let mut count = 0;
    for phase in PHASES {
        for restart in &restarts {
            for life in LIVES {
                for pane in PANES {
                    for beat_age_ms in AGES {
                        for active_age_ms in AGES {
                            for activity in &activities {
                                for bits in 0..4 {
                                    count += 1;
                                    see(&Evidence {
                                        phase,
                                        restart: restart.as_ref(),
                                        life,
                                        pane,
                                        beat_age_ms,
                                        active_age_ms,
                                        has_children: bits & 1 != 0,
                                        activity: activity.as_ref(),
                                        parked: bits & 2 != 0,
                                    });
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    count
}

fn runs(condition: Condition) -> bool {
    use Condition as C;
    matches!(
        condition,
        C::Stale
            | C::WaitingForPermission
            | C::WaitingForInput
            | C::Failed
            | C::LimitReached
            | C::Working
            | C::Idle
            | C::Stopping
            | C::Starting
    )
}

#[test]
fn every_evidence_has_one_state() {
    let mut seen = std::collections::BTreeSet::new();
    let count = every(|evidence| {
        seen.insert(judge(evidence));
    });
    assert_eq!(count, 6 * 4 * 3 * 5 * 5 * 5 * 9 * 4);
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), Condition::ALL, "each is reached, the worst first");
    let words: std::collections::BTreeSet<_> = Condition::ALL.iter().map(|c| c.words()).collect();
    assert_eq!(words.len(), Condition::ALL.len());
}

#[test]
fn a_living_process_never_crashed() {
    every(|evidence| {
        let recorded = evidence.phase == Some(InstancePhase::Crashed);
        if evidence.life != ProcessStatus::Dead && !recorded {
            assert_ne!(judge(evidence), Condition::Crashed, "{evidence:?}");
        }
    });
}

#[test]
fn a_dead_one_never_works() {
    every(|evidence| {
        if evidence.life == ProcessStatus::Dead {
            assert!(!runs(judge(evidence)), "{evidence:?}");
        }
    });
}

#[test]
fn silence_alone_is_stale_and_no_crash() {
    every(|evidence| {
        let ready = evidence.phase == Some(InstancePhase::Ready) && evidence.life != ProcessStatus::Dead;
        let silent = evidence.beat_age_ms.is_none_or(|age| age > STALE_AFTER_MS);
        let suspended = evidence.life == ProcessStatus::Suspended;
        let lost = !matches!(evidence.pane, PaneStatus::Unknown | PaneStatus::Its);
        let is_stale = judge(evidence) == Condition::Stale;
        assert_eq!(is_stale, ready && (silent || suspended || lost), "{evidence:?}");
    });
}

#[test]
fn what_was_done_on_purpose_is_no_trouble() {
    every(|evidence| {
        if matches!(evidence.phase, Some(InstancePhase::Stopping | InstancePhase::Shutdown)) {
            let condition = judge(evidence);
            assert!(matches!(condition, Condition::Stopping | Condition::ShutDown), "{evidence:?}");
        }
    });
}

#[test]
fn a_limit_and_a_question_are_told_from_work() {
    every(|evidence| {
        let plain = evidence.phase == Some(InstancePhase::Ready) && stale(evidence).is_none();
        if !plain || evidence.life == ProcessStatus::Dead {
            return;
        }
        let active = evidence.active_age_ms.is_some_and(|age| age < WORKING_MS);
        let expected = match evidence.activity {
            _ if evidence.parked => Condition::LimitReached,
            Some(Activity::LimitReached { .. }) => Condition::LimitReached,
            Some(Activity::NeedsPermission) => Condition::WaitingForPermission,
            Some(Activity::NeedsInput) => Condition::WaitingForInput,
            Some(Activity::Failed { .. }) => Condition::Failed,
            Some(Activity::Working) => Condition::Working,
            None if active || evidence.has_children => Condition::Working,
            Some(Activity::Idle | Activity::Ended) | None => Condition::Idle,
        };
        assert_eq!(judge(evidence), expected, "{evidence:?}");
    });
}
