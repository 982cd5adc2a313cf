//! Tests of claims: what they match, and what overlaps.

use crate::domain::lock::claim::*;
use proptest::prelude::*;

fn covers(glob: &str, path: &str) -> bool {
    Claim::parse(&[glob]).unwrap().covers(path.as_bytes())
}

#[test]
fn a_glob_is_no_substring_and_no_regular_expression() {
    for (glob, path) in [
        ("a.py", "data_py"),
        ("a.py", "data.py"),
        ("a.py", "a.pyc"),
        ("a.py", "x/a.py"),
        ("a.py", "axpy"),
        ("src", "src2/a"),
        ("src", "mysrc/a"),
        ("src/", "src"),
        ("src/**", "src"),
        ("src/*", "src/a/b"),
        ("*", "a/b"),
        ("*.rs", "a/b.rs"),
        ("src/?", "src//"),
        ("src/a?b", "src/a/b"),
        ("src/a[!x]b", "src/a/b"),
        ("README", "readme"),
        ("a+", "aa"),
        ("(a|b)", "a"),
        ("{a,b}", "a"),
        ("x/**/y", "x/z"),
        ("**/y", "x/yy"),
    ] {
        assert!(!covers(glob, path), "{glob} must not cover {path}");
    }
}

#[test]
fn what_is_meant_is_covered() {
    for (glob, path) in [
        ("a.py", "a.py"),
        ("./a.py", "a.py"),
        ("src", "src/a/b.rs"),
        ("src", "src"),
        ("src/", "src/a/b.rs"),
        ("src/**", "src/a/b.rs"),
        ("src/**/*.rs", "src/b.rs"),
        ("src/**/*.rs", "src/a/x/b.rs"),
        ("**/tests", "tests/a"),
        ("**/tests", "a/b/tests/c"),
        ("**/a/**/b", "x/a/y/a/z/b"),
        ("**", "anything/at/all"),
        ("*", ".hidden"),
        ("crates/*/src", "crates/x/src/lib.rs"),
        ("[ab].c", "b.c"),
        ("{{x}}\\y", "{{x}}\\y"),
        ("what[?]", "what?/below"),
        ("ü/ß", "ü/ß"),
    ] {
        assert!(covers(glob, path), "{glob} must cover {path}");
    }
}

#[test]
fn a_glob_never_leaves_the_repository() {
    let long = "a".repeat(GLOB_BYTES_MAX + 1);
    for bad in [
        "", "/", "/etc", "./", ".", "..", "../a", "a/../b", "a/..", "a//b", "a/./b", "a\0b", "a***", "a**b",
        "[a", &long,
    ] {
        assert!(PathGlob::parse(bad).is_err(), "{bad:?}");
        assert!(serde_json::from_value::<Claim>(serde_json::json!([bad])).is_err(), "{bad:?}");
    }
    let many = vec!["a"; GLOBS_MAX + 1];
    assert_eq!(Claim::parse(&many), Err(ClaimError::TooMany(GLOBS_MAX + 1)));
    assert!(serde_json::from_value::<Claim>(serde_json::json!(many)).is_err());
    assert!(Claim::parse(&many[1..]).is_ok());
}

#[test]
fn a_hostile_glob_is_still_judged_at_once() {
    // A matcher that tries every division would practically never end.
    let path = format!("{}/{}", "a".repeat(200), "a/".repeat(200));
    for glob in [
        "*a".repeat(100) + "b",
        "**/a/".repeat(100) + "b",
        "*a?".repeat(60) + "/b",
        "**/*a*/".repeat(50) + "b",
    ] {
        assert!(!covers(&glob, &path[..path.len() - 1]), "{glob}");
    }
}

proptest! {
    #[test]
    fn an_exact_glob_covers_its_path_and_no_other(
        path in "[a-c*?\\[\\]!{}\\\\é. /-]{1,12}", other in "[a-c*?\\[\\]!{}\\\\é. /-]{1,12}"
    ) {
        let Ok(glob) = PathGlob::exact(path.as_bytes()) else { return Ok(()) };
        let plain = path.trim_start_matches("./").trim_end_matches('/');
        prop_assume!(plain == path);
        prop_assert!(glob.matches(path.as_bytes()));
        let is_below = other.starts_with(&format!("{path}/"));
        prop_assert_eq!(glob.matches(other.as_bytes()), other == path || is_below);
    }
}

#[test]
fn paths_that_are_no_text_are_told_apart() {
    let claim = Claim::exactly(&[b"caf\xe9"]);
    assert!(claim.covers(b"caf\xe9") && claim.covers(b"caf\xe9/x") && !claim.covers(b"caf\xe8"));
    assert_eq!(claim.to_string(), "caf\\xe9");
    let again: Claim = serde_json::from_str(&serde_json::to_string(&claim).unwrap()).unwrap();
    assert_eq!(again, claim);
    assert!(covers("caf?", "café"));
    assert_eq!(Claim::exactly(&vec!["a"; 1001]), Claim::All);
    assert!(!Claim::exactly::<&str>(&[]).covers(b"a"));
}

#[test]
fn a_claim_is_written_short_and_as_json() {
    assert_eq!(Claim::parse::<&str>(&[]).unwrap().to_string(), "all files");
    let claim = Claim::parse(&["a", "b/", "c", "d", "e"]).unwrap();
    assert_eq!(claim.to_string(), "a, b/, c and 2 more");
    assert_eq!(serde_json::to_string(&claim).unwrap(), r#"["a","b/","c","d","e"]"#);
    assert_eq!(serde_json::to_string(&Claim::All).unwrap(), r#""*""#);
    assert_eq!(serde_json::from_str::<Claim>(r#""*""#).unwrap(), Claim::All);
    for bad in [r#""a""#, "{}", "null", r#"["*",1]"#] {
        assert!(serde_json::from_str::<Claim>(bad).is_err(), "{bad}");
    }
    assert_eq!(claim.uncovered(["a", "x", "b/y"]), ["x"]);
}
