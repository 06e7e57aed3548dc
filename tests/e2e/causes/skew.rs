//! The clock of the only API server: ahead, right again, behind, and right again. Each time the
//! finding names it, and what it breaks; and the API server really does that.

use std::time::{Duration, Instant};

use super::denied::with_old_tokens;
use super::scene::{ACCEPTED, Pod, REFUSED, Scene, deployment, is_of, now, token};
use crate::bed::Cluster;
use crate::requests::token_of;
use crate::telemetry::Alert;
use crate::wait::{secs, until};

const CODE: &str = "apiserver.skew";
/// A token of 600 s is due after 480 s, and refused after 660 s: ahead by more than 180 s, the API
/// server refuses it before kubelet replaces it.
const AHEAD: i64 = 300;
/// Behind by more than 480 s, it issues tokens that are due at once.
const BEHIND: i64 = -500;
/// The age of tokens that an API server accepts at each of these times: it refuses one from after
/// its own time, with a leeway of 60 s.
const OLD: i64 = 460;
/// The agent sends a request in two minutes at least. An answer of another clock makes it ask for
/// the keys within a minute, which takes three answers; and the time server answers once in 64 s.
const WITHIN: Duration = secs(300);

#[test]
fn an_api_server_that_is_ahead_and_then_behind_is_named_each_time() {
    let cluster = Cluster::up("skew");
    let own = token("/identity", ", expirationSeconds: 600");
    with_old_tokens(&cluster, &[("hour", deployment("hour", "default", ""))]);
    let old = signed_before(&cluster, 400);
    cluster.apply(&deployment("short", "default", &own));
    let scene = Scene::with_an_old_account(cluster, OLD);
    drop(scene.pod("short"));
    scene.shows("default/short", secs(60));

    assert_eq!(scene.status(&old), ACCEPTED);
    let since = is_set(&scene, AHEAD);
    scene.wait_status(&old, REFUSED); // which kubelet would keep for another 80 s
    let new = signed_before(&scene.cluster, -AHEAD);
    scene.cluster.apply(&deployment("early", "default", ""));
    let early = scene.pod("early");
    is_named(&scene, AHEAD, "critical", since);
    scene.shows("refuses 1 token of this node before kubelet replaces them, each time", secs(5));
    scene.shows("New tokens are not valid for", secs(5));
    assert_eq!(scene.status(&new), ACCEPTED, "by the clock that signed it");
    let right = is_right_again(&scene);
    scene.wait_status(&new, REFUSED); // as the finding states
    is_restarted(&scene, &early, right);

    let since = is_set(&scene, BEHIND);
    scene.cluster.apply(&deployment("each", "default", &own));
    let each = scene.pod("each");
    let first = token_of(&scene.cluster, &each.uid);
    is_named(&scene, BEHIND, "warning", since);
    scene.shows("kubelet requests 2 tokens of this node again with each sync", secs(60));
    let replaced = until("kubelet to replace it with a sync", secs(60), || {
        Some(token_of(&scene.cluster, &each.uid)).filter(|second| *second != first)
    });
    until("kubelet to replace that, too", secs(60), || {
        (token_of(&scene.cluster, &each.uid) != replaced).then_some(())
    });
    is_right_again(&scene);
    assert_eq!(scene.raised(CODE), 2);
    scene.accuses_nobody_but(&["early"], &[CODE]);
    scene.end();
}

/// A token of ten minutes that this API server signed so many seconds ago, by its clock.
fn signed_before(cluster: &Cluster, seconds: i64) -> String {
    cluster.shift_clock("apiserver", -seconds);
    let token = cluster.kubectl(&["create", "token", "default", "--duration=10m"]);
    if seconds > 0 {
        cluster.shift_clock("apiserver", 0);
    }
    token.trim().to_owned()
}

/// Sets the clock of the API server. Returns when, as alerts have it too.
fn is_set(scene: &Scene, to: i64) -> (i128, Instant) {
    scene.cluster.shift_clock("apiserver", to);
    (now(), Instant::now())
}

fn is_named(scene: &Scene, ahead: i64, severity: &str, since: (i128, Instant)) {
    let (from, since) = since;
    let is_it = |alert: &Alert| alert.is("raised", CODE) && alert.at >= from;
    let alert = scene.telemetry.wait_alert(CODE, WITHIN, is_it);
    scene.says(&format!("{} after {:?}: {}", alert.severity(), since.elapsed(), alert.body));
    assert_eq!(alert.severity(), severity);
    let evidence = alert.attribute("tokenwatch.finding.evidence.ahead");
    let found: f64 = evidence.parse().unwrap();
    assert!((found - ahead as f64).abs() < 1.5, "{found} s");
    let side = if ahead > 0 { "ahead of true time" } else { "behind true time" };
    assert!(alert.body.contains(side), "{}", alert.body);
    assert!(alert.body.contains("The API server is wrong."), "{}", alert.body);
}

/// Returns when it was set right.
fn is_right_again(scene: &Scene) -> i128 {
    let (from, since) = is_set(scene, 0);
    let is_it = |alert: &Alert| alert.is("cleared", CODE) && alert.at >= from;
    let alert = scene.telemetry.wait_alert("its end", WITHIN, is_it);
    scene.says(&format!("resolved after {:?}: {}", since.elapsed(), alert.body));
    from
}

/// A pod that got its token meanwhile has its own finding once the clock is right, and the command
/// repairs it.
fn is_restarted(scene: &Scene, early: &Pod, since: i128) {
    let alert = reported(scene, early, "raised", since);
    assert_eq!(alert.severity(), "critical");
    scene.wait_status(&token_of(&scene.cluster, &early.uid), REFUSED);
    scene.runs_remedy(&alert);
    drop(reported(scene, early, "cleared", since));
    let new = scene.renewed("early", early);
    assert_eq!(scene.status(&token_of(&scene.cluster, &new.uid)), ACCEPTED);
}

/// What is reported about the early token of this pod since then.
fn reported(scene: &Scene, early: &Pod, event: &str, since: i128) -> Alert {
    let is_it = |alert: &Alert| {
        alert.is(event, "token.not_yet_valid") && is_of(alert, early) && alert.at >= since
    };
    let alert = scene.telemetry.wait_alert("the early token", secs(120), is_it);
    scene.says(&format!("{event} {} {}", alert.severity(), alert.body));
    alert
}
