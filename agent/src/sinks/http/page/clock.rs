//! The clock as a picture: the interval of each server, the agreed one, and the limit.
//!
//! The scale is linear up to 1 ms and logarithmic beyond, so that errors of microseconds and of
//! hours fit into the same picture.

use std::fmt::Write as _;

use tokenwatch_core::base::text::count_of;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::Status;
use tokenwatch_core::world::clocks::{ClockState, Estimate, ServerReport, Vote};

use super::html::{Short, Signed, Text};

/// Most servers in the picture. A name with many addresses can bring more.
const MOST: usize = 16;
/// The scale is linear up to here.
const LINEAR: Delta = Delta::from_millis(1);
/// Possible ends of the scale. The scale ends at the first one beyond every interval.
const ENDS: [(Delta, &str); 9] = [
    (Delta::from_millis(10), "10ms"),
    (Delta::from_millis(100), "100ms"),
    (Delta::from_secs(1), "1s"),
    (Delta::from_secs(10), "10s"),
    (Delta::from_secs(100), "100s"),
    (Delta::from_secs(1_000), "17m"),
    (Delta::from_secs(10_000), "3h"),
    (Delta::from_secs(100_000), "28h"),
    (Delta::from_secs(10_000_000_000), "years"),
];

/// Of the picture.
const EXPLANATION: &str = "<p class=\"quiet\">True time as each source reports it, relative to \
                           this node's clock (dotted line). The band is the limit.</p>\n";

pub(super) fn section(status: &Status) -> String {
    let mut out = String::from("<section aria-labelledby=\"clock\"><h2 id=\"clock\">Clock</h2>\n");
    let _ = writeln!(out, "<p>{}</p>", summary(status)); // writing to a String cannot fail
    picture(&mut out, status);
    out.push_str(EXPLANATION);
    if status.clock.servers.len() > MOST {
        let _ = writeln!(out, "<p>and {} more</p>", status.clock.servers.len() - MOST);
    }
    out + &kernel(status) + "</section>\n"
}

fn picture(out: &mut String, status: &Status) {
    let scale = Scale::of(status);
    out.push_str("<div class=\"clock\">\n");
    row(out, "<b>agreed</b>", &agreed(status, &scale));
    for report in status.clock.servers.iter().take(MOST) {
        row(out, &named(report), &of_server(report, status, &scale));
    }
    row(out, "", &scale.axis());
    out.push_str("</div>\n");
}

fn summary(status: &Status) -> String {
    let (clock, limit) = (&status.clock.estimate, status.clock.offset_limit);
    let (class, mark) = look(clock.state);
    let (state, servers) = (clock.state.name(), servers(status));
    let error = if clock.assumed {
        format!("no source confirms this clock, assumed error ±{}", clock.bound)
    } else {
        measured(clock, limit)
    };
    format!("<b class=\"{class}\">{mark} {state}</b>: {error}; {servers}")
}

fn measured(clock: &Estimate, limit: Delta) -> String {
    let direction = if clock.offset < Delta::ZERO { "ahead of" } else { "behind" };
    let (offset, bound) = (clock.offset.abs(), clock.bound);
    let by = if clock.alone { " by one time server alone" } else { "" };
    format!("this node is {offset} {direction} true time{by}, ±{bound} (limit {limit})")
}

fn servers(status: &Status) -> String {
    match status.clock.voters {
        0 => "no time server configured".to_owned(),
        all => format!("{} of {} agree", status.clock.agreeing, count_of(all, "time server")),
    }
}

/// Class and symbol of a state. The symbol is for readers who cannot tell the colours apart.
fn look(state: ClockState) -> (&'static str, &'static str) {
    match state {
        ClockState::Synchronised => ("ok", "✔"),
        ClockState::Off | ClockState::Disagreeing => ("critical", "✖"),
        ClockState::Drifting | ClockState::Stepped => ("warning", "▲"),
        ClockState::Unknown => ("info", "●"),
    }
}

fn named(report: &ServerReport) -> String {
    format!(
        "{} <span class=\"quiet\">{}</span>",
        Short(&report.server.to_string()),
        report.vote.name()
    )
}

fn row(out: &mut String, label: &str, picture: &str) {
    let _ = writeln!(out, "<div class=\"row\"><div class=\"label\">{label}</div>{picture}</div>");
}

fn agreed(status: &Status, scale: &Scale) -> String {
    let clock = &status.clock.estimate;
    let value = format!(
        "{} ± {}{}",
        Signed(clock.offset),
        clock.bound,
        if clock.assumed { ", assumed" } else { "" }
    );
    let class = if clock.assumed { "assumed" } else { "agreed" };
    scale.bar(class, clock.offset, clock.bound, status.clock.offset_limit, &value)
}

