//! Tests of every git operation, in every place, with the lock held by the caller, held by another, free,
//! and frozen: the holder gets what git without hooks gives, no other actor moves a protected ref, and
//! operations that move none work for every actor.
//!
//! A run takes each operation once, with a git, a format of refs and conditions that rotate.
//! `CMW_MATRIX=all` takes each with each (`scripts/matrix.sh`); `CMW_MATRIX_ROW=PART` only those in
//! whose name it stands.

#![expect(clippy::unwrap_used, reason = "what helpers of tests cannot do ends the test")]
#![expect(clippy::disallowed_methods, reason = "a test reads the environment and copies directories")]

mod bench;
mod by_name;
mod picture;
mod row;
mod rows;
mod template;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::support::gits;
use bench::{Axis, Bench, CONDITIONS, Condition};
use row::Row;

/// The x of version 2.x.
fn minor(git: &Path) -> u32 {
    let said = Command::new(git).arg("--version").output().unwrap().stdout;
    let text = String::from_utf8(said).unwrap();
    text.split('.').nth(1).and_then(|n| n.parse().ok()).unwrap()
}

/// Each git with each format of refs that it has.
fn axes() -> Vec<Axis> {
    let mut axes = Vec::new();
    for git in gits() {
        let minor = minor(&git);
        axes.push(Axis { git: git.clone(), minor, reftable: false });
        if minor >= 45 {
            axes.push(Axis { git, minor, reftable: true });
        }
    }
    axes
}

/// Which rows run where: in the sample each row on one axis, else on all.
fn share(axis: usize, axes: usize, shard: usize, shards: usize) -> Vec<Row> {
    let all = takes_all();
    let part = std::env::var("CMW_MATRIX_ROW").unwrap_or_default();
    let rows = rows::all().into_iter().enumerate();
    let mine = rows.filter(|(number, row)| {
        let (turn, place) = (number % axes, number / axes);
        let shard_of_row = if all || !part.is_empty() { number % shards } else { place % shards };
        row.name.contains(&part) && shard_of_row == shard && (all || !part.is_empty() || turn == axis)
    });
    mine.map(|(_, row)| row).collect()
}

/// In the sample the holder, and of the others the one whose turn it is.
fn conditions(row: &Row) -> Vec<Condition> {
    let part = std::env::var_os("CMW_MATRIX_ROW").is_some_and(|part| !part.is_empty());
    if takes_all() || part {
        return CONDITIONS.to_vec();
    }
    let turn = row.name.bytes().fold(0, |sum, b| sum + usize::from(b));
    vec![CONDITIONS[0], CONDITIONS[1 + turn % 3]]
}

fn takes_all() -> bool {
    std::env::var_os("CMW_MATRIX").is_some_and(|v| v == "all")
}

fn run(shard: usize, shards: usize) {
    let axes = axes();
    let mut wrong = Vec::new();
    for (number, axis) in axes.iter().enumerate() {
        let mut rows = share(number, axes.len(), shard, shards);
        rows.retain(|row| row.since <= axis.minor);
        if rows.is_empty() {
            continue;
        }
        let start = Instant::now();
        let bench = Bench::new(axis);
        rows.retain(|row| bench.has(row));
        let set_up = start.elapsed();
        let bad_before = wrong.len();
        for row in &rows {
            wrong.extend(bench.run(row, &conditions(row)));
        }
        eprintln!(
            "matrix: {axis}, part {}: {} rows, {} wrong, {:.1} s ({:.1} s to set up)",
            shard + 1,
            rows.len(),
            wrong.len() - bad_before,
            start.elapsed().as_secs_f32(),
            set_up.as_secs_f32()
        );
    }
    assert!(wrong.is_empty(), "{} wrong:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn t02_every_operation_part_1() {
    run(0, 4);
}

#[test]
fn t02_every_operation_part_2() {
    run(1, 4);
}

#[test]
fn t02_every_operation_part_3() {
    run(2, 4);
}

#[test]
fn t02_every_operation_part_4() {
    run(3, 4);
}
