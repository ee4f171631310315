//! Reading a finding.
//!
//! Its kind may come after its other fields, so these are kept until then. Only those that some kind has are kept, and only
//! single values: unknown contents take no more memory.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{Finding, Leak};

/// The field that says what was found.
const KIND: &str = "kind";
const LEAK: &str = "leak";
/// Fields of [`Leak`].
const LEAK_FIELDS: [&str; 11] = [
    "scope",
    "metric",
    "id",
    "pid",
    "command",
    "bytes_per_minute",
    "began_seconds",
    "until_seconds",
    "from_bytes",
    "to_bytes",
    "sureness",
];

impl<'de> Deserialize<'de> for Finding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FindingVisitor)
    }
}

struct FindingVisitor;

impl<'de> Visitor<'de> for FindingVisitor {
    type Value = Finding;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a finding")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Finding, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if name != KIND && !LEAK_FIELDS.contains(&name.as_str()) {
                fields.next_value::<IgnoredAny>()?;
                continue;
            }
            let SingleValue(value) = fields.next_value()?;
            if kept.insert(name.clone(), value).is_some() {
                return Err(A::Error::custom(format_args!("duplicate field `{name}`")));
            }
        }
        match kept.remove(KIND) {
            Some(Value::String(kind)) if kind == LEAK => {
                Leak::deserialize(Value::Object(kept)).map(Finding::Leak).map_err(A::Error::custom)
            }
            Some(Value::String(_)) => Ok(Finding::Other),
            Some(_) => Err(A::Error::custom("the kind of a finding is no string")),
            None => Err(A::Error::missing_field(KIND)),
        }
    }
}

/// A number, a text, a truth value or `null`. Of a list or an object only its type is kept.
struct SingleValue(Value);

impl<'de> Deserialize<'de> for SingleValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SingleValueVisitor).map(Self)
    }
}

struct SingleValueVisitor;

impl<'de> Visitor<'de> for SingleValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(Map::new()))
    }
}
