//! The one conversion of the core's attributes and times to OTLP.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
use tokenwatch_core::base::time::Wall;
use tokenwatch_core::base::value::{Attributes, Value};

/// W3C trace flags: sampled. The agent records every span it reports.
pub(crate) const SAMPLED: u32 = 1;

/// Names and values, in the same order.
pub fn attributes(attributes: &Attributes) -> Vec<KeyValue> {
    attributes.iter().map(|(name, value)| key_value(name, value)).collect()
}

/// One name and its value.
pub fn key_value(name: &str, value: &Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(any_value(value)), ..KeyValue::default() }
}

/// One value.
pub fn any_value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Bool(value) => any_value::Value::BoolValue(*value),
        Value::Int(value) => any_value::Value::IntValue(*value),
        Value::Float(value) => any_value::Value::DoubleValue(*value),
        Value::Text(text) => any_value::Value::StringValue(text.clone()),
        Value::List(texts) => any_value::Value::ArrayValue(array(texts)),
    };
    AnyValue { value: Some(value) }
}

fn array(texts: &[String]) -> ArrayValue {
    let text =
        |text: &String| AnyValue { value: Some(any_value::Value::StringValue(text.clone())) };
    ArrayValue { values: texts.iter().map(text).collect() }
}

/// Nanoseconds since the Unix epoch. OTLP has no times before it: those become 0, which OTLP reads
/// as "unknown".
pub fn unix_nanos(wall: Wall) -> u64 {
    u64::try_from(wall.as_nanos()).unwrap_or(0)
}
