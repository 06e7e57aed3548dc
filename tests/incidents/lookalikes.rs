//! Class J: what looks like an incident, and is none. The agent must not report it as one.

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::findings::{Code, Severity};
use tokenwatch_core::world::clocks::{KernelClock, Leap};
use tokenwatch_core::world::cluster::{Phase, Pod};
use tokenwatch_core::world::copies::{Mention, Plugin};
use tokenwatch_core::world::kubelet::SyncsSeen;
use tokenwatch_core::world::observation::Observation;

use crate::cluster::Server;
use crate::node::{HostFile, Node, Spec, key};
use crate::play::AGENT;
use crate::readers::{OPENS, WATCHES, with_agent, with_cart};
use crate::rotation::reads_each_minute;
use crate::scenario::{Expected, Scenario};

const END: i64 = 7_200;

/// The client of `cart-0` reads at these seconds, and uses the API server like this.
fn reads(spec: Spec, seconds: &[i64], uses: tokenwatch_core::world::readers::Connected) -> Node {
    let mut node = with_cart(END, spec);
    node.reads("cart-0", spec, seconds);
    node.processes("cart-0", spec, (3, END), uses);
    node.finish()
}

fn every(step: usize) -> Vec<i64> {
    (4..END).step_by(step).collect()
}

fn before_each_end() -> Node {
    let mut node = with_cart(4 * 3_600, Spec::HOUR);
    let lives = node.lives("cart-0", Spec::HOUR);
    let ends = lives.iter().map(|(_, end)| end - 300).filter(|second| *second < 4 * 3_600);
    let seconds: Vec<i64> = [4].into_iter().chain(ends).collect();
    node.reads("cart-0", Spec::HOUR, &seconds);
    node.processes("cart-0", Spec::HOUR, (3, 4 * 3_600), OPENS);
    node.finish()
}

fn at_each_change() -> Node {
    let mut node = with_cart(END, Spec::HOUR);
    let seconds: Vec<i64> =
        node.lives("cart-0", Spec::HOUR).iter().map(|(since, _)| since + 2).collect();
    node.reads("cart-0", Spec::HOUR, &seconds);
    node.processes("cart-0", Spec::HOUR, (3, END), OPENS);
    node.finish()
}

fn never() -> Node {
    let mut node = with_cart(END, Spec::HOUR);
    node.processes("cart-0", Spec::HOUR, (3, END), OPENS);
    node.finish()
}

/// The directory of the settings holds a kubeconfig for another cluster, which has the same issuer,
/// as most clusters have.
fn copy_elsewhere() -> Node {
    let mut node = with_agent(END);
    let mut claims = node.issued(&key("far-0", Spec::YEAR), Spec::YEAR, 5, 0);
    claims.key.id = Some("key-elsewhere".into());
    (claims.binding.pod, claims.binding.node) = (None, None);
    let copy = HostFile { path: "/opt/far/config", plugin: None, mention: Mention::Configured };
    node.copy(5, copy, Some(claims));
    node.finish()
}

/// The pod of a job reads once, and ends. kubelet leaves its volume.
fn job_ends() -> Node {
    let mut node = with_agent(END);
    node.runs("cart-0", Spec::HOUR, 300);
    node.reads("cart-0", Spec::HOUR, &[4]);
    node.uses.last_mut().expect("it reads").until = 300;
    node.pod_changes(300, "cart-0", |pod: &mut Pod| pod.phase = Phase::Succeeded);
    node.finish()
}

/// The same, and its job is removed soon.
fn job_removed() -> Node {
    let mut node = with_agent(END);
    node.runs("cart-0", Spec::HOUR, 300);
    node.reads("cart-0", Spec::HOUR, &[4]);
    node.uses.last_mut().expect("it reads").until = 300;
    node.pod_changes(300, "cart-0", |pod: &mut Pod| pod.phase = Phase::Succeeded);
    node.pod_gone(360, "cart-0");
    node.observe(361, Observation::Gone(key("cart-0", Spec::HOUR)));
    node.finish()
}

/// A release is removed: the account first, then its pod, which needs its 30 seconds.
fn removed() -> Node {
    let mut node = with_agent(2_000);
    node.cluster.account.change(1_000, None);
    node.runs("cart-0", Spec::HOUR, 1_000);
    let deletion = node.at(1_035).wall;
    node.reads("cart-0", Spec::HOUR, &[4]);
    node.uses.last_mut().expect("it reads").until = 1_000;
    node.pod_changes(1_005, "cart-0", |pod: &mut Pod| pod.deletion = Some(deletion));
    node.pod_gone(1_036, "cart-0");
    node.observe(1_040, Observation::Gone(key("cart-0", Spec::HOUR)));
    node.finish()
}

