//! A time in JSON.

use chrono::DateTime;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokenwatch_core::base::time::Wall;

/// A time that is RFC 3339 in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Wall);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0.rfc3339())
    }
}

impl<'a> Deserialize<'a> for Moment {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(D::Error::custom)?;
        let nanos = time.timestamp_nanos_opt().ok_or_else(|| D::Error::custom("out of range"))?;
        Ok(Self(Wall::from_nanos(nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_json_and_nonsense_does_not() {
        let at = Moment(Wall::from_secs(1_800_000_000));
        let text = serde_json::to_string(&at).unwrap();
        assert_eq!(text, "\"2027-01-15T08:00:00Z\"");
        assert_eq!(serde_json::from_str::<Moment>(&text).unwrap(), at);
        for bad in ["\"\"", "\"now\"", "7", "null", "\"9999-12-31T23:59:59Z\""] {
            assert!(serde_json::from_str::<Moment>(bad).is_err(), "{bad}");
        }
    }
}
