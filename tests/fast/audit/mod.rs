//! What happened: violations, what follows from them, and the history as it is asked for.

mod history;
mod queries;
mod ref_check;
mod taint;
mod violations;