fn of_server(report: &ServerReport, status: &Status, scale: &Scale) -> String {
    match &report.result {
        Ok(sample) => {
            let value = format!("{} ± {}", Signed(sample.offset), sample.root_distance);
            let class = if report.vote == Vote::Falseticker { "wrong" } else { "server" };
            scale.bar(class, sample.offset, sample.root_distance, status.clock.offset_limit, &value)
        }
        Err(error) => format!("<span class=\"quiet\">{}</span>", Text(&error.to_string())),
    }
}

fn kernel(status: &Status) -> String {
    let Some(kernel) = &status.clock.kernel else { return String::new() };
    let daemon = if kernel.synchronised { "a time daemon" } else { "no time daemon" };
    format!(
        "<p class=\"quiet\">Kernel: {daemon} synchronises this clock, maximum error {}.</p>\n",
        kernel.max_error
    )
}

/// From an offset to a position, in percent of the picture's width.
struct Scale {
    end: f64,
    ticks: Vec<(Delta, &'static str)>,
}

impl Scale {
    /// Wide enough for every interval.
    fn of(status: &Status) -> Self {
        let most = widest(status);
        let last = ENDS.iter().position(|(end, _)| *end > most).unwrap_or(ENDS.len() - 1);
        let ticks: Vec<_> = ENDS.iter().take(last + 1).copied().collect();
        let end = ticks.last().map_or(1.0, |(end, _)| stretched(*end));
        Self { end, ticks }
    }

    fn position(&self, at: Delta) -> f64 {
        50.0 + 50.0 * (stretched(at) / self.end).clamp(-1.0, 1.0)
    }

    /// One interval, over the band of the limit and the line of the node's clock.
    fn bar(&self, class: &str, offset: Delta, bound: Delta, limit: Delta, value: &str) -> String {
        let [left, right, lo, middle, hi] =
            [-limit, limit, offset - bound, offset, offset + bound].map(|at| self.position(at));
        format!(
            "<svg role=\"img\" aria-label=\"{value}\" class=\"strip\"><title>{value}</title><rect \
             class=\"limit\" x=\"{left:.2}%\" width=\"{:.2}%\" y=\"0\" height=\"24\"/><line \
             class=\"zero\" x1=\"50%\" x2=\"50%\" y1=\"0\" y2=\"24\"/><rect class=\"{class}\" \
             x=\"{lo:.2}%\" width=\"{:.2}%\" y=\"6\" height=\"12\" rx=\"2\"/><line \
             class=\"middle\" x1=\"{middle:.2}%\" x2=\"{middle:.2}%\" y1=\"3\" \
             y2=\"21\"/></svg><span class=\"value\">{value}</span>",
            right - left,
            (hi - lo).max(0.6), // a narrower one would be invisible
        )
    }

    /// Every second tick, so that the labels fit on a phone, and always the last one.
    fn axis(&self) -> String {
        let mut out = String::from(
            "<svg class=\"axis\" aria-hidden=\"true\"><text x=\"50%\" y=\"12\" \
             text-anchor=\"middle\">0</text>",
        );
        let step = if self.ticks.len() > 3 { 2 } else { 1 };
        for (at, name) in self.ticks.iter().rev().step_by(step) {
            out += &self.labels(*at, name);
        }
        out + "</svg>"
    }

    /// Of a tick, on both sides of the middle.
    fn labels(&self, at: Delta, name: &str) -> String {
        let (left, right) = (self.position(-at), self.position(at));
        let is_end = right >= 100.0;
        let (from, to) = if is_end { ("start", "end") } else { ("middle", "middle") };
        format!(
            "<text x=\"{left:.2}%\" y=\"12\" text-anchor=\"{from}\">−{name}</text><text \
             x=\"{right:.2}%\" y=\"12\" text-anchor=\"{to}\">+{name}</text>"
        )
    }
}

/// How far the widest interval, or the limit, reaches.
fn widest(status: &Status) -> Delta {
    let reach = |offset: Delta, bound: Delta| offset.abs() + bound;
    let clock = &status.clock;
    let samples = clock.servers.iter().take(MOST).filter_map(|report| report.result.as_ref().ok());
    let servers = samples.map(|sample| reach(sample.offset, sample.root_distance));
    let estimate = reach(clock.estimate.offset, clock.estimate.bound);
    servers.chain([estimate, clock.offset_limit]).max().unwrap_or(LINEAR)
}

fn stretched(at: Delta) -> f64 {
    let ratio = at.as_secs_f64() / LINEAR.as_secs_f64();
    ratio.signum() * ratio.abs().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_monotonic_and_symmetric() {
        let scale = Scale { end: stretched(Delta::from_secs(1)), ticks: Vec::new() };
        let places: Vec<f64> = [-2_000, -1_000, -10, 0, 1, 10, 1_000]
            .map(|ms| scale.position(Delta::from_millis(ms)))
            .into();
        assert!(places.is_sorted(), "{places:?}");
        assert!(
            (places[0]).abs() < 1e-9
                && (places[3] - 50.0).abs() < 1e-9
                && (places[6] - 100.0).abs() < 1e-9
        );
        assert!((places[2] + places[5] - 100.0).abs() < 1e-9);
    }
}
