//! What a collector answers.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;

/// What a collector did not take of a request that it answered with success. Nothing rejected and
/// no message: it took everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Records that the collector threw away. They must not be sent again (OTLP specification,
    /// "Partial Success").
    pub rejected: u64,
    /// Why; without rejected records, a warning.
    pub message: String,
}

/// The answer is not an OTLP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOtlp;

impl std::fmt::Display for NotOtlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer is not OTLP: check that the endpoint is the collector's OTLP port")
    }
}

impl std::error::Error for NotOtlp {}

impl PartialSuccess {
    /// Of the answer to a request for logs or for spans: both have the same fields
    /// (`ExportLogsPartialSuccess`, `ExportTracePartialSuccess`). An empty answer is full success.
    pub fn decode(answer: &[u8]) -> Result<Self, NotOtlp> {
        let answer = ExportLogsServiceResponse::decode(answer).map_err(|_| NotOtlp)?;
        let partial = answer.partial_success.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected_log_records).unwrap_or(0);
        Ok(Self { rejected, message: partial.error_message })
    }
}
