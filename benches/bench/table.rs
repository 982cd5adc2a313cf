//! Owns the figures of a row and how the table looks.

use std::io::{self, Write};

use super::round::{Bench, Row};

/// The value below which a share of the figures lies.
pub(crate) fn percentile(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a few dozen figures"
    )]
    let at = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Microseconds, in the unit that reads best.
pub(crate) fn time(us: f64) -> String {
    if us < 10_000.0 { format!("{us:.0} µs") } else { format!("{:.1} ms", us / 1_000.0) }
}

/// Whether a goal was reached, said plainly.
pub(crate) fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}

/// Prints every row.
///
/// # Errors
/// As the writer says.
pub(crate) fn print(bench: &Bench, out: &mut impl Write) -> io::Result<()> {
    let mut group = "";
    for row in &bench.rows {
        if row.group != group {
            group = row.group;
            writeln!(out, "\n### {group}\n")?;
            writeln!(out, "| what | min | p50 | p90 | against | ratio p50 [p10..p90] | goal | | typed |")?;
            writeln!(out, "|---|--:|--:|--:|---|---|---|---|---|")?;
        }
        line(bench, row, out)?;
    }
    Ok(())
}

fn line(bench: &Bench, row: &Row, out: &mut impl Write) -> io::Result<()> {
    let Some(case) = bench.find(&row.case) else { return Ok(()) };
    let at = |share| time(percentile(&case.us, share));
    write!(out, "| {} | {} | {} | {} ", row.case, at(0.0), at(0.5), at(0.9))?;
    let floor = row.floor.as_ref().and_then(|name| bench.find(name));
    match floor {
        None => match row.goal {
            None => write!(out, "| | | | ")?,
            Some(goal) => {
                let met = verdict(percentile(&case.us, 0.5) <= goal);
                write!(out, "| | | p50 ≤ {} | {met} ", time(goal))?;
            }
        },
        Some(floor) => {
            let ratios: Vec<f64> = case.us.iter().zip(&floor.us).map(|(a, b)| a / b).collect();
            let ratio = |share| percentile(&ratios, share);
            let middle = ratio(0.5);
            write!(out, "| {} | {middle:.2} [{:.2}..{:.2}] ", floor.name, ratio(0.1), ratio(0.9))?;
            match row.goal {
                None => write!(out, "| | ")?,
                Some(goal) => write!(out, "| ≤ {goal} | {} ", verdict(middle <= goal))?,
            }
        }
    }
    writeln!(out, "| `{}` |", row.typed)
}
