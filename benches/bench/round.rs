//! Owns the interleaving: every case once a round, in another order each time.
//!
//! The order is shuffled and not rotated: in a rotation each case has always the same one before it,
//! and a small program behind a large commit finds cold caches.

use std::time::{Duration, Instant};

use super::Result;
use super::yard::Program;

/// Something that can be done and timed; what it prepares itself is not in the time.
pub(crate) type Timed = Box<dyn FnMut() -> Result<Duration>>;

/// A case with what was measured.
pub(crate) struct Case {
    pub(crate) name: String,
    run: Timed,
    /// One figure for each round, in microseconds.
    pub(crate) us: Vec<f64>,
}

/// A row of the table: a case against a floor, or against nothing.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) group: &'static str,
    pub(crate) case: String,
    pub(crate) floor: Option<String>,
    /// The largest ratio to the floor that is good; without a floor, microseconds.
    pub(crate) goal: Option<f64>,
    /// What was typed.
    pub(crate) typed: String,
}

/// Everything that is measured together.
#[derive(Default)]
pub(crate) struct Bench {
    pub(crate) cases: Vec<Case>,
    pub(crate) rows: Vec<Row>,
}

impl Bench {
    pub(crate) fn case(&mut self, name: &str, run: Timed) {
        self.cases.push(Case { name: name.to_owned(), run, us: Vec::new() });
    }

    /// A case that is one program after the other, after an untimed preparation.
    pub(crate) fn programs(
        &mut self,
        name: &str,
        programs: Vec<Program>,
        mut prepare: impl FnMut() -> Result<()> + 'static,
    ) {
        let run = move || {
            prepare()?;
            let start = Instant::now();
            for program in &programs {
                program.run()?;
            }
            Ok(start.elapsed())
        };
        self.case(name, Box::new(run));
    }

    pub(crate) fn row(
        &mut self,
        group: &'static str,
        case: &str,
        floor: Option<(&str, Option<f64>)>,
        typed: &str,
    ) {
        self.rows.push(Row {
            group,
            case: case.to_owned(),
            floor: floor.map(|(name, _)| name.to_owned()),
            goal: floor.and_then(|(_, goal)| goal),
            typed: typed.to_owned(),
        });
    }

    /// A row with a goal in microseconds.
    pub(crate) fn within(&mut self, group: &'static str, case: &str, goal_us: f64, typed: &str) {
        let (case, typed) = (case.to_owned(), typed.to_owned());
        self.rows.push(Row { group, case, floor: None, goal: Some(goal_us), typed });
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.name == name)
    }

    /// Leaves only the rows in whose case or group this stands, and what they need.
    pub(crate) fn keep(&mut self, part: &str) {
        self.rows.retain(|row| row.case.contains(part) || row.group.contains(part));
        let rows = &self.rows;
        let is_needed = |name: &str| rows.iter().any(|r| r.case == name || r.floor.as_deref() == Some(name));
        self.cases.retain(|case| is_needed(&case.name));
    }

    /// Measures; the first two rounds only warm the caches.
    pub(crate) fn run(&mut self, rounds: usize) -> Result<()> {
        let mut order: Vec<usize> = (0..self.cases.len()).collect();
        let mut dice = Dice(1);
        for round in 0..rounds + 2 {
            for end in (1..order.len()).rev() {
                order.swap(end, dice.roll(end + 1));
            }
            for at in &order {
                let case = &mut self.cases[*at];
                let took = (case.run)().map_err(|e| format!("{}: {e}", case.name))?;
                if round >= 2 {
                    case.us.push(took.as_secs_f64() * 1e6);
                }
            }
        }
        Ok(())
    }
}

/// A small generator: every run has the same orders.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).map_or(0, |n| n % sides)
    }
}
