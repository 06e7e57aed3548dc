//! What the agent cannot see or deliver: a missing finding must not be mistaken for health.

use std::fmt::Write as _;

use tokenwatch_core::base::text::count_of;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::engine::Status;
use tokenwatch_core::world::cluster::PodRef;
use tokenwatch_core::world::observation::{BlindSpot, DeliveryState};
use tokenwatch_core::world::{Crowded, Unknown};

use super::html::{Away, Short, Text, Whole};

/// Most blind spots listed. They usually have the same cause.
const LISTED: usize = 20;
const HEAD: &str = "<section aria-labelledby=\"visibility\"><h2 id=\"visibility\">What this agent \
                    cannot see</h2>\n<ul class=\"visibility\">\n";
const READERS: &str = "not detected yet: whether a process still uses a replaced token";
const NO_TIME_SERVER: &str = "not configured: clock.servers names no time server, and this host \
                              shows none";
const NO_API_SERVER: &str = "not used: names come from the tokens, and owners are unknown";

pub(super) fn section(status: &Status) -> String {
    let mut out = HEAD.to_owned();
    privileges(&mut out, status);
    line(&mut out, Visibility::Partial, "readers", READERS);
    blind_spots(&mut out, status);
    crowded(&mut out, status);
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
    let (visibility, unseen) = match rung.unseen() {
        Some(unseen) => (Visibility::Partial, format!("not visible: {unseen}")),
        None => (Visibility::Full, "everything is visible".to_owned()),
    };
    let visibility = if privileges.lacking.is_empty() { visibility } else { Visibility::Broken };
    line(out, visibility, "privileges", &format!("{}; {unseen}", rung.name()));
    for lacking in &privileges.lacking {
        line(out, Visibility::Broken, "missing", &Text(lacking).to_string());
    }
}

/// What the agent does not follow of pods with more than their share.
fn crowded(out: &mut String, status: &Status) {
    let Crowded { pods, partly, unwatched, .. } = &status.agent.crowded;
    beyond(out, pods, "token", "not followed");
    beyond(out, partly, "volume", "only followed in part");
    for (unknown, pods) in unwatched {
        let what = match unknown {
            Unknown::Changes => "not watched, and only rescanned",
            Unknown::Opens => "not watched for readers",
            Unknown::Processes => "not watched for which process reads them",
            Unknown::Mounts => "not looked at in every container",
        };
        beyond(out, pods, "volume", what);
    }
}

/// What is beyond the share of these pods: so many things of each.
fn beyond(out: &mut String, pods: &[(PodRef, usize)], thing: &str, what: &str) {
    let mut broken = |name: &str, text: &str| line(out, Visibility::Broken, name, text);
    for (pod, count) in pods.iter().take(LISTED) {
        let text = format!("{} {what}, more than the pod's share", count_of(*count, thing));
        broken(&format!("pod {}", Short(&pod.full_name())), &text);
    }
    if pods.len() > LISTED {
        broken("and", &format!("{} more", count_of(pods.len() - LISTED, "pod")));
    }
}

fn blind_spots(out: &mut String, status: &Status) {
    let blind = status.agent.blind.iter().filter(|spot| !spot.is_partly).collect::<Vec<_>>();
    if blind.is_empty() {
        return line(out, Visibility::Full, "volumes", "all volumes of kubelet are visible");
    }
    let mut broken = |name: &str, text: &str| line(out, Visibility::Broken, name, text);
    broken("volumes", &format!("{} not visible", count_of(blind.len(), "volume")));
    for spot in blind.iter().take(LISTED) {
        broken(&place(spot), &Text(&spot.reason).to_string());
    }
    if blind.len() > LISTED {
        broken("and", &format!("{} more", blind.len() - LISTED));
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
    if !status.clock.servers_configured {
        line(out, Visibility::Partial, "ntp", NO_TIME_SERVER);
    }
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
    let known = status.agent.cluster.as_ref().map(|known| (known.pods, known.age));
    let (visibility, text) = match (known, &status.agent.unreachable) {
        (known, Some(reason)) => (Visibility::Broken, failing(reason, known.map(|(_, age)| age))),
        (Some((pods, age)), None) => {
            let (pods, age) = (count_of(pods, "pod"), Whole(age));
            (Visibility::Full, format!("{pods}, last update {age} ago"))
        }
        (None, None) => (Visibility::Partial, NO_API_SERVER.to_owned()),
    };
    line(out, visibility, "API server", &text);
}

/// Why requests fail, and how old the data about pods is.
fn failing(reason: &str, age: Option<Delta>) -> String {
    let age = age.map(|age| format!(" The data about pods is {} old.", Whole(age)));
    format!("requests fail: {}.{}", Text(reason), age.unwrap_or_default())
}

fn lost(delivery: &DeliveryState) -> String {
    let counted = |count: u64, what: &str| {
        if count > 0 { format!(" {count} {what}.") } else { String::new() }
    };
    counted(delivery.given_up, "dropped for lack of memory")
        + &counted(delivery.rejected, "rejected by the collector")
}

fn delivery(out: &mut String, status: &Status) {
    let delivery = &status.agent.delivery;
    let lost = lost(delivery);
    let (visibility, text) = match delivery.waiting_since {
        Some(since) => (Visibility::Broken, waiting(delivery, since.wall, status.now.wall)),
        None if lost.is_empty() => (Visibility::Full, "none waiting for a collector".to_owned()),
        None => (Visibility::Broken, "none waiting for a collector".to_owned()),
    };
    line(out, visibility, "alerts", &format!("{text}.{lost}"));
}

fn waiting(delivery: &DeliveryState, since: Wall, now: Wall) -> String {
    let error = delivery.last_error.as_ref().map(|error| format!(": {}", Text(error)));
    let since = format!("{} ({})", since.clock_time(), Away(since, now));
    let (count, error) = (delivery.waiting, error.unwrap_or_default());
    format!("{count} waiting for the collector since {since}{error}")
}
