//! The driver of `scripts/bench.sh`: measures every row in one interleaved run and prints the table.
//!
//! A figure in milliseconds says something about the machine; so each row is a ratio to a floor or
//! peer of the same round. All cases run once in every round, in an order that is shuffled, and a row
//! is the median of its rounds' ratios, with the tenth and ninetieth percentile beside it.
#![expect(clippy::disallowed_methods, reason = "a driver makes its own yards; it is no part of the suite")]

mod cases;
mod commits;
mod health;
mod race;
mod refs;
mod round;
mod table;
mod wake;
mod yard;

use std::io::Write;
use std::path::PathBuf;

use clap::Parser;

/// A driver has nobody to tell but the person who runs it.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What `scripts/bench.sh` says.
#[derive(Parser, Debug)]
pub(crate) struct Options {
    /// Where the programs are
    #[arg(long)]
    tools: PathBuf,
    /// Where the floors are
    #[arg(long)]
    floors: PathBuf,
    /// An empty directory on the disk that is to be measured
    #[arg(long)]
    work: PathBuf,
    /// How many rounds
    #[arg(long, default_value_t = 41)]
    rounds: usize,
    /// Smaller repositories and stores
    #[arg(long)]
    quick: bool,
    /// Where npm and pip have put other hook managers
    #[arg(long)]
    peers: Option<PathBuf>,
    /// Only rows whose name contains this, and their floors
    #[arg(long)]
    only: Option<String>,
    /// Fill the store of this git directory with so many messages, and do nothing else
    #[arg(long, num_args = 2, value_names = ["GIT_DIR", "COUNT"])]
    fill: Option<Vec<String>>,
    /// Register every role of this git directory, with beats, clients and mail, wait until the input ends,
    /// and do nothing else
    #[arg(long, value_name = "GIT_DIR")]
    crowd: Option<PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if let Some([dir, count]) = options.fill.as_deref() {
        return yard::fill(dir.as_ref(), count.parse()?);
    }
    if let Some(dir) = &options.crowd {
        health::crowd(dir)?;
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        return Ok(());
    }
    let mut bench = round::Bench::default();
    cases::tools(&mut bench, &options)?;
    commits::commits(&mut bench, &options)?;
    refs::refs(&mut bench, &options)?;
    health::health(&mut bench, &options)?;
    if let Some(only) = &options.only {
        bench.keep(only);
    }
    bench.run(options.rounds)?;
    let mut out = std::io::stdout().lock();
    table::print(&bench, &mut out)?;
    if options.only.as_deref().is_none_or(|only| only == "health") {
        health::print_monitor(&options, &mut out)?;
    }
    if options.only.is_none() {
        wake::print(&options, &mut out)?;
        race::print(&options, &mut out)?;
    }
    out.flush()?;
    Ok(())
}
