//! `tokenwatch clock`: this node's clock now, server by server.

use std::cmp::Ordering;
use std::{fmt, io};

use serde_json::{Value, json};
use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::diagnosis;
use tokenwatch_core::findings::{Affected, Finding, Subject};
use tokenwatch_core::world::clocks::{
    ClockFacts, ClockModel, ClockState, Estimate, KernelClock, Limits, Round, ServerName,
    ServerReport, TimeSource,
};

use super::output::{Layout, TextOrJson, print, print_json};
use crate::clocks;
use crate::config::Settings;
use crate::environment::Environment;
use crate::setup::{engine_config, named_time_servers, node_name, ntp_config};
use crate::sources::{kernel, ntp};

/// Measures the clock and prints the result; the exit status.
pub(super) async fn report(
    settings: &Settings,
    environment: &Environment,
    output: TextOrJson,
) -> u8 {
    let report = measured(settings, environment).await;
    match output {
        TextOrJson::Text => {
            print(&report.text(Layout::for_stdout(environment)), report.exit_code())
        }
        TextOrJson::Json => print_json(&report.json(), report.exit_code()),
    }
}

/// One measurement, for this command and for `explain`.
pub(super) async fn measured(settings: &Settings, environment: &Environment) -> ClockReport {
    let servers = named_time_servers(settings);
    let config = ntp_config(settings, servers.names());
    let node = node_name(settings, environment);
    let limits = engine_config(settings, &node, !config.servers.is_empty()).clock;
    let round = ntp::measure(&config).await;
    let kernel = kernel::read().map_err(KernelError::from);
    let report = ClockReport::new(&round, kernel, &limits, clocks::now());
    ClockReport { in_the_clear: servers.in_the_clear(), ..report }
}

/// Why the kernel's clock could not be read (adjtimex).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KernelError(String);

impl From<io::Error> for KernelError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One measurement, with the findings about it.
#[derive(Clone, Debug)]
pub(super) struct ClockReport {
    /// The moment of the measurement.
    pub(super) at: Reading,
    /// The limits for findings.
    pub(super) limits: Limits,
    /// The estimate of true time.
    pub(super) estimate: Estimate,
    /// The time source of that estimate.
    pub(super) time_source: TimeSource,
    /// The time servers, with their answers.
    pub(super) servers: Vec<ServerReport>,
    /// How many votes agree: one of each name, and one of each address of a pool.
    pub(super) agreeing: usize,
    /// How many votes there are, with those of servers that do not answer.
    pub(super) voters: usize,
    /// Those among them that the host authenticates by NTS, and the agent does not.
    pub(super) in_the_clear: Vec<ServerName>,
    /// The kernel's clock, or why it could not be read.
    pub(super) kernel: Result<KernelClock, KernelError>,
    /// The findings about the clock.
    pub(super) findings: Vec<Finding>,
}

impl ClockReport {
    /// Evaluates a round of queries and the kernel's clock at `at`.
    pub(super) fn new(
        round: &Round,
        kernel: Result<KernelClock, KernelError>,
        limits: &Limits,
        at: Reading,
    ) -> Self {
        // One measurement has nothing to wait for.
        let mut model = ClockModel::new(Limits { grace: Delta::ZERO, ..limits.clone() });
        if let Ok(kernel) = &kernel {
            model.kernel(kernel);
        }
        model.round(round);
        let facts = ClockFacts::new(&model, &at);
        Self {
            agreeing: facts.agreeing(),
            voters: facts.voters(),
            at,
            limits: limits.clone(),
            estimate: model.estimate(&at),
            time_source: model.source(&at),
            servers: model.servers(),
            in_the_clear: Vec::new(),
            kernel,
            // Nothing here shows the node's name.
            findings: diagnosis::clock_of("", &model, &Affected::default(), &at),
        }
    }

    /// 0 agreed and within limits, 1 off, 2 unknown.
    pub(super) fn exit_code(&self) -> u8 {
        if self.estimate.is_beyond(self.limits.offset) {
            return 1;
        }
        match self.estimate.state {
            ClockState::Disagreeing | ClockState::Unknown => 2,
            ClockState::Synchronised
            | ClockState::Off
            | ClockState::Drifting
            | ClockState::Stepped => 0,
        }
    }

