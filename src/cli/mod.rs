//! One module per tool, the shared `main`, exit codes, how refusals are printed.
