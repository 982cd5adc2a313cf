//! Tests of the texts of refusals.

use crate::domain::refusal::*;

#[test]
fn a_refusal_is_at_most_three_lines_and_ends_in_a_command() {
    let refusal = Refusal::Held {
        holder: Actor::Role(Role::parse("Dev-A").unwrap()),
        purpose: "evil\nsecond line\x1b[2J".to_owned(),
        since: WallTime(0),
        left_ms: 61_000,
        place: Some(2),
    };
    let text = refusal.lines();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.lines().last().unwrap().starts_with("next: cmw"));
    assert!(!text.contains('\x1b'));
    let (action, who_may) = ("thawing".to_owned(), "the User".to_owned());
    let unproven = Refusal::NotPermitted { actor: Actor::Unproven, action, who_may, session_up: true };
    assert_eq!(unproven.lines().lines().count(), 3, "{}", unproven.lines());
    assert_eq!(unproven.next(), "cmw-session down", "a message to oneself does not help");
    assert_eq!(shell_quote("it's"), "'it'\\''s'");
}
