//! What the agent cannot see or deliver: a missing finding must not be mistaken for health.

use std::fmt::Write as _;

use tokenwatch_core::engine::Status;
use tokenwatch_core::world::observation::BlindSpot;

use super::html::{Away, Short, Text, Whole, count_of};

/// Most blind spots listed. They usually have the same cause.
const LISTED: usize = 20;

pub(super) fn section(status: &Status) -> String {
    let mut out = String::from(
        "<section aria-labelledby=\"visibility\"><h2 id=\"visibility\">What this agent cannot \
         see</h2>\n<ul \
         class=\"visibility\">\n",
    );
    privileges(&mut out, status);
    line(
        &mut out,
        Visibility::Partial,
        "readers",
        "not detected yet: whether a process still uses a replaced token",
    );
    blind_spots(&mut out, status);
    sources(&mut out, status);
    cluster(&mut out, status);
    delivery(&mut out, status);
    out + "</ul></section>\n"
}

/// How much the agent sees of something.
#[derive(Clone, Copy)]
enum Visibility {
    Full,
    /// By configuration, or not implemented yet: there is nothing to repair.
    Partial,
    Broken,
}

/// One line of the list.
fn line(out: &mut String, visibility: Visibility, name: &str, text: &str) {
    let (mark, class) = match visibility {
        Visibility::Full => ("✔", "ok"),
        Visibility::Partial => ("○", "quiet"),
        Visibility::Broken => ("▲", "warning"),
    };
    let _ = writeln!(
        out,
        "<li><span class=\"{class}\" aria-hidden=\"true\">{mark}</span> <b>{name}</b> {text}</li>"
    ); // writing to a String cannot fail
}

fn privileges(out: &mut String, status: &Status) {
    let Some(privileges) = &status.agent.privileges else { return };
    let rung = privileges.rung;
    let unseen = rung
        .unseen()
        .map_or("everything is visible".to_owned(), |unseen| format!("not visible: {unseen}"));
    let visibility = match rung.unseen() {
        _ if !privileges.lacking.is_empty() => Visibility::Broken,
        Some(_) => Visibility::Partial,
        None => Visibility::Full,
    };
    line(out, visibility, "privileges", &format!("{}; {unseen}", rung.name()));
    for lacking in &privileges.lacking {
        line(out, Visibility::Broken, "missing", &Text(lacking).to_string());
    }
}

fn blind_spots(out: &mut String, status: &Status) {
    if status.agent.blind.is_empty() {
        return line(out, Visibility::Full, "volumes", "all volumes of kubelet are visible");
    }
    line(
        out,
        Visibility::Broken,
        "volumes",
        &format!("{} not visible", count_of(status.agent.blind.len(), "volume")),
    );
    for spot in status.agent.blind.iter().take(LISTED) {
        line(out, Visibility::Broken, &place(spot), &Text(&spot.reason).to_string());
    }
    if status.agent.blind.len() > LISTED {
        line(
            out,
            Visibility::Broken,
            "and",
            &format!("{} more", status.agent.blind.len() - LISTED),
        );
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
    for (source, degraded) in &status.agent.sources {
        match degraded {
            Some(reason) => {
                line(out, Visibility::Broken, &Text(source).to_string(), &Text(reason).to_string());
            }
            None => line(out, Visibility::Full, &Text(source).to_string(), "working"),
        }
    }
}

fn cluster(out: &mut String, status: &Status) {
    match (&status.agent.cluster, &status.agent.unreachable) {
        (_, Some(reason)) => {
            let known = status
                .agent
                .cluster
                .map(|cluster| format!(" The data about pods is {} old.", Whole(cluster.age)))
                .unwrap_or_default();
            line(
                out,
                Visibility::Broken,
                "API server",
                &format!("requests fail: {}.{known}", Text(reason)),
            );
        }
        (Some(cluster), None) => {
            line(
                out,
                Visibility::Full,
                "API server",
                &format!(
                    "{}, last update {} ago",
                    count_of(cluster.pods, "pod"),
                    Whole(cluster.age)
                ),
            );
        }
        (None, None) => line(
            out,
            Visibility::Partial,
            "API server",
            "not used: names come from the tokens, and owners are unknown",
        ),
    }
}

fn delivery(out: &mut String, status: &Status) {
    let delivery = &status.agent.delivery;
    let lost = |count: u64, what: &str| {
        if count > 0 { format!(" {count} {what}.") } else { String::new() }
    };
    let lost = lost(delivery.given_up, "dropped for lack of memory")
        + &lost(delivery.rejected, "rejected by the collector");
    if let Some(since) = delivery.waiting_since {
        let error = delivery.last_error.as_ref();
        let error = error.map(|error| format!(": {}", Text(error))).unwrap_or_default();
        let since = format!("{} ({})", since.wall.clock_time(), Away(since.wall, status.now.wall));
        return line(
            out,
            Visibility::Broken,
            "alerts",
            &format!("{} waiting for the collector since {since}{error}.{lost}", delivery.waiting),
        );
    }
    let visibility = if lost.is_empty() { Visibility::Full } else { Visibility::Broken };
    line(out, visibility, "alerts", &format!("none waiting for a collector.{lost}"));
}
