//! A request around records that are encoded already.
//!
//! Requests for logs and for spans have the same shape on the wire, field number by field number
//! (`opentelemetry/proto/collector/{logs,trace}/v1/*_service.proto`, `logs.proto`, `trace.proto`):
//!
//! ```text
//! request        1: ResourceLogs  | ResourceSpans
//! Resource…      1: resource   2: ScopeLogs | ScopeSpans   3: schema_url
//! Scope…         1: scope      2: records                  3: schema_url
//! ```
//!
//! So records are copied into a request without decoding them.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use prost::Message as _;
use tokenwatch_core::base::schema::SCHEMA_URL;

use crate::Resource;

/// Name of the instrumentation scope of everything the agent sends.
pub const SCOPE: &str = "tokenwatch";

/// Resource and scope: what stands around the records of a request.
#[derive(Clone, Debug)]
pub struct Envelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Envelope {
    /// For records of `resource`, made by this version of the agent.
    pub fn new(resource: &Resource, version: &str) -> Self {
        let scope = InstrumentationScope {
            name: SCOPE.to_owned(),
            version: version.to_owned(),
            ..InstrumentationScope::default()
        };
        Self { resource: resource.encode(), scope: scope.encode_to_vec() }
    }

    /// One request with these records: `ExportLogsServiceRequest` or `ExportTraceServiceRequest`.
    /// It is written into a single buffer of the right size.
    pub fn request<'a>(&self, records: impl Iterator<Item = &'a [u8]> + Clone) -> Vec<u8> {
        let scoped = self.scoped_len(records.clone());
        let whole = field_len(self.resource.len()) + field_len(scoped) + SCHEMA_LEN;
        let mut out = Vec::with_capacity(field_len(whole));
        open(&mut out, 1, whole);
        field(&mut out, 1, &self.resource);
        open(&mut out, 2, scoped);
        field(&mut out, 1, &self.scope);
        records.for_each(|record| field(&mut out, 2, record));
        field(&mut out, 3, SCHEMA_URL.as_bytes()); // of the scope
        field(&mut out, 3, SCHEMA_URL.as_bytes()); // of the resource
        out
    }

    fn scoped_len<'a>(&self, records: impl Iterator<Item = &'a [u8]>) -> usize {
        let records: usize = records.map(|record| field_len(record.len())).sum();
        field_len(self.scope.len()) + records + SCHEMA_LEN
    }
}

/// A field with the schema's URL: one byte each for its key and its length, which is below 128.
const SCHEMA_LEN: usize = 2 + SCHEMA_URL.len();
const _: () = assert!(SCHEMA_URL.len() < 128, "its length would take two bytes");

fn field_len(len: usize) -> usize {
    1 + prost::length_delimiter_len(len) + len
}

fn field(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    open(out, tag, bytes.len());
    out.extend_from_slice(bytes);
}

/// Key and length of a length-delimited field (wire type 2). Tags below 16 take one byte.
fn open(out: &mut Vec<u8>, tag: u8, len: usize) {
    const LENGTH_DELIMITED: u8 = 2;
    out.push(tag << 3 | LENGTH_DELIMITED);
    let written = prost::encode_length_delimiter(len, out);
    debug_assert!(written.is_ok(), "a vector grows");
}
