//! A floor of `scripts/bench.sh`: a program that replaces a file durably, as often as it is told.
#![expect(clippy::disallowed_methods, reason = "a floor stands beside the store and does without it")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(times)) = (args.next(), args.next().and_then(|n| n.parse::<u32>().ok())) else {
        return Err(io::Error::other("usage: floor-replace DIRECTORY TIMES"));
    };
    let (tmp, path) = (format!("{dir}/replaced.tmp"), format!("{dir}/replaced"));
    for _ in 0..times {
        let mut file = OpenOptions::new().create_new(true).write(true).open(&tmp)?;
        file.write_all(&[b'x'; 3_000])?;
        file.sync_data()?;
        fs::rename(&tmp, &path)?;
        File::open(&dir)?.sync_all()?;
    }
    Ok(())
}
