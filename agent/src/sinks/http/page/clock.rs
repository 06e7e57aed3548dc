//! The clock as a picture: what each server says true time is, what they agree on, and where the
//! limit is.
//!
//! The scale is 1 ms wide in the middle and logarithmic beyond, so that a server that is hours off
//! and one that is good to microseconds fit into the same picture.

use std::fmt::Write as _;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::Status;
use tokenwatch_core::world::clocks::{ClockState, ServerReport, Vote};

use super::html::{Short, Signed, Text, counted};

/// Servers in the picture. Nobody configures more; a name with many addresses can bring more.
const MOST: usize = 16;
/// The scale is linear up to here: what is better than that is good.
const FINE: Delta = Delta::from_millis(1);
/// The ends of the scale that come into question: one past each is always there, so that nothing
/// lies on the edge.
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

pub(super) fn section(status: &Status) -> String {
    let mut out = String::from("<section aria-labelledby=\"clock\"><h2 id=\"clock\">Clock</h2>\n");
    let _ = writeln!(out, "<p>{}</p>", said(status)); // writing to a String cannot fail
    let scale = Scale::of(status);
    out.push_str("<div class=\"clock\">\n");
    row(&mut out, "<b>agreed</b>", &agreed(status, &scale));
    for report in status.servers.iter().take(MOST) {
        row(&mut out, &named(report), &of_server(report, status, &scale));
    }
    row(&mut out, "", &scale.axis());
    out.push_str(
        "</div>\n<p class=\"quiet\">Where each says that true time is, seen from this node's \
         clock (dotted); the band is the limit.</p>\n",
    );
    if status.servers.len() > MOST {
        let _ = writeln!(out, "<p>and {} more</p>", status.servers.len() - MOST);
    }
    out + &kernel(status) + "</section>\n"
}

fn said(status: &Status) -> String {
    let (clock, limit) = (&status.clock, status.offset_limit);
    let agreeing = status.servers.iter().filter(|report| report.vote == Vote::Agrees).count();
    let servers = match status.servers.len() {
        0 => "no time server is asked".to_owned(),
        all => format!("{agreeing} of {} agree", counted(all, "time server")),
    };
    let (class, mark) = look(clock.state);
    let state = format!("<b class=\"{class}\">{mark} {}</b>", clock.state.name());
    if clock.assumed {
        return format!(
            "{state}: nothing vouches for this clock, ±{} is assumed; {servers}",
            clock.bound
        );
    }
    let way = if clock.offset < Delta::ZERO { "ahead of" } else { "behind" };
    format!(
        "{state}: this node is {} {way} true time, give or take {} (limit {limit}); {servers}",
        clock.offset.abs(),
        clock.bound
    )
}

/// As what it is shown, by colour and by sign: colour alone is not for everybody.
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
    let clock = &status.clock;
    let says = format!(
        "{} ± {}{}",
        Signed(clock.offset),
        clock.bound,
        if clock.assumed { ", assumed" } else { "" }
    );
    let class = if clock.assumed { "assumed" } else { "agreed" };
    scale.bar(class, clock.offset, clock.bound, status.offset_limit, &says)
}

fn of_server(report: &ServerReport, status: &Status, scale: &Scale) -> String {
    match &report.result {
        Ok(sample) => {
            let says = format!("{} ± {}", Signed(sample.offset), sample.root_distance);
            let class = if report.vote == Vote::Falseticker { "wrong" } else { "server" };
            scale.bar(class, sample.offset, sample.root_distance, status.offset_limit, &says)
        }
        Err(why) => format!("<span class=\"quiet\">{}</span>", Text(&why.to_string())),
    }
}

fn kernel(status: &Status) -> String {
    let Some(kernel) = &status.kernel else { return String::new() };
    let kept = if kernel.synchronised {
        "a time daemon keeps this clock"
    } else {
        "no time daemon keeps this clock"
    };
    format!("<p class=\"quiet\">The kernel says: {kept}, good to {}.</p>\n", kernel.max_error)
}

/// From time to place: percents of the picture's width.
struct Scale {
    end: f64,
    ticks: Vec<(Delta, &'static str)>,
}

impl Scale {
    /// Wide enough for everything there is to show.
    fn of(status: &Status) -> Self {
        let samples =
            status.servers.iter().take(MOST).filter_map(|report| report.result.as_ref().ok());
        let reach = |offset: Delta, bound: Delta| offset.abs() + bound;
        let servers = samples.map(|sample| reach(sample.offset, sample.root_distance));
        let all =
            servers.chain([reach(status.clock.offset, status.clock.bound), status.offset_limit]);
        let most = all.max().unwrap_or(FINE);
        let last = ENDS.iter().position(|(end, _)| *end > most).unwrap_or(ENDS.len() - 1);
        let ticks: Vec<_> = ENDS.iter().take(last + 1).copied().collect();
        let end = ticks.last().map_or(1.0, |(end, _)| stretched(*end));
        Self { end, ticks }
    }

    fn place(&self, at: Delta) -> f64 {
        50.0 + 50.0 * (stretched(at) / self.end).clamp(-1.0, 1.0)
    }

    /// An interval over the limits and the node's own clock.
    fn bar(&self, class: &str, offset: Delta, bound: Delta, limit: Delta, says: &str) -> String {
        let (lo, hi, middle) =
            (self.place(offset - bound), self.place(offset + bound), self.place(offset));
        let (left, right) = (self.place(-limit), self.place(limit));
        format!(
            "<svg role=\"img\" aria-label=\"{says}\" class=\"strip\"><title>{says}</title><rect \
             class=\"limit\" x=\"{left:.2}%\" width=\"{:.2}%\" y=\"0\" height=\"24\"/><line \
             class=\"zero\" x1=\"50%\" x2=\"50%\" y1=\"0\" y2=\"24\"/><rect class=\"{class}\" \
             x=\"{lo:.2}%\" width=\"{:.2}%\" y=\"6\" height=\"12\" rx=\"2\"/><line \
             class=\"middle\" x1=\"{middle:.2}%\" x2=\"{middle:.2}%\" y1=\"3\" \
             y2=\"21\"/></svg><span class=\"says\">{says}</span>",
            right - left,
            (hi - lo).max(0.6), // or a good clock would be too thin to see
        )
    }

    /// Every second tick, so that they can be read on a phone; the last one always.
    fn axis(&self) -> String {
        let mut out = String::from(
            "<svg class=\"axis\" aria-hidden=\"true\"><text x=\"50%\" y=\"12\" \
             text-anchor=\"middle\">0</text>",
        );
        let step = if self.ticks.len() > 3 { 2 } else { 1 };
        for (at, name) in self.ticks.iter().rev().step_by(step) {
            let (left, right) = (self.place(-*at), self.place(*at));
            let is_end = right >= 100.0;
            let (from, to) = if is_end { ("start", "end") } else { ("middle", "middle") };
            let _ = write!(
                out,
                "<text x=\"{left:.2}%\" y=\"12\" text-anchor=\"{from}\">−{name}</text><text \
                 x=\"{right:.2}%\" y=\"12\" text-anchor=\"{to}\">+{name}</text>"
            );
        }
        out + "</svg>"
    }
}

fn stretched(at: Delta) -> f64 {
    let fine = at.as_secs_f64() / FINE.as_secs_f64();
    fine.signum() * fine.abs().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_both_sides_are_alike() {
        let scale = Scale { end: stretched(Delta::from_secs(1)), ticks: Vec::new() };
        let places: Vec<f64> = [-2_000, -1_000, -10, 0, 1, 10, 1_000]
            .map(|ms| scale.place(Delta::from_millis(ms)))
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