    /// Whether the host authenticates this server by NTS.
    fn is_in_the_clear(&self, server: &ServerName) -> bool {
        let is_same = |other: &ServerName| other.host == server.host && other.port == server.port;
        self.in_the_clear.iter().any(is_same)
    }

    /// For people.
    pub(super) fn text(&self, layout: Layout) -> String {
        render_text(self, layout)
    }

    /// For scripts.
    pub(super) fn json(&self) -> Value {
        render_json(self)
    }
}

/// Of the table of time servers.
const HEADINGS: [&str; 6] = ["SERVER", "OFFSET", "DELAY", "ROOT DISTANCE", "STRATUM", "VOTE"];

fn render_text(report: &ClockReport, layout: Layout) -> String {
    let mut lines: Vec<String> = report.servers.iter().map(server_line).collect();
    if !lines.is_empty() {
        lines.insert(0, table_line(HEADINGS.map(str::to_owned)));
        lines.push(String::new());
    }
    lines.push(format!("kernel  {}", kernel_line(&report.kernel)));
    lines.push(format!("clock   {}", clock_line(report)));
    lines.extend(report.in_the_clear.iter().map(|server| format!("note    {}", nts_line(server))));
    let findings: String =
        report.findings.iter().map(|finding| finding_text(finding, layout)).collect();
    format!("{}\n{findings}", lines.join("\n"))
}

fn server_line(report: &ServerReport) -> String {
    let name = report.server.to_string();
    match &report.result {
        Ok(sample) => table_line([
            name,
            signed(sample.offset),
            sample.delay.to_string(),
            format!("±{}", sample.root_distance),
            sample.stratum.to_string(),
            report.vote.name().to_owned(),
        ]),
        Err(error) => format!("{name:<32}  {error}"),
    }
}

fn table_line([server, offset, delay, distance, stratum, vote]: [String; 6]) -> String {
    format!("{server:<32}  {offset:>10}  {delay:>9}  {distance:>13}  {stratum:>7}  {vote}")
}

fn kernel_line(kernel: &Result<KernelClock, KernelError>) -> String {
    match kernel {
        Ok(KernelClock { synchronised: true, max_error, .. }) => {
            format!("synchronised by a time daemon, error at most ±{max_error}")
        }
        Ok(KernelClock { synchronised: false, .. }) => {
            "not synchronised: no time daemon runs, or it does not report to the kernel".to_owned()
        }
        Err(error) => format!("cannot be read: {error}"),
    }
}

fn nts_line(server: &ServerName) -> String {
    format!(
        "the host authenticates {server} by NTS; the agent asks it in the clear, so its answer is \
         not authenticated"
    )
}

pub(super) fn clock_line(report: &ClockReport) -> String {
    let Estimate { offset, bound, assumed, state, .. } = report.estimate;
    let state = state.name();
    if assumed {
        return format!("{state}: {}, assumed error ±{bound}", unconfirmed(report));
    }
    let (error, source) = (error_of(offset), source(report));
    format!("{state}: {error}±{bound} according to {source} (limit {})", report.limits.offset)
}

fn unconfirmed(report: &ClockReport) -> &'static str {
    match report.estimate.state {
        _ if !report.limits.servers_configured => {
            "no time server is configured, and no source confirms the clock"
        }
        ClockState::Disagreeing => "the time servers contradict each other",
        _ if report.servers.iter().any(|server| server.result.is_ok()) => {
            "too few of the time servers gave a usable answer, and no other source confirms the \
             clock"
        }
        ClockState::Synchronised
        | ClockState::Off
        | ClockState::Drifting
        | ClockState::Stepped
        | ClockState::Unknown => "no source confirms the clock",
    }
}

/// How far the clock is off, with what separates it from the bound.
fn error_of(offset: Delta) -> String {
    match offset.cmp(&Delta::ZERO) {
        Ordering::Less => format!("{} ahead of true time, ", offset.abs()),
        // The kernel alone gives a bound, but no offset.
        Ordering::Equal => String::new(),
        Ordering::Greater => format!("{offset} behind true time, "),
    }
}

