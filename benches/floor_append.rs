//! A floor of `scripts/bench.sh`: a program that makes 700 bytes durable in one append.

use std::fs::OpenOptions;
use std::io::{self, Write};

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: floor-append FILE"))?;
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(&[b'x'; 700])?;
    file.sync_data()
}
