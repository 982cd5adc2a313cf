//! Messages of every shape: which are accepted, which are refused, what stays as written.

use proptest::prelude::*;

use crate::domain::identity::role::Role;
use crate::domain::mail::message::*;

fn draft() -> Draft {
    let dev = Role::parse("Dev-A").unwrap();
    let id = MessageId::from_parts(1_763_334_000_123, 7);
    Draft::new(id, Actor::Role(dev), "User".into(), vec![Mailbox::User], WallTime(1_763_334_000_123))
}

#[test]
fn unknown_fields_survive_a_round_trip() {
    let mut draft = draft();
    draft.extra.insert("hop_count".into(), serde_json::json!({"z": 1, "a": [null, 1.5]}));
    let envelope = draft.seal().unwrap().numbered(3);
    let read = Envelope::from_file(&envelope.to_file()).unwrap();
    assert_eq!(read, envelope);
    assert!(read.verify() && read.extra.contains_key("hop_count"));
}

#[test]
fn canonical_bytes_are_sorted_and_harmless() {
    let mut draft = draft();
    draft.subject = "\x1b[2J\u{202e}".into();
    draft.extra.insert("aaa".into(), serde_json::json!({"z": 1, "b": 2}));
    let sealed = draft.seal().unwrap();
    let golden = r#"{"aaa":{"b":2,"z":1},"body":"","created_at":"2025-11-16T23:00:00.123Z","from":"Dev-A","id":"01KA7EB3FV0000000000000007","priority":"NORMAL","recipients":["User"],"subject":"\u001b[2J\u202e","thread":"01KA7EB3FV0000000000000007","to":"User","type":"MESSAGE"}"#;
    assert_eq!(sealed.canonical(), golden);
    assert!(!sealed.numbered(1).to_file().chars().any(|c| c != '\n' && sanitize::is_unsafe(c)));
}

#[test]
fn any_change_to_a_message_changes_its_digest() {
    let envelope = draft().seal().unwrap().numbered(1);
    assert!(envelope.verify());
    let changes: [fn(&mut Draft); 9] = [
        |d| d.id = MessageId::from_parts(0, 0),
        |d| d.from = Actor::System,
        |d| d.proven = false,
        |d| d.recipients.clear(),
        |d| d.kind = MessageType::HEARTBEAT,
        |d| d.priority = Priority::High,
        |d| d.body = Body::Json(Value::Null),
        |d| d.ack_required = true,
        |d| d.expires_at = Some(WallTime(0)),
    ];
    for change in changes {
        let mut other = envelope.clone();
        change(&mut other.draft);
        assert!(!other.verify());
    }
}

#[test]
fn limits_are_kept() {
    assert!(Body::text("x".repeat(BODY_BYTES_MAX)).is_ok());
    assert_eq!(Body::text("x".repeat(BODY_BYTES_MAX + 1)), Err(DraftError::BodyTooLarge { bytes: 262_145 }));
    assert!(matches!(Body::json("{"), Err(DraftError::BodyNotJson(_))));
    assert_eq!(Body::json(r#""text""#), Ok(Body::Text("text".into())));
    let sealed = |change: &dyn Fn(&mut Draft)| {
        let mut draft = draft();
        change(&mut draft);
        draft.seal().map(|s| s.canonical().len())
    };
    assert_eq!(sealed(&|d| d.subject = "two\nlines".into()), Err(DraftError::Subject));
    assert_eq!(sealed(&|d| d.subject = "ü".repeat(201)), Err(DraftError::Subject));
    assert!(sealed(&|d| d.subject = "ü".repeat(200)).is_ok());
    assert_eq!(sealed(&|d| d.recipients.clear()), Err(DraftError::NoRecipient("User".into())));
    assert!(matches!(sealed(&|d| d.created_at = WallTime(i64::MAX)), Err(DraftError::Field(_))));
    for name in ["seq", "sha256", "id", "proven"] {
        let set = |d: &mut Draft| drop(d.extra.insert(name.into(), 1.into()));
        assert_eq!(sealed(&set), Err(DraftError::Field(name.into())));
    }
    let nested =
        |levels: usize| Body::json(&format!("{}{}", "[".repeat(levels), "]".repeat(levels))).unwrap();
    assert_eq!(sealed(&|d| d.body = nested(100)), Err(DraftError::TooDeep));
    assert!(sealed(&|d| d.body = nested(63)).is_ok());
    // The largest legal body, when each of its characters must be escaped.
    assert!(sealed(&|d| d.body = Body::Text("\u{1b}".repeat(BODY_BYTES_MAX))).unwrap() > 1_572_000);
}

#[test]
fn an_answer_stays_in_its_thread() {
    let root = draft();
    let other = |n| Draft { id: MessageId::from_parts(5, n), thread: MessageId::from_parts(5, n), ..draft() };
    let first = other(1).replying_to(&root);
    let second = other(2).replying_to(&first);
    assert_eq!((second.thread, second.in_reply_to), (root.id, Some(first.id)));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON knows no others", |f| f.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_can_be_sealed_can_be_read_back(
        subject in any::<String>(),
        body in any_json(),
        extra in prop::collection::btree_map("[a-z_\u{0}-\u{ff}\"\\\\]{0,12}", any_json(), 0..4),
        to in any::<String>(),
        random in any::<u128>(),
        wall in -62_135_596_800_000_i64..253_402_300_800_000,
        expires in prop::option::of(0_i64..253_402_300_800_000),
        flags in any::<(bool, bool)>(),
        priority in 0_usize..4,
        seq in any::<u64>(),
    ) {
        let mut draft = draft();
        draft.id = MessageId::from_parts(wall, random);
        draft.subject = subject;
        draft.body = if let Value::String(text) = body { Body::Text(text) } else { Body::Json(body) };
        draft.extra = extra.into_iter().collect();
        draft.to = to;
        (draft.created_at, draft.expires_at) = (WallTime(wall), expires.map(WallTime));
        (draft.proven, draft.ack_required) = flags;
        draft.priority = Priority::ALL[priority];
        if let Ok(sealed) = draft.clone().seal() {
            prop_assert_eq!(Draft::from_canonical(sealed.canonical()), Ok(draft.clone()));
            prop_assert!(!sealed.canonical().chars().any(sanitize::is_unsafe));
            let envelope = sealed.numbered(seq);
            let read = Envelope::from_file(&envelope.to_file()).unwrap();
            prop_assert!(read.verify());
            prop_assert_eq!(read, envelope);
        }
    }
}
