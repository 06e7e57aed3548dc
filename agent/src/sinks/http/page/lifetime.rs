//! The lifetime of a token as a bar.

use std::collections::BTreeSet;

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::tokens::Deadlines;

use super::html::Away;
use super::moment::is_extended;

/// A token is drawn as extended if it expires after more than this multiple of its effective
/// lifetime. Its bar then ends after the effective deadline: at the scale of a year an hour would
/// be invisible.
const EXTENDED: i64 = 2;
/// The bar continues beyond its end by the whole divided by this, so that the end is visible.
const BEYOND: i64 = 12;

/// The period that a bar shows.
struct Frame {
    from: Wall,
    to: Wall,
}

impl Frame {
    /// From the first to the last deadline, and up to one lifetime further if the token is past
    /// them.
    fn of(deadlines: &Deadlines, now: Wall) -> Self {
        let from = deadlines.issued;
        let lifetime = (deadlines.effective - from).max(Delta::from_secs(1));
        let is_extended = (deadlines.expires - from).as_nanos() / EXTENDED > lifetime.as_nanos();
        let end = if is_extended {
            deadlines.effective
        } else {
            deadlines.expires.max(deadlines.effective)
        };
        let to = end.max(now.min(end + lifetime));
        Self { from: from.min(now.max(from - lifetime)), to: to + (to - from).fraction(1, BEYOND) }
    }

    /// Position in percent of the bar.
    fn position(&self, at: Wall) -> f64 {
        let whole = (self.to - self.from).max(Delta::from_nanos(1)).as_secs_f64();
        (100.0 * (at - self.from).as_secs_f64() / whole).clamp(0.0, 100.0)
    }

    /// Position and width in percent of the bar.
    fn stretch(&self, from: Wall, to: Wall) -> (f64, f64) {
        let x = self.position(from);
        (x, (self.position(to) - x).max(0.0))
    }
}

/// The bar, with every deadline as text for screen readers.
pub(super) fn bar(deadlines: &Deadlines, reads: &[Wall], now: Wall) -> String {
    let frame = Frame::of(deadlines, now);
    let label = label(deadlines, reads, now);
    let phases = phases(deadlines, &frame) + &ticks(reads, &frame);
    let (marks, now) = (marks(deadlines, &frame), now_mark(frame.position(now)));
    format!("<svg class=\"life\" role=\"img\" aria-label=\"{label}\">{phases}{marks}{now}</svg>")
}

/// A tick above the bar for each read within it. Reads at one place are one tick.
fn ticks(reads: &[Wall], frame: &Frame) -> String {
    let inside = reads.iter().filter(|at| (frame.from..=frame.to).contains(*at));
    let places: BTreeSet<String> = inside.map(|at| format!("{:.1}", frame.position(*at))).collect();
    let tick =
        |x: &String| format!("<line class=\"read\" x1=\"{x}%\" x2=\"{x}%\" y1=\"0\" y2=\"5\"/>");
    places.iter().map(tick).collect()
}

/// Each phase is lower than the one before, for readers who cannot tell the colours apart.
fn phases(deadlines: &Deadlines, frame: &Frame) -> String {
    [
        ("fresh", deadlines.issued, deadlines.due, 6, 12),
        ("wait", deadlines.due, deadlines.stalled, 9, 9),
        ("slack", deadlines.stalled, deadlines.effective, 12, 6),
        ("over", deadlines.effective, frame.to, 16, 2),
    ]
    .map(|(class, from, to, y, height)| {
        let (x, width) = frame.stretch(from, to);
        let place = format!("x=\"{x:.2}%\" width=\"{width:.2}%\" y=\"{y}\" height=\"{height}\"");
        format!("<rect class=\"{class}\" {place}/>")
    })
    .concat()
}

fn marks(deadlines: &Deadlines, frame: &Frame) -> String {
    let all = [("tick", deadlines.late), ("end", deadlines.effective), ("end", deadlines.expires)];
    all.map(|(class, at)| (class, frame.position(at)))
        .into_iter()
        .filter(|(_, x)| *x < 100.0)
        .map(|(class, x)| {
            format!("<line class=\"{class}\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"5\" y2=\"19\"/>")
        })
        .collect::<Vec<_>>()
        .concat()
}

fn now_mark(x: f64) -> String {
    format!(
        "<line class=\"now\" x1=\"{x:.2}%\" x2=\"{x:.2}%\" y1=\"0\" y2=\"24\"/><circle \
         class=\"now\" cx=\"{x:.2}%\" cy=\"3\" r=\"3\"/>"
    )
}

fn label(deadlines: &Deadlines, reads: &[Wall], now: Wall) -> String {
    let read = reads.iter().max().map(|at| format!(", last read {}", Away(*at, now)));
    let stale = format!(", stale {}", Away(deadlines.effective, now));
    format!(
        "issued {}, due {}, late {}, stalled {}{}, deadline {}{}",
        Away(deadlines.issued, now),
        Away(deadlines.due, now),
        Away(deadlines.late, now),
        Away(deadlines.stalled, now),
        if is_extended(deadlines) { stale } else { String::new() },
        Away(deadlines.expires, now),
        read.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadlines(effective: i64, expires: i64) -> Deadlines {
        let at = Wall::from_secs;
        Deadlines {
            accepted_from: at(-60),
            issued: at(0),
            due: at(2_880),
            late: at(3_000),
            stalled: at(3_180),
            critical: at(3_360),
            effective: at(effective),
            expires: at(expires),
            hard: at(expires + 70),
        }
    }

    #[test]
    fn deadlines_are_in_order_and_within_the_bar() {
        for now in [-10_000, -30, 0, 1_000, 3_500, 3_601, 10_000, i64::MAX / 2] {
            for expires in [3_600, 31_536_000, i64::MAX / 1_000_000_000] {
                let (deadlines, now) = (deadlines(3_600, expires), Wall::from_secs(now));
                let frame = Frame::of(&deadlines, now);
                let places: Vec<f64> = [
                    deadlines.issued,
                    deadlines.due,
                    deadlines.late,
                    deadlines.stalled,
                    deadlines.effective,
                ]
                .map(|at| frame.position(at))
                .into();
                assert!(places.is_sorted() && places[4] < 100.0, "{places:?}");
                assert!(places[4] - places[0] > 25.0, "too small to read: {places:?}");
            }
        }
    }

    #[test]
    fn reads_are_ticks_within_the_bar_and_words_for_screen_readers() {
        let (now, at) = (Wall::from_secs(1_000), Wall::from_secs);
        let svg = |reads: &[Wall]| bar(&deadlines(3_600, 3_600), reads, now);
        let ticks = |reads: &[Wall]| svg(reads).matches("class=\"read\"").count();
        assert_eq!(ticks(&[]), 0);
        assert_eq!(ticks(&[at(100), at(400), at(900)]), 3);
        assert_eq!(ticks(&[at(-500), at(i64::MAX)]), 0, "reads of other generations");
        assert_eq!(ticks(&vec![at(100); 5_000]), 1, "reads at one place are one tick");
        assert!(svg(&[at(900), at(400)]).contains("last read 1m 40s ago\""));
        assert!(!svg(&[]).contains("read"));
    }

    #[test]
    fn a_token_with_lifetime_zero_is_drawn() {
        let at = Wall::from_secs(i64::MAX);
        let all = Deadlines {
            accepted_from: at,
            issued: at,
            due: at,
            late: at,
            stalled: at,
            critical: at,
            effective: at,
            expires: at,
            hard: at,
        };
        for now in [Wall::from_secs(0), at] {
            let svg = bar(&all, &[at, now], now);
            assert!(svg.contains("<svg") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
