//! Tests of the audit: violations, what follows from them, and queries of the history.

mod growth;
mod history;
mod open_movements;
mod queries;
mod ref_check;
mod taint;
mod violations;
