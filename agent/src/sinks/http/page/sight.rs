//! What the agent cannot see or deliver, so that nobody takes silence for health.

use std::fmt::Write as _;

use tokenwatch_core::engine::Status;
use tokenwatch_core::world::observation::BlindSpot;

use super::html::{Away, Short, Text, Whole, counted};

/// Blind spots are told one by one up to here; one cause is behind them.
const SPOTS: usize = 20;

pub(super) fn section(status: &Status) -> String {
    let mut out = String::from(
        "<section aria-labelledby=\"sight\"><h2 id=\"sight\">What this agent cannot see</h2>\n<ul \
         class=\"sight\">\n",
    );
    privileges(&mut out, status);
    line(
        &mut out,
        Sight::Partial,
        "readers",
        "not looked for yet: which process still uses a token that was replaced is not known",
    );
    blind(&mut out, status);
    sources(&mut out, status);
    cluster(&mut out, status);
    delivery(&mut out, status);
    out + "</ul></section>\n"
}

/// How much is seen of something.
#[derive(Clone, Copy)]
enum Sight {
    Whole,
    /// By choice, or because nobody looks yet: nothing to repair.
    Partial,
    Broken,
}

/// A line, with a mark as well as its words.
fn line(out: &mut String, sight: Sight, name: &str, said: &str) {
    let (mark, class) = match sight {
        Sight::Whole => ("✔", "ok"),
        Sight::Partial => ("○", "quiet"),
        Sight::Broken => ("▲", "warning"),
    };
    let _ = writeln!(
        out,
        "<li><span class=\"{class}\" aria-hidden=\"true\">{mark}</span> <b>{name}</b> {said}</li>"
    ); // writing to a String cannot fail
}

fn privileges(out: &mut String, status: &Status) {
    let Some(privileges) = &status.privileges else { return };
    let rung = privileges.rung;
    let unseen = rung.unseen().map_or("nothing is out of reach".to_owned(), |unseen| {
        format!("not seen from here: {unseen}")
    });
    let sight = match rung.unseen() {
        _ if !privileges.lacking.is_empty() => Sight::Broken,
        Some(_) => Sight::Partial,
        None => Sight::Whole,
    };
    line(out, sight, "privileges", &format!("{}; {unseen}", rung.name()));
    for lacking in &privileges.lacking {
        line(out, Sight::Broken, "missing", &Text(lacking).to_string());
    }
}

fn blind(out: &mut String, status: &Status) {
    if status.blind.is_empty() {
        return line(out, Sight::Whole, "volumes", "every volume that kubelet sees is seen here");
    }
    line(
        out,
        Sight::Broken,
        "volumes",
        &format!("{} hidden", counted(status.blind.len(), "volume is").replace("iss", "s are")),
    );
    for spot in status.blind.iter().take(SPOTS) {
        line(out, Sight::Broken, &place(spot), &Text(&spot.reason).to_string());
    }
    if status.blind.len() > SPOTS {
        line(out, Sight::Broken, "and", &format!("{} more", status.blind.len() - SPOTS));
    }
}

fn place(spot: &BlindSpot) -> String {
    match spot {
        root if root.is_root() => Short(&root.directory).to_string(),
        pod if pod.is_pod() => format!("pod {}", Short(&pod.pod_uid)),
        one => format!("pod {} volume {}", Short(&one.pod_uid), Short(&one.volume)),
    }
}

fn sources(out: &mut String, status: &Status) {
    for (source, degraded) in &status.sources {
        match degraded {
            Some(why) => {
                line(out, Sight::Broken, &Text(source).to_string(), &Text(why).to_string())
            }
            None => line(out, Sight::Whole, &Text(source).to_string(), "works"),
        }
    }
}

fn cluster(out: &mut String, status: &Status) {
    match (&status.cluster, &status.unreachable) {
        (_, Some(why)) => {
            let known = status
                .cluster
                .map(|cluster| format!(" What is shown of pods is {} old.", Whole(cluster.age)))
                .unwrap_or_default();
            line(
                out,
                Sight::Broken,
                "API server",
                &format!("cannot be asked: {}.{known}", Text(why)),
            );
        }
        (Some(cluster), None) => {
            line(
                out,
                Sight::Whole,
                "API server",
                &format!("told of {}, {} ago", counted(cluster.pods, "pod"), Whole(cluster.age)),
            );
        }
        (None, None) => line(
            out,
            Sight::Partial,
            "API server",
            "not used: names come from the tokens, owners are not known",
        ),
    }
}

fn delivery(out: &mut String, status: &Status) {
    let delivery = &status.delivery;
    let lost = |count: u64, what: &str| {
        if count > 0 { format!(" {count} {what}.") } else { String::new() }
    };
    let lost = lost(delivery.given_up, "were given up for want of memory")
        + &lost(delivery.rejected, "were refused for good");
    if let Some(since) = delivery.waiting_since {
        let why =
            delivery.last_error.as_ref().map(|why| format!(": {}", Text(why))).unwrap_or_default();
        let since = format!("{} ({})", since.wall.clock_time(), Away(since.wall, status.now.wall));
        return line(
            out,
            Sight::Broken,
            "alerts",
            &format!("waiting for the collector: {} since {since}{why}.{lost}", delivery.waiting),
        );
    }
    let sight = if lost.is_empty() { Sight::Whole } else { Sight::Broken };
    line(out, sight, "alerts", &format!("none waits for a collector.{lost}"));
}