/// kubelet replaces a token of ten minutes with the second sync after it is due.
fn late_by_a_sync() -> Node {
    let spec = Spec::TEN_MINUTES;
    let mut node = with_agent(1_500);
    node.runs("cart-0", spec, 3);
    for second in [575, 1_150] {
        let _ = node.rotates(&key("cart-0", spec), second);
    }
    node.reads("cart-0", spec, &(4..1_500).step_by(55).collect::<Vec<_>>());
    node.finish()
}

/// The API server restarts when tokens are due, and kubelet gets them four minutes later.
fn away_when_due() -> Node {
    let mut node = Node::new(4_000);
    node.cluster.away.push((2_870, 3_100));
    for pod in [AGENT, "cart-0", "web-0", "db-0"] {
        node.runs(pod, Spec::HOUR, 4_000);
    }
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.finish()
}

/// kubelet restarts, does not sync for a minute and a half, and requests every token again.
fn kubelet_restarts() -> Node {
    let pods = [AGENT, "cart-0", "web-0", "db-0", "queue-0"];
    let mut node = Node::new(END);
    for pod in pods {
        node.runs(pod, Spec::HOUR, 1_500);
    }
    for pod in pods {
        for second in [1_600, 4_500] {
            let _ = node.rotates(&key(pod, Spec::HOUR), second);
        }
    }
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.syncs(|_, second| (1_500..1_590).contains(&second));
    node.finish()
}

fn kernel(node: &mut Node, second: i64, synchronised: bool) {
    let error = Delta::from_millis(if synchronised { 20 } else { 16_000 });
    let seen = KernelClock {
        synchronised,
        max_error: error,
        estimated_error: error,
        leap: Leap::None,
        steering_ppm: 0,
        taken: node.at(second),
    };
    node.observe(second, Observation::Kernel(seen));
}

/// The machine has just booted: its clock is 300 ms off, a time daemon slews it, and the kernel
/// reports for two minutes that nothing synchronises the clock.
fn slews() -> Node {
    let mut node = Node::new(1_800);
    node.up = 20;
    node.ahead.change(-1, 300);
    for (second, ahead) in [(200, 240), (300, 180), (400, 120), (500, 60), (600, 0)] {
        node.ahead.change(second, ahead);
    }
    for second in (3..1_800).step_by(64) {
        kernel(&mut node, second, second > 120);
    }
    node.runs(AGENT, Spec::HOUR, 1_800);
    node.runs("cart-0", Spec::HOUR, 1_800);
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.finish()
}

/// The API server is five seconds ahead: far less than its leeway.
fn within_leeway() -> Node {
    let mut node = Node::new(END);
    node.cluster.servers[0].ahead.change(-1, 5);
    node.runs(AGENT, Spec::HOUR, END);
    node.runs("cart-0", Spec::HOUR, END);
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.finish()
}

/// The signing key is replaced as documented: the old one is kept until all tokens are new.
fn both_keys() -> Node {
    let mut node = Node::new(END);
    let keys = &mut node.cluster.servers[0].keys;
    keys.change(1_000, &["key-1", "key-2"]);
    keys.change(1_600, &["key-2", "key-1"]);
    keys.change(6_000, &["key-2"]);
    node.runs(AGENT, Spec::HOUR, END);
    node.runs("cart-0", Spec::HOUR, END);
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.finish()
}

/// Two API servers get the new key one after the other, and sign with it when both have it.
fn rolling_keys() -> Node {
    let mut node = Node::new(END);
    node.cluster.servers.push(Server::good());
    for (server, second) in node.cluster.servers.iter_mut().zip([1_000, 1_300]) {
        server.keys.change(second, &["key-1", "key-2"]);
        server.keys.change(second + 600, &["key-2", "key-1"]);
        server.keys.change(second + 5_000, &["key-2"]);
    }
    for pod in [AGENT, "cart-0", "web-0"] {
        node.runs(pod, Spec::HOUR, END);
    }
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.finish()
}

