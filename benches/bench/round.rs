//! Owns the interleaving: every case once a round, in an order that is rotated.

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
        let count = self.cases.len();
        for round in 0..rounds + 2 {
            for at in 0..count {
                let case = &mut self.cases[(at + round) % count];
                let took = (case.run)().map_err(|e| format!("{}: {e}", case.name))?;
                if round >= 2 {
                    case.us.push(took.as_secs_f64() * 1e6);
                }
            }
        }
        Ok(())
    }
}
