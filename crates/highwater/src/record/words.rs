//! Reading the words of a command.
//!
//! A word takes 24 bytes even where it is empty and its text three, so a list of them is read up to a bound. Their length
//! together has a bound, too: a report shows the command as one line.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

use crate::bounded::{MAX_RECORDED_COMMAND_BYTES, MAX_RECORDED_WORDS};

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
        let refusal = |bound: String| {
            A::Error::custom(format!("a command of more than {bound}, which no system starts"))
        };
        let (mut words, mut bytes) = (Vec::new(), 0);
        while let Some(word) = list.next_element::<String>()? {
            if words.len() == MAX_RECORDED_WORDS {
                return Err(refusal(format!("{MAX_RECORDED_WORDS} words")));
            }
            bytes += word.len();
            if bytes > MAX_RECORDED_COMMAND_BYTES {
                return Err(refusal(format!("{} MiB", MAX_RECORDED_COMMAND_BYTES >> 20)));
            }
            words.push(word);
        }
        Ok(Words(words))
    }
}
