//! What a recording consists of.

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::base::time::Reading;
use crate::engine::Config;
use crate::ledger::Restored;
use crate::world::observation::Observation;

/// What the header's `format` is, so that no other JSON file is taken for a recording.
pub const FORMAT: &str = "tokenwatch-recording";
/// The version of the format. A change that an older reader would misunderstand raises it.
pub const VERSION: u64 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Always [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u64,
    /// Version of the agent that recorded.
    pub tokenwatch: String,
    /// Whether the names of the cluster are replaced.
    #[serde(default)]
    pub pseudonyms: bool,
    /// The engine's configuration.
    pub config: Config,
}

impl Header {
    /// The header of a recording that begins now. `tokenwatch` is the agent's version.
    pub fn new(tokenwatch: &str, config: Config) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            tokenwatch: tokenwatch.to_owned(),
            pseudonyms: false,
            config,
        }
    }
}

/// One line after the header: what the engine was given, and the clocks at that moment.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Entry {
    /// The node's clocks.
    pub now: Reading,
    /// What happened.
    pub content: Content,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// The engine took an observation.
    Observation(Observation),
    /// The engine took over the findings of the agent before it. The first entry of a run.
    Restored(Vec<Restored>),
    /// So many entries are missing before this line: the recorder's queue was full.
    Lost(u64),
    /// The agent stopped in order.
    Stopped,
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("now", &self.now)?;
        match &self.content {
            Content::Observation(observation) => map.serialize_entry("observation", observation)?,
            Content::Restored(restored) => map.serialize_entry("restored", restored)?,
            Content::Lost(count) => map.serialize_entry("lost", count)?,
            Content::Stopped => map.serialize_entry("stopped", &true)?,
        }
        map.end()
    }
}

/// An entry's keys, of which exactly one stands beside `now`.
#[derive(Deserialize)]
struct Fields {
    now: Reading,
    observation: Option<Observation>,
    restored: Option<Vec<Restored>>,
    lost: Option<u64>,
    stopped: Option<bool>,
}

impl TryFrom<Fields> for Entry {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let Fields { now, observation, restored, lost, stopped } = fields;
        let content = match (observation, restored, lost, stopped) {
            (Some(observation), None, None, None) => Content::Observation(observation),
            (None, Some(restored), None, None) => Content::Restored(restored),
            (None, None, Some(count), None) => Content::Lost(count),
            (None, None, None, Some(true)) => Content::Stopped,
            _ => return Err("one of observation, restored, lost and stopped is needed"),
        };
        Ok(Self { now, content })
    }
}
