//! Tests of events as they are stored on disk: tags, the order of fields, and damage.

use std::collections::BTreeSet;

use crate::domain::audit::record::Record;
use crate::domain::event::*;

fn read(json: &str) -> String {
    serde_json::from_str::<Event>(json).unwrap_err().to_string()
}

#[test]
fn each_tag_belongs_to_one_subject() {
    let all: Vec<&str> = SUBJECTS.iter().flat_map(|(_, tags)| tags.iter().copied()).collect();
    let distinct: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len());
    assert_eq!(distinct.into_iter().collect::<Vec<_>>(), tags());
    for (subject, own) in SUBJECTS {
        for tag in *own {
            assert!(TABLE.contains(&(*tag, *subject)), "{tag}");
            // The subject knows the tag, and no other subject does.
            for (other, _) in SUBJECTS {
                let bare = serde_json::json!({ TAG: tag });
                let knows = match other.read(&bare) {
                    Ok(event) => event.tag() == *tag,
                    Err(error) => !error.to_string().starts_with("unknown variant"),
                };
                assert_eq!(knows, subject == other, "{tag} and {other:?}");
            }
        }
    }
}

#[test]
fn an_event_is_read_whatever_the_order_of_its_fields() {
    let event = r#""event":"LOCK_REFUSED""#;
    let (who, action) = (r#""who":"Dev-A""#, r#""action":"acquire""#);
    let rest = r#""why":"held""#;
    let first: Event = serde_json::from_str(&format!("{{{event},{who},{action},{rest}}}")).unwrap();
    for fields in [
        [who, event, action, rest],
        [who, action, event, rest],
        [who, action, rest, event],
        [rest, action, event, who],
    ] {
        let json = format!("{{{}}}", fields.join(","));
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), first, "{json}");
    }
    assert_eq!(serde_json::to_string(&first).unwrap(), format!("{{{event},{who},{action},{rest}}}"));
}

#[test]
fn damage_is_named() {
    let unknown = read(r#"{"event":"LOCK_STOLEN"}"#);
    assert!(unknown.starts_with("unknown variant `LOCK_STOLEN`, expected one of `"), "{unknown}");
    assert_eq!(unknown.matches('`').count(), 2 * (tags().len() + 1), "{unknown}");
    assert!(read("{}").starts_with("missing field `event`"));
    let who = r#""who":"Dev-A","action":"acquire""#;
    assert!(read(&format!(r#"{{"event":"LOCK_REFUSED",{who}}}"#)).starts_with("missing field `why`"));
    assert!(read(&format!(r#"{{{who},"event":"LOCK_REFUSED"}}"#)).starts_with("missing field `why`"));
    let wrong = r#"{"event":"LOCK_REFUSED","who":"Dev-A","action":7,"why":""}"#;
    assert!(read(wrong).starts_with("invalid type: integer `7`, expected a string"));
    let twice = r#"{"event":"LOCK_REFUSED","event":"SESSION_DOWN"}"#;
    assert!(read(twice).starts_with("duplicate field `event`"), "{}", read(twice));
    for not_a_tag in ["null", "7", "[]", "{}"] {
        let said = read(&format!(r#"{{"event":{not_a_tag}}}"#));
        assert!(said.starts_with("invalid type: ") && said.contains("the tag of an event"), "{said}");
    }
    let record = r#"{"seq":1,"at":"2026-11-24T00:00:00.000Z","by":"User","severity":"INFO","event":"?","prev":"","hash":""}"#;
    let said = serde_json::from_str::<Record>(record).unwrap_err().to_string();
    assert!(said.starts_with("unknown variant `?`"), "{said}");
}
