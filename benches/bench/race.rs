//! Owns the race: twelve roles take and give back the lock as fast as they can.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use cmw::domain::audit::record::Record;
use cmw::domain::event::Event;
use cmw::domain::identity::roster::Roster;
use cmw::domain::lock::event::LockEvent;
use cmw::store::audit::log;
use cmw::store::disk::RealDisk;

use super::table::verdict;
use super::yard::Yard;
use super::{Options, Result};

const CONTENDERS: usize = 12;
const LASTS: Duration = Duration::from_secs(5);
/// The least that each gets of an equal share.
const SHARE: f64 = 0.8;

/// Runs and prints it.
pub(crate) fn print(options: &Options, out: &mut impl Write) -> Result<()> {
    let yard = Yard::ready(options, "race", 10, &["--roles", "13", "--quiet"])?;
    let roster = Roster::of_size(CONTENDERS + 1);
    let may_write = |m: &&cmw::domain::identity::roster::Member| !m.kind.is_librarian();
    let roles = roster.members().iter().filter(may_write).take(CONTENDERS).map(|m| m.role.to_string());
    let until = Instant::now() + LASTS;
    let running: Vec<_> = roles
        .map(|role| {
            let take = yard.tool("cmw-lock", &["acquire", "--wait", "60s", "--quiet"]).by(&role);
            let give = yard.tool("cmw-lock", &["release", "--quiet"]).by(&role);
            std::thread::spawn(move || {
                let mut turns = 0_u32;
                while Instant::now() < until {
                    take.run().and_then(|()| give.run()).map_err(|e| format!("{role}: {e}"))?;
                    turns += 1;
                }
                Ok::<_, String>((role, turns))
            })
        })
        .collect();
    let mut turns = Vec::new();
    for one in running {
        turns.push(one.join().map_err(|_| "a contender failed")??);
    }
    let records = log::read_all(&RealDisk::open(&yard.git_dir())?)?;
    let total: u32 = turns.iter().map(|(_, n)| n).sum();
    let fair = f64::from(total) / f64::from(u32::try_from(turns.len())?);
    let least = turns.iter().map(|(_, n)| f64::from(*n) / fair).fold(f64::INFINITY, f64::min);
    let inverted = inversions(&records);
    writeln!(
        out,
        "\n{CONTENDERS} contenders, acquire --wait and release for {} s: {total} turns; each one's share of an equal share: {}; \
         goal ≥ {SHARE}: {}; inversions of order {inverted}; goal 0: {}",
        LASTS.as_secs(),
        turns.iter().map(|(r, n)| format!("{r} {:.2}", f64::from(*n) / fair)).collect::<Vec<_>>().join(", "),
        verdict(least >= SHARE),
        verdict(inverted == 0)
    )?;
    Ok(())
}

/// How often somebody got the lock before one who had waited longer. All have the same priority, and
/// all wait until they have it.
fn inversions(records: &[Record]) -> usize {
    let mut waiting: BTreeMap<String, u64> = BTreeMap::new();
    let mut inverted = 0;
    for record in records {
        #[expect(clippy::wildcard_enum_match_arm, reason = "only the queue matters here")]
        match &record.event {
            Event::Lock(LockEvent::LockRequested { waiter }) => {
                waiting.insert(waiter.actor.to_string(), waiter.ticket);
            }
            Event::Lock(LockEvent::LockGranted { holder, .. }) => {
                let own = waiting.remove(&holder.to_string()).unwrap_or(u64::MAX);
                inverted += usize::from(waiting.values().any(|ticket| *ticket < own));
            }
            _ => {}
        }
    }
    inverted
}
