//! Transcripts of `cmw-lock`: what is typed, what is said, how it ends.

mod support;

use support::{World, assert_transcript};

#[test]
fn one_takes_it_another_waits_and_gets_it() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.agent("Dev-A", "cmw-lock status").ignored();
        t.agent("Dev-A", "cmw-lock acquire --files a --purpose 'fix the login'").ignored();
        t.agent("Dev-B", "cmw-lock acquire --files b").ignored();
        t.agent("Dev-B", "cmw-lock status").ignored();
        t.agent("Dev-A", "cmw-lock release").ignored();
        t.agent("Dev-B", "cmw-lock status").ignored();
    });
    assert_transcript("lock-basics", &text);
}

#[test]
fn the_person_is_known_by_the_terminal() {
    let world = World::ready();
    let text = world.transcript(|t| {
        t.person("cmw-lock acquire --purpose 'a hand-made fix'").ignored();
        t.nobody("cmw-lock status --json | jq .data.lock.holder").ignored();
        t.nobody("cmw-lock acquire").ignored();
        t.person("cmw-lock release").ignored();
    });
    assert_transcript("lock-person", &text);
}
