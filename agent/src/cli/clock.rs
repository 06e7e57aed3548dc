//! `tokenwatch clock`: the clock now, server by server.

use std::cmp::Ordering;

use serde_json::{Value, json};
use tokenwatch_core::base::time::{Delta, Reading};
use tokenwatch_core::diagnosis::{self, clock::ClockFinding};
use tokenwatch_core::world::clocks::{
    ClockModel, ClockState, Estimate, KernelClock, Limits, Round, ServerReport, TimeSource,
};

use super::output::Page;

/// One measurement, and what it means.
#[derive(Clone, Debug)]
pub(super) struct ClockReport {
    /// When it was made.
    pub(super) at: Reading,
    /// The limits it is held against.
    pub(super) limits: Limits,
    /// What is believed.
    pub(super) estimate: Estimate,
    /// On whose word.
    pub(super) time_source: TimeSource,
    /// The time servers asked.
    pub(super) servers: Vec<ServerReport>,
    /// The kernel's word, or why there is none.
    pub(super) kernel: Result<KernelClock, String>,
    /// What is wrong.
    pub(super) findings: Vec<ClockFinding>,
}

impl ClockReport {
    /// What a round and the kernel's word mean at `at`.
    pub(super) fn new(
        round: &Round,
        kernel: Result<KernelClock, String>,
        limits: &Limits,
        at: Reading,
    ) -> Self {
        // One look has nothing to wait for.
        let mut model = ClockModel::new(Limits { grace: Delta::ZERO, ..limits.clone() });
        if let Ok(kernel) = &kernel {
            model.kernel(kernel);
        }
        model.round(round);
        Self {
            at,
            limits: limits.clone(),
            estimate: model.estimate(&at),
            time_source: model.time_source(&at),
            servers: model.servers(),
            kernel,
            findings: diagnosis::clock::findings(&model, &at),
        }
    }

    /// 0 agreed and within limits, 1 off, 2 unknown.
    pub(super) fn exit_code(&self) -> u8 {
        match self.estimate.state {
            _ if self.estimate.is_beyond(self.limits.offset) => 1,
            ClockState::Disagreeing | ClockState::Unknown => 2,
            _ => 0,
        }
    }

    /// For people.
    pub(super) fn text(&self, page: Page) -> String {
        render_text(self, page)
    }

    /// For scripts.
    pub(super) fn json(&self) -> Value {
        render_json(self)
    }
}

fn render_text(report: &ClockReport, page: Page) -> String {
    let mut lines: Vec<String> = report.servers.iter().map(server_line).collect();
    if !lines.is_empty() {
        lines.insert(
            0,
            table_line(
                ["SERVER", "OFFSET", "DELAY", "ROOT DISTANCE", "STRATUM", "VOTE"]
                    .map(str::to_owned),
            ),
        );
        lines.push(String::new());
    }
    lines.push(format!("kernel  {}", kernel_line(&report.kernel)));
    lines.push(format!("clock   {}", clock_line(report)));
    let findings: String =
        report.findings.iter().map(|finding| finding_text(finding, page)).collect();
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

fn kernel_line(kernel: &Result<KernelClock, String>) -> String {
    match kernel {
        Ok(KernelClock { synchronised: true, max_error, .. }) => {
            format!("synchronised by a time daemon, to ±{max_error} by its own word")
        }
        Ok(_) => "not synchronised: no time daemon keeps this clock, or it does not tell the \
                  kernel"
            .to_owned(),
        Err(error) => format!("does not tell: {error}"),
    }
}

pub(super) fn clock_line(report: &ClockReport) -> String {
    let Estimate { offset, bound, assumed, state } = report.estimate;
    let state = state.name();
    if assumed {
        return format!(
            "{state}: nothing vouches for it; tokens are judged as if it were right to ±{bound}"
        );
    }
    let off = match offset.cmp(&Delta::ZERO) {
        Ordering::Less => format!("{} ahead of true time, ", offset.abs()),
        Ordering::Equal => "right to ".to_owned(), /* the kernel alone tells a bound, never an
        * offset */
        Ordering::Greater => format!("{offset} behind true time, "),
    };
    let witness = match report.time_source {
        TimeSource::Kernel => "by the kernel's word alone",
        _ => "by the time servers that agree",
    };
    format!("{state}: {off}±{bound}, {witness} (limit {})", report.limits.offset)
}

fn finding_text(finding: &ClockFinding, page: Page) -> String {
    let severity = page.severity(finding.severity, finding.severity.name());
    let about =
        finding.server.as_ref().map(|server| format!("  server {server}")).unwrap_or_default();
    format!(
        "\n{severity} {}{about}\n{}{}",
        page.strong(finding.code.as_str()),
        page.wrap(&finding.summary, "  "),
        page.remedy(&finding.remedy)
    )
}

fn signed(delta: Delta) -> String {
    if delta < Delta::ZERO { delta.to_string() } else { format!("+{delta}") }
}

/// Times in seconds, keys only ever added.
fn render_json(report: &ClockReport) -> Value {
    let Estimate { offset, bound, assumed, state } = report.estimate;
    let interval = report.estimate.interval(report.at.wall);
    json!({
        "at": report.at.wall.rfc3339(),
        "state": state.name(),
        "offset": (!assumed).then(|| offset.as_secs_f64()),
        "error_bound": bound.as_secs_f64(),
        "assumed": assumed,
        "source": report.time_source.name(),
        "limit": report.limits.offset.as_secs_f64(),
        "true_time": {"not_before": interval.lo.rfc3339(), "not_after": interval.hi.rfc3339()},
        "servers": report.servers.iter().map(server_json).collect::<Vec<_>>(),
        "kernel": kernel_json(&report.kernel),
        "findings": report.findings.iter().map(finding_json).collect::<Vec<_>>(),
    })
}

fn server_json(report: &ServerReport) -> Value {
    let sample = report.result.as_ref().ok();
    json!({
        "server": report.server.to_string(),
        "host": report.server.host,
        "port": report.server.port,
        "address": report.server.address,
        "vote": report.vote.name(),
        "offset": sample.map(|sample| sample.offset.as_secs_f64()),
        "delay": sample.map(|sample| sample.delay.as_secs_f64()),
        "root_distance": sample.map(|sample| sample.root_distance.as_secs_f64()),
        "stratum": sample.map(|sample| sample.stratum),
        "reference_id": sample.map(|sample| &sample.reference_id),
        "error": report.result.as_ref().err().map(|error| json!({"type": error.kind(), "message": error.to_string()})),
    })
}

fn kernel_json(kernel: &Result<KernelClock, String>) -> Value {
    match kernel {
        Ok(kernel) => json!({
            "synchronised": kernel.synchronised,
            "max_error": kernel.max_error.as_secs_f64(),
            "estimated_error": kernel.estimated_error.as_secs_f64(),
            "leap": kernel.leap,
            "steering_ppm": kernel.steering_ppm,
        }),
        Err(error) => json!({ "error": error }),
    }
}

fn finding_json(finding: &ClockFinding) -> Value {
    json!({
        "code": finding.code,
        "severity": finding.severity,
        "server": finding.server,
        "summary": finding.summary,
        "evidence": finding.evidence,
        "remedy": finding.remedy,
    })
}

#[cfg(test)]
mod tests;
