//! Who reports: the agent and its node, on everything it sends.

use opentelemetry_proto::tonic::resource::v1::Resource as Message;
use prost::Message as _;
use tokenwatch_core::base::value::Value;

use crate::value::key_value;

/// The resource's attributes, in the order they are sent. Names are unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource(pub Vec<(String, String)>);

impl Resource {
    /// The value called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Sets a value; one of the same name is replaced and keeps its place.
    pub fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The resource's protobuf. Values stay as the operator wrote them: they are the identity by
    /// which a backend joins the three signals.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let pair = |(name, value): &(String, String)| key_value(name, &Value::Text(value.clone()));
        let attributes = self.0.iter().map(pair).collect();
        Message { attributes, ..Message::default() }.encode_to_vec()
    }
}
