//! A floor of `scripts/bench.sh`: the smallest program of this target and profile.

fn main() {}
