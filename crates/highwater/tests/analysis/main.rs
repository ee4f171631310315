//! Judgement of made-up records, and of any records at all.
#![cfg(feature = "record")]

mod any;
mod compare;
mod leak;
mod made;