/// Pods start while the agent watches kubelet's syncs, and each ends after ten minutes.
fn pods_come_and_go() -> Node {
    const JOBS: [&str; 8] = ["a-0", "b-0", "c-0", "d-0", "e-0", "f-0", "g-0", "h-0"];
    let mut node = Node::new(4_000);
    for pod in [AGENT, "cart-0", "web-0"] {
        node.runs(pod, Spec::HOUR, 4_000);
    }
    let mut ended = Vec::new();
    for (nth, pod) in (0..).zip(JOBS) {
        let (start, end) = (200 + 400 * nth, 800 + 400 * nth);
        node.starts_at(start, pod, Spec::HOUR, end);
        node.pod_changes(end, pod, |pod: &mut Pod| pod.phase = Phase::Succeeded);
        node.pod_gone(end + 30, pod);
        node.observe(end + 31, Observation::Gone(key(pod, Spec::HOUR)));
        ended.push((pod, end));
    }
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    let has_ended = |pod: &str, second| ended.iter().any(|(one, end)| *one == pod && second > *end);
    node.syncs(|key, second| has_ended(&key.pod_uid, second));
    node.finish()
}

/// One of two API servers restarts, and refuses all tokens for some seconds when it is back.
fn api_server_starts() -> Node {
    let mut node = Node::new(END);
    node.cluster.servers.push(Server::good());
    node.cluster.away.push((1_020, 1_030));
    node.cluster.servers[1].starts = Some((1_030, 1_100)); // the agent asks once in that time
    for pod in [AGENT, "cart-0", "web-0"] {
        node.runs(pod, Spec::HOUR, END);
    }
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.finish()
}

/// A virtual cluster's token of ten years.
fn ten_years() -> Node {
    let spec = Spec { life: 10 * 365 * 86_400, ..Spec::HOUR };
    let mut node = with_cart(END, spec);
    node.reads("cart-0", spec, &[4]);
    node.processes("cart-0", spec, (3, END), OPENS);
    node.finish()
}

/// A kubeconfig with a token of a Secret, which does not expire.
fn without_end() -> Node {
    let mut node = with_agent(END);
    let copy = HostFile {
        path: "/etc/cni/net.d/multus.d/multus.kubeconfig",
        plugin: Some(Plugin::Multus),
        mention: Mention::Named,
    };
    node.copy(5, copy, None);
    node.finish()
}

/// calico-node renews its kubeconfig every eight hours.
fn copy_renewed() -> Node {
    let end = 50_000; // the first copy would be late by then
    let mut node = with_agent(end);
    node.pace = 600;
    let spec = Spec { life: 86_400, ..Spec::HOUR };
    node.runs("calico-node-x7k2p", Spec::HOUR, end);
    let copy = HostFile {
        path: "/etc/cni/net.d/calico-kubeconfig",
        plugin: Some(Plugin::Calico),
        mention: Mention::Named,
    };
    for (nth, second) in [5, 28_800].into_iter().enumerate() {
        let mut claims = node.issued(&key("calico-node-x7k2p", spec), spec, second, nth);
        claims.binding.pod = None;
        claims.credential = Some(format!("calico-{nth}"));
        node.copy(second, copy, Some(claims));
    }
    node.finish()
}

/// A plugin that watches its token writes the copy some seconds after each rotation.
fn copy_follows() -> Node {
    let pod = "kube-multus-ds-x7k2p";
    let mut node = with_agent(END);
    node.runs(pod, Spec::HOUR, END);
    let copy = HostFile {
        path: "/etc/cni/net.d/multus.d/multus.kubeconfig",
        plugin: Some(Plugin::Multus),
        mention: Mention::Named,
    };
    for (since, _) in node.lives(pod, Spec::HOUR) {
        let claims = node.token(pod, Spec::HOUR, since);
        node.copy(since + 20, copy, Some(claims));
    }
    node.finish()
}

/// The agent is too busy to report syncs for some minutes.
fn syncs_unseen() -> Node {
    let pods = [AGENT, "cart-0", "web-0", "db-0", "queue-0"];
    let mut node = Node::new(3_000);
    for pod in pods {
        node.runs(pod, Spec::HOUR, 3_000);
    }
    reads_each_minute(&mut node, "cart-0", Spec::HOUR);
    node.syncs(|_, _| false);
    let is_sync = |observation: &Observation| matches!(observation, Observation::Syncs(_));
    let hidden = Delta::from_secs(1_000)..Delta::from_secs(1_400);
    node.observed.retain(|(at, one)| !(is_sync(one) && hidden.contains(at)));
    let until = node.at(1_400).monotonic;
    let volumes = Vec::new();
    node.observe(1_400, Observation::Syncs(SyncsSeen { until, volumes }));
    node.finish()
}

const fn info(code: Code, cause: &'static str) -> Expected {
    Expected::Hint { code, severity: Severity::Info, cause }
}

const QUIET: Expected = Expected::Quiet;

