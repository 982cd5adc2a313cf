//! Reads an audit record in one pass: its own fields wherever they are, all others for its event.
//!
//! `#[serde(flatten)]` would collect all fields first; verifying the audit trail reads each record there is.
//!
//! Invariants (each has a test of the same name):
//! * `a_record_is_read_whatever_the_order_of_its_fields`
//! * `a_record_that_lacks_or_repeats_a_field_is_damaged`

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{CowStrDeserializer, MapAccessDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::domain::audit::record::Record;
use crate::domain::audit::severity::Severity;
use crate::domain::event::Event;
use crate::domain::identity::actor::Actor;
use crate::domain::util::time::WallTime;

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RecordVisitor)
    }
}

struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an audit record")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Record, A::Error> {
        let mut own = OwnFields::default();
        let event = Event::deserialize(MapAccessDeserializer::new(EventFields { own: &mut own, map }))?;
        let missing = A::Error::missing_field;
        Ok(Record {
            seq: own.seq.ok_or_else(|| missing("seq"))?,
            at: own.at.ok_or_else(|| missing("at"))?,
            by: own.by.ok_or_else(|| missing("by"))?,
            severity: own.severity.ok_or_else(|| missing("severity"))?,
            event,
            prev: own.prev.ok_or_else(|| missing("prev"))?,
            hash: own.hash.ok_or_else(|| missing("hash"))?,
        })
    }
}

/// The fields of a record that are not its event's.
#[derive(Default)]
struct OwnFields {
    seq: Option<u64>,
    at: Option<WallTime>,
    by: Option<Actor>,
    severity: Option<Severity>,
    prev: Option<String>,
    hash: Option<String>,
}

impl OwnFields {
    /// Reads the value of the field `key` if it is one of these; returns whether it is.
    fn read<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "seq" => once(&mut self.seq, "seq", map)?,
            "at" => once(&mut self.at, "at", map)?,
            "by" => once(&mut self.by, "by", map)?,
            "severity" => once(&mut self.severity, "severity", map)?,
            "prev" => once(&mut self.prev, "prev", map)?,
            "hash" => once(&mut self.hash, "hash", map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    field: &mut Option<T>,
    name: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if field.replace(map.next_value()?).is_some() {
        return Err(A::Error::duplicate_field(name));
    }
    Ok(())
}

/// The fields of the event; puts the record's own fields aside.
struct EventFields<'a, A> {
    own: &'a mut OwnFields,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for EventFields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(Key(key)) = self.map.next_key()? {
            if !self.own.read(&key, &mut self.map)? {
                return seed.deserialize(CowStrDeserializer::new(key)).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// The name of a field, borrowed where the reader allows it.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;
    use crate::domain::event::samples;

    /// A record of each event, as it is on disk.
    fn lines() -> Vec<String> {
        let record = |event| Record::chain(7, WallTime(5), &Actor::User, event, "p");
        samples::all("x").into_iter().map(|event| serde_json::to_string(&record(event)).unwrap()).collect()
    }

    fn fields(line: &str) -> Map<String, Value> {
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn a_record_is_read_whatever_the_order_of_its_fields() {
        for line in lines() {
            let expected: Record = serde_json::from_str(&line).unwrap();
            assert!(expected.is_intact(), "{line}");
            // Sorted, and read from a value: no borrowed text.
            let sorted = serde_json::to_string(&fields(&line)).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&sorted).unwrap(), expected, "{sorted}");
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(serde_json::from_value::<Record>(value).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn a_record_that_lacks_or_repeats_a_field_is_damaged() {
        let read = |json: &str| serde_json::from_str::<Record>(json).unwrap_err().to_string();
        for line in lines() {
            for own in ["seq", "at", "by", "severity", "event", "prev", "hash"] {
                let mut less = fields(&line);
                let value = less.remove(own).unwrap();
                let less = serde_json::to_string(&less).unwrap();
                assert!(read(&less).starts_with(&format!("missing field `{own}`")), "{}", read(&less));
                let twice = format!("{},\"{own}\":{value}}}", &line[..line.len() - 1]);
                assert!(read(&twice).starts_with(&format!("duplicate field `{own}`")), "{}", read(&twice));
            }
        }
        assert!(read("[]").contains("expected an audit record"), "{}", read("[]"));
    }
}