fn source(report: &ClockReport) -> &'static str {
    match report.time_source {
        TimeSource::Kernel if report.limits.servers_configured => "the kernel only",
        TimeSource::Kernel => "the kernel only, because no time server is configured",
        TimeSource::Servers if report.estimate.alone => "one time server alone",
        TimeSource::Servers | TimeSource::Nothing => "the time servers that agree",
        TimeSource::ServersAndKernel => "some of the time servers, with which the kernel agrees",
    }
}

fn finding_text(finding: &Finding, layout: Layout) -> String {
    let severity = layout.severity(finding.severity, finding.severity.name());
    let about = server_of(finding).map(|server| format!("  server {server}")).unwrap_or_default();
    format!(
        "\n{severity} {}{about}\n{}{}",
        layout.strong(finding.code.as_str()),
        layout.wrap(&finding.summary, "  "),
        layout.remedy(&finding.remedy)
    )
}

fn signed(delta: Delta) -> String {
    if delta < Delta::ZERO { delta.to_string() } else { format!("+{delta}") }
}

/// Durations in seconds. Keys are only ever added.
fn render_json(report: &ClockReport) -> Value {
    let Estimate { offset, bound, assumed, alone, state } = report.estimate;
    let interval = report.estimate.interval(report.at.wall);
    json!({
        "at": report.at.wall.rfc3339(),
        "state": state.name(),
        "offset": (!assumed).then(|| offset.as_secs_f64()),
        "error_bound": bound.as_secs_f64(),
        "assumed": assumed,
        "alone": alone,
        "agreeing": report.agreeing,
        "voters": report.voters,
        "source": report.time_source.name(),
        "limit": report.limits.offset.as_secs_f64(),
        "true_time": {"not_before": interval.lo.rfc3339(), "not_after": interval.hi.rfc3339()},
        "servers_configured": report.limits.servers_configured,
        "servers": report.servers.iter().map(|it| server_json(report, it)).collect::<Vec<_>>(),
        "kernel": kernel_json(&report.kernel),
        "findings": report.findings.iter().map(finding_json).collect::<Vec<_>>(),
    })
}

fn server_json(measured: &ClockReport, report: &ServerReport) -> Value {
    let (sample, error) = match &report.result {
        Ok(sample) => (Some(sample), None),
        Err(error) => (None, Some(json!({"type": error.kind(), "message": error.to_string()}))),
    };
    json!({
        "server": report.server.to_string(),
        "host": report.server.host,
        "port": report.server.port,
        "address": report.server.address,
        "vote": report.vote.name(),
        "pool": report.server.pool.is_some(),
        "host_uses_nts": measured.is_in_the_clear(&report.server),
        "offset": sample.map(|sample| sample.offset.as_secs_f64()),
        "delay": sample.map(|sample| sample.delay.as_secs_f64()),
        "root_distance": sample.map(|sample| sample.root_distance.as_secs_f64()),
        "stratum": sample.map(|sample| sample.stratum),
        "reference_id": sample.map(|sample| &sample.reference_id),
        "error": error,
    })
}

fn kernel_json(kernel: &Result<KernelClock, KernelError>) -> Value {
    match kernel {
        Ok(kernel) => json!({
            "synchronised": kernel.synchronised,
            "max_error": kernel.max_error.as_secs_f64(),
            "estimated_error": kernel.estimated_error.as_secs_f64(),
            "leap": kernel.leap,
            "steering_ppm": kernel.steering_ppm,
        }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// The time server that a finding is about; nothing for the node.
fn server_of(finding: &Finding) -> Option<&str> {
    match &finding.subject {
        Subject::Server { server } => Some(server),
        Subject::Node { .. } | Subject::Token { .. } | Subject::File { .. } => None,
    }
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "code": finding.code,
        "severity": finding.severity,
        "server": server_of(finding),
        "summary": finding.summary,
        "evidence": finding.evidence,
        "remedy": finding.remedy,
    })
}

#[cfg(test)]
mod tests;
