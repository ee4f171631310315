//! Reading the words of a command.
//!
//! A word takes 24 bytes even where it is empty and its text three, so a list of them is read up to a bound.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

use crate::bounded::MAX_RECORDED_WORDS;

struct Words(Vec<String>);

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Words::deserialize(deserializer).map(|words| words.0)
}

pub(super) fn deserialize_optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    Ok(Option::<Words>::deserialize(deserializer)?.map(|words| words.0))
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the words of a command")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = list.next_element()? {
            if words.len() == MAX_RECORDED_WORDS {
                let why =
                    format!("a command of more than {MAX_RECORDED_WORDS} words, which no system starts");
                return Err(A::Error::custom(why));
            }
            words.push(word);
        }
        Ok(Words(words))
    }
}
