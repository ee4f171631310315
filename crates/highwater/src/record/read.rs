//! Reads records, and decides which versions can be read.
//!
//! A newer minor version is read without its unknown fields. A newer major version is refused, and the error
//! names the version that is needed.

use serde::{Deserialize, Serialize};

use super::{
    Record,
    consistency::{self, Inconsistency},
    memory,
};

/// Name and version of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SchemaVersion {
    /// `highwater.record`.
    pub name: String,
    /// The number raised by a change that old readers cannot read.
    pub major: u32,
    /// The number raised by a change that old readers can ignore.
    pub minor: u32,
}

impl SchemaVersion {
    /// The name that every record carries.
    pub const NAME: &'static str = "highwater.record";
    /// The major version written and read.
    pub const MAJOR: u32 = 1;
    /// The minor version written.
    pub const MINOR: u32 = 4;

    /// The version that this library writes.
    pub fn current() -> Self {
        Self { name: Self::NAME.to_owned(), major: Self::MAJOR, minor: Self::MINOR }
    }

    /// Returns whether a newer highwater wrote it. All fields known here are read, newer ones are ignored.
    pub fn is_newer_minor(&self) -> bool {
        self.major == Self::MAJOR && self.minor > Self::MINOR
    }
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The text is not JSON, or ends early.
    #[error("not a complete JSON document: {0}")]
    Json(#[source] serde_json::Error),
    /// The text is JSON, but no record of highwater.
    #[error("not a highwater record: {0}")]
    NotARecord(String),
    /// The record has a newer major version.
    #[error(
        "the record has schema version {major}.{minor}; this highwater reads up to major {}: use a newer one",
        SchemaVersion::MAJOR
    )]
    TooNew {
        /// The major version of the record.
        major: u32,
        /// The minor version of the record.
        minor: u32,
    },
    /// A record whose parts contradict each other: it was changed, or is made up.
    #[error("the record contradicts itself: {field} {why}")]
    Inconsistent {
        /// Path of the field, such as `timeline.series[3].first`.
        field: String,
        /// The contradiction.
        why: String,
    },
}

/// The first field alone, whatever else the document contains.
#[derive(Deserialize)]
struct SchemaHeader {
    schema: Option<SchemaVersion>,
}

impl Record {
    /// Reads a record from JSON text, and checks that its parts agree: every index lies within its list, and
    /// times are not negative.
    ///
    /// Reading takes at most about four times the length of the text, and 64 MiB: bound the length of texts
    /// from elsewhere.
    ///
    /// # Errors
    /// [`ReadError`] if the text is cut short, is not a record, contradicts itself, or needs a newer version.
    ///
    /// ```
    /// use highwater::record::{ReadError, Record};
    /// let newer = br#"{"schema": {"name": "highwater.record", "major": 9, "minor": 1}}"#;
    /// assert!(matches!(Record::from_json(newer), Err(ReadError::TooNew { major: 9, .. })));
    /// ```
    pub fn from_json(text: &[u8]) -> Result<Self, ReadError> {
        // Some editors and shells write a byte order mark first.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        memory::check(text).map_err(|error| ReadError::NotARecord(error.to_string()))?;
        let record: Self = match serde_json::from_slice(text) {
            Ok(record) => record,
            Err(error) => return Err(why_not(text, &error)),
        };
        check_version(&record.schema)?;
        consistency::check(&record)
            .map_err(|Inconsistency { field, why }| ReadError::Inconsistent { field, why })?;
        Ok(record)
    }
}

/// Refuses another document, or a record of a newer major version.
fn check_version(schema: &SchemaVersion) -> Result<(), ReadError> {
    if schema.name != SchemaVersion::NAME {
        return Err(ReadError::NotARecord(format!("its schema is `{}`", schema.name)));
    }
    if schema.major > SchemaVersion::MAJOR {
        return Err(ReadError::TooNew { major: schema.major, minor: schema.minor });
    }
    Ok(())
}

/// Returns why a text is not a readable record. `of_record` is the error of the attempt to read one.
fn why_not(text: &[u8], of_record: &serde_json::Error) -> ReadError {
    let is_object = text.trim_ascii_start().first() == Some(&b'{');
    let header: SchemaHeader = match serde_json::from_slice(text) {
        Ok(header) => header,
        Err(error) => {
            return match error.classify() {
                serde_json::error::Category::Data if !is_object => {
                    ReadError::NotARecord("it is no JSON object".to_owned())
                }
                serde_json::error::Category::Data => ReadError::NotARecord(error.to_string()),
                _ => ReadError::Json(error),
            };
        }
    };
    let Some(schema) = header.schema else {
        return ReadError::NotARecord("it has no field `schema`".to_owned());
    };
    check_version(&schema).err().unwrap_or_else(|| ReadError::NotARecord(of_record.to_string()))
}
