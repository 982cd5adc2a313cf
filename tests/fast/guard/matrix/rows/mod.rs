//! All rows of the matrix, by what they are about.

mod branches;
mod commits;
mod merges;
mod places;
mod plumbing;
mod rebases;
mod remotes;
mod stash;
mod upkeep;
mod worktrees;

use crate::guard::matrix::row::Row;

/// Every row, always in the same order: the sample rotates by their numbers.
pub(crate) fn all() -> Vec<Row> {
    let tables = [
        commits::rows(),
        merges::rows(),
        rebases::rows(),
        stash::rows(),
        branches::rows(),
        remotes::rows(),
        plumbing::rows(),
        worktrees::rows(),
        upkeep::rows(),
        places::rows(),
    ];
    tables.concat()
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let rows = all();
    let names: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len());
    assert!(rows.len() >= 151, "{} rows", rows.len());
}