/// The scenarios of the class.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "j-healthy",
        what: "All tokens are good and all clients read them. A client that sends no token, a \
               missing role, and a verifier that is switched off look like this.",
        story: || reads(Spec::HOUR, &every(55), OPENS),
        expected: QUIET,
    },
    Scenario {
        id: "j-slewed",
        what: "A time daemon slews the clock after the boot, and the kernel reports no \
               synchronisation at first.",
        story: slews,
        expected: QUIET,
    },
    Scenario {
        id: "j-restart",
        what: "kubelet restarts and requests all tokens again, and so all are due together later.",
        story: kubelet_restarts,
        expected: QUIET,
    },
    Scenario {
        id: "j-ended",
        what: "A pod has ended, and its volume stays with an expired token.",
        story: job_ends,
        expected: info(Code::PodTerminating, "shop/cart-0"),
    },
    Scenario {
        id: "j-once-and-ends",
        what: "A job reads its token once, ends, and is removed.",
        story: job_removed,
        expected: QUIET,
    },
    Scenario {
        id: "j-terminating",
        what: "A release is removed: its account first, then its pod within its grace period.",
        story: removed,
        expected: QUIET,
    },
    Scenario {
        id: "j-second-sync",
        what: "kubelet replaces a token of ten minutes 95 seconds after it is due.",
        story: late_by_a_sync,
        expected: QUIET,
    },
    Scenario {
        id: "j-away",
        what: "The API server restarts when tokens are due, and kubelet gets them four minutes \
               later.",
        story: away_when_due,
        expected: QUIET,
    },
    Scenario {
        id: "j-starts",
        what: "One of two API servers restarts, and refuses all tokens until it knows their \
               objects.",
        story: api_server_starts,
        expected: QUIET,
    },
    Scenario {
        id: "j-leeway",
        what: "The API server is five seconds ahead, within its leeway.",
        story: within_leeway,
        expected: info(Code::ApiserverSkew, "ahead"),
    },
    Scenario {
        id: "j-both-keys",
        what: "The signing key is replaced as documented: the old one is kept for an hour.",
        story: both_keys,
        expected: QUIET,
    },
    Scenario {
        id: "j-rolling-keys",
        what: "The same with two API servers, which get the key one after the other.",
        story: rolling_keys,
        expected: QUIET,
    },
    Scenario {
        id: "j-jobs",
        what: "Pods of jobs start, and each ends after ten minutes.",
        story: pods_come_and_go,
        expected: QUIET,
    },
    Scenario {
        id: "j-no-end",
        what: "A kubeconfig holds the token of a Secret, which does not expire.",
        story: without_end,
        expected: QUIET,
    },
    Scenario {
        id: "j-ten-years",
        what: "A virtual cluster writes a token of ten years, which a client reads once.",
        story: ten_years,
        expected: QUIET,
    },
    Scenario {
        id: "j-never",
        what: "A pod is connected to the API server and never reads its token.",
        story: never,
        expected: QUIET,
    },
    Scenario {
        id: "j-informer",
        what: "A client only watches: it reads when its watch ends, every ten minutes.",
        story: || reads(Spec::HOUR, &every(600), WATCHES),
        expected: QUIET,
    },
    Scenario {
        id: "j-change",
        what: "A client reads each new token at once, and never again.",
        story: at_each_change,
        expected: QUIET,
    },
    Scenario {
        id: "j-before-end",
        what: "A client reads five minutes before the end of what it has.",
        story: before_each_end,
        expected: Expected::FalseAlarm {
            code: Code::ReaderStale,
            times: 1,
            why: "before it has read again for the first time, nothing tells it from a client that \
                  never does; it sends requests with a token that was replaced",
        },
    },
    Scenario {
        id: "j-hourly",
        what: "A client reads its token for AWS when its credentials end, every hour.",
        story: || reads(Spec::AWS, &every(3_600), OPENS),
        expected: QUIET,
    },
    Scenario {
        id: "j-copy-renewed",
        what: "calico-node renews its kubeconfig every eight hours.",
        story: copy_renewed,
        expected: QUIET,
    },
    Scenario {
        id: "j-copy-follows",
        what: "A plugin writes its kubeconfig again 20 seconds after each rotation.",
        story: copy_follows,
        expected: QUIET,
    },
    Scenario {
        id: "j-copy-elsewhere",
        what: "A kubeconfig for another cluster, whose keys this API server does not have.",
        story: copy_elsewhere,
        expected: QUIET,
    },
    Scenario {
        id: "j-gap",
        what: "The agent is stopped for some minutes and sees no syncs of kubelet.",
        story: syncs_unseen,
        expected: QUIET,
    },
];
