//! A moment in a record: UTC, whole seconds, `2025-11-20T18:02:34Z`.

use std::{fmt, str::FromStr, time::SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds since 1970-01-01 00:00 UTC, written as `2025-11-20T18:02:34Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
pub struct Timestamp {
    unix_seconds: i64,
}

impl Timestamp {
    /// Cuts `time` to whole seconds. Times outside the years -9999..9999 become the nearest end.
    pub fn from_system_time(time: SystemTime) -> Self {
        let jiff = jiff::Timestamp::try_from(time).unwrap_or(if time < SystemTime::UNIX_EPOCH {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        Self { unix_seconds: jiff.as_second() }
    }

    /// Returns the seconds since 1970.
    pub const fn unix_seconds(self) -> i64 {
        self.unix_seconds
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.unix_seconds) {
            Ok(moment) => moment.fmt(f),
            Err(_) => write!(f, "@{}", self.unix_seconds),
        }
    }
}

impl FromStr for Timestamp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let moment: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| error.to_string())?;
        Ok(Self { unix_seconds: moment.as_second() })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.unix_seconds.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(|unix_seconds| Self { unix_seconds });
        }
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_whole_seconds() {
        let moment: Timestamp = "2025-11-20T18:02:34Z".parse().unwrap();
        assert_eq!(moment.unix_seconds(), 1_763_661_754);
        assert_eq!(moment.to_string(), "2025-11-20T18:02:34Z");
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn cuts_fractions() {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_999);
        assert_eq!(Timestamp::from_system_time(time).to_string(), "1970-01-01T00:00:01Z");
    }
}
