//! Lines of real kubelets, log files, Events, and what somebody may write into a log.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokenwatch_core::base::secrecy::looks_like_a_token;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::replay::written;
use tokenwatch_core::world::kubelet::errors::{
    ErrorCause, ErrorPod, ErrorScope, ErrorSource, KubeletError,
};
use tokenwatch_core::world::observation::{Observation, SourceState};
use tokio::sync::mpsc::channel;

use super::events::run_at;
use super::files::Files;
use super::found::{Found, found};
use super::gather::Gather;
use super::line::line;
use crate::clocks;
use crate::kubernetes::fake_server::{FakeServer, Reply, status};
use crate::sources::logs::LogFiles;
use crate::sources::logs::follow::{Follower, Look};
use crate::sources::logs::places::places;
use crate::sources::object_watch::Pace;

const UID: &str = "0c0d1f2e-1111-4222-8333-444455556666";
const AWAY: &str = "Post \\\"https://10.0.0.1:6443/api/v1/namespaces/shop/serviceaccounts/cart/\
                    token\\\": dial tcp 10.0.0.1:6443: connect: connection refused";

fn cache_key(audiences: &str, lifetime: &str) -> String {
    format!(
        "\\\"cart\\\"/\\\"shop\\\"/[]string{audiences}/{lifetime}/v1.BoundObjectReference{{Kind:\
         \\\"Pod\\\", APIVersion:\\\"v1\\\", Name:\\\"cart-0\\\", UID:\\\"{UID}\\\"}}"
    )
}

fn not_updated(time: &str, audiences: &str) -> String {
    let key = cache_key(audiences, "3607");
    format!(
        "E{time}    1234 token_manager.go:121] \"Couldn't update token\" err=\"{AWAY}\" \
         cacheKey=\"{key}\""
    )
}

/// The request is forbidden by the node authorizer, which quotes the node's name so.
fn denied(quote: char) -> String {
    let error = format!(
        "serviceaccounts \"cart\" is forbidden: User \"system:node:n1\" cannot create resource \
         \"serviceaccounts/token\" in API group \"\" in the namespace \"shop\": no relationship \
         found between node {quote}n1{quote} and this object"
    );
    not_updated("1128 04:17:00.123456", "(nil)")
        .replace(&format!("\"{AWAY}\""), &format!("{error:?}"))
}

fn not_mounted(error: &str) -> String {
    format!(
        "E1128 04:17:00.123456    1234 nestedpendingoperations.go:348] Operation for \
         \"{{volumeName:kubernetes.io/projected/{UID}-kube-api-access-x podName:{UID} \
         nodeName:}}\" failed. No retries permitted until 2026-11-28 04:17:01.5 +0000 UTC \
         m=+512.7 (durationBeforeRetry 500ms). Error: {error}"
    )
}

fn mount_error(error: &str) -> String {
    format!(
        "MountVolume.SetUp failed for volume \"kube-api-access-x\" (UniqueName: \
         \"kubernetes.io/projected/{UID}-kube-api-access-x\") pod \"cart-0\" (UID: \"{UID}\") : \
         {error}"
    )
}

fn found_in(text: &str) -> Option<Found> {
    line(text.as_bytes()).as_ref().and_then(found)
}

fn by_uid() -> ErrorPod {
    ErrorPod::Uid(UID.into())
}

fn by_name() -> ErrorPod {
    ErrorPod::Name { namespace: "shop".into(), name: "cart-0".into() }
}

fn volume(name: &str) -> ErrorScope {
    ErrorScope::Volume(name.into())
}

fn request(audiences: &[&str]) -> ErrorScope {
    let audiences = audiences.iter().map(|audience| (*audience).to_owned()).collect();
    ErrorScope::Request { audiences, lifetime: Delta::from_secs(3_607) }
}

#[test]
fn each_line_about_a_token_names_its_pod_and_its_cause() {
    let fetch = "failed to fetch token: serviceaccounts \"cart\" not found";
    let old = format!("{:?}", mount_error(fetch));
    let table = [
        (
            not_updated("1128 04:17:00.123456", "(nil)"),
            (by_uid(), request(&[]), ErrorCause::ApiServerAway),
        ),
        (
            not_updated("1128 04:17:00.123456", "{\\\"a\\\", \\\"b\\\"}"),
            (by_uid(), request(&["a", "b"]), ErrorCause::ApiServerAway),
        ),
        (
            not_mounted(&mount_error(fetch)),
            (by_uid(), volume("kube-api-access-x"), ErrorCause::AccountMissing),
        ),
        // What the node authorizer answers in Kubernetes 1.34, and in older releases.
        (denied('\''), (by_uid(), request(&[]), ErrorCause::NodeAuthorizer)),
        (denied('"'), (by_uid(), request(&[]), ErrorCause::NodeAuthorizer)),
        (not_mounted(&old), (by_uid(), volume("kube-api-access-x"), ErrorCause::AccountMissing)),
        (
            "E1128 04:17:00.1 1 projected.go:196] Error preparing data for projected volume tokens \
             for pod shop/cart-0: configmap \"kube-root-ca.crt\" not found"
                .to_owned(),
            (by_name(), volume("tokens"), ErrorCause::SourceMissing),
        ),
        (
            "E1128 04:17:00.1 1 desired_state_of_world_populator.go:312] \"Error processing \
             volume\" err=\"error processing PVC shop/data: PVC is being deleted\" \
             pod=\"shop/cart-0\" volumeName=\"data\""
                .to_owned(),
            (by_name(), ErrorScope::Pod { volume: "data".into() }, ErrorCause::ClaimDeleted),
        ),
    ];
    for (text, (pod, of, cause)) in table {
        let found = found_in(&text).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((found.pod, found.of, found.cause), (pod, of, cause), "{text}");
    }
}

/// Lines that have a part of such a line.
#[test]
fn other_lines_show_nothing() {
    let other_kind = mount_error("x").replace("projected", "csi");
    let no_pod = not_updated("1128 04:17:00.1", "(nil)").replace("UID", "Uid");
    for text in [
        not_mounted(&other_kind),
        no_pod,
        not_updated("1128 04:17:00.1", "(nil)").replacen("\"Couldn't", "Couldn't", 1),
        not_updated("1128 04:17:00.1", "(nil)").replace("/3607/", "/long/"),
        "Couldn't update token".to_owned(),
        mount_error("x"),
        "E1128 04:17:00.1 1 k.go:1] \"Error syncing pod, skipping\" err=\"x\" pod=\"shop/cart-0\" \
         podUID=\"u\""
            .to_owned(),
        "E1128 04:17:00.1 1 k.go:1] \"Unable to attach or mount volumes for pod; skipping pod\" \
         err=\"unmounted volumes=[data]: context deadline exceeded\" pod=\"shop/cart-0\""
            .to_owned(),
        "time=\"2026-11-28T04:17:00Z\" level=error msg=\"Couldn't update token\"".to_owned(),
        String::new(),
    ] {
        assert_eq!(found_in(&text), None, "{text}");
    }
}

#[test]
fn json_shows_what_text_shows() {
    let key = cache_key("(nil)", "3607");
    let json =
        format!(r#"{{"ts":1.5,"msg":"Couldn't update token","err":"{AWAY}","cacheKey":"{key}"}}"#);
    assert_eq!(found_in(&json), found_in(&not_updated("1128 04:17:00.1", "(nil)")));
}

/// A node with a log file.
struct Node {
    root: tempfile::TempDir,
    follower: Follower<Files>,
    config: LogFiles,
}

const PATH: &str = "/var/lib/rancher/rke2/agent/logs/kubelet.log";

impl Node {
    fn new(path: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let prefix = root.path().to_owned();
        fs::create_dir_all(prefix.join(&PATH[1..]).parent().unwrap()).unwrap();
        let config = LogFiles { prefix, paths: vec![path.into()] };
        Self { root, follower: Follower::new(Files::new(), config.clone()), config }
    }

    fn path(&self) -> PathBuf {
        self.root.path().join(&PATH[1..])
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path()).unwrap();
        file.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    fn look(&mut self) -> Look {
        self.follower.look(&places(&self.config))
    }

    fn errors(&mut self) -> Vec<KubeletError> {
        errors(self.look().seen)
    }
}

fn errors(seen: Option<Observation>) -> Vec<KubeletError> {
    match seen {
        Some(Observation::KubeletErrors(errors)) => errors,
        None => Vec::new(),
        other => panic!("{other:?}"),
    }
}

/// klog's form of a time on a node whose zone is so many hours ahead of UTC.
fn klog(at: Wall, hours: i64) -> String {
    let text = (at + Delta::from_secs(hours * 3_600)).rfc3339();
    format!("{}{} {}.5", &text[5..7], &text[8..10], &text[11..19])
}

#[test]
fn errors_from_before_the_agent_count_with_their_time() {
    for hours in [0, 5, -9] {
        let mut node = Node::new(PATH);
        let now = clocks::now().wall;
        let ago = |secs| klog(now - Delta::from_secs(secs), hours);
        node.append(&not_updated(&ago(400), "(nil)"));
        node.append(&format!("I{} 1 kubelet.go:1] \"SyncLoop\"", ago(2)));
        let errors = node.errors();
        let [error] = &errors[..] else { panic!("{errors:?}") };
        let age = (now - error.at).as_secs();
        assert!((398..=402).contains(&age), "{hours}: {age} s");
        assert_eq!((error.by, error.cause), (ErrorSource::Log, ErrorCause::ApiServerAway));
        assert_eq!(node.errors(), [], "each is reported once");
    }
}

/// What lines, rotations and the runtime's prefix do is tested for the logs of an API server, which
/// are read with the same means.
#[test]
fn a_log_is_followed_through_a_rotation_and_a_prefix() {
    let mut node = Node::new("/var/lib/rancher/rke2/agent/logs/*.log");
    node.append("I1128 04:17:00.1 1 kubelet.go:1] \"Starting\"");
    assert_eq!(node.errors(), []);
    let time = klog(clocks::now().wall, 0);
    node.append(&not_updated(&time, "(nil)"));
    fs::rename(node.path(), node.path().with_extension("old")).unwrap();
    let line = not_mounted(&mount_error("failed to fetch token: Unauthorized"));
    node.append(&format!("2026-11-28T04:17:00.123456789Z stderr F {line}"));
    let causes: Vec<_> = node.errors().into_iter().map(|error| error.cause).collect();
    assert_eq!(causes, [ErrorCause::Credentials, ErrorCause::ApiServerAway]);
}

#[test]
fn a_log_that_is_missing_is_reported() {
    let text = Node::new(PATH).look().trouble.unwrap();
    assert!(text.contains("there is no file /var/lib/rancher/rke2"), "{text}");
    let text = Node::new("/var/log/*.log").look().trouble.unwrap();
    assert!(text.contains("(kubelet.logs); the agent does not see why kubelet"), "{text}");
}

#[test]
fn a_report_is_bounded() {
    let mut node = Node::new(PATH);
    node.append("");
    assert_eq!(node.errors(), []);
    for nth in 0..3_000 {
        let uid = format!("{nth:08x}-1111-4222-8333-444455556666");
        node.append(&not_updated("1128 04:17:00.1", "(nil)").replace(UID, &uid));
    }
    assert_eq!(node.errors().len(), 2_048);
}

#[test]
fn a_pod_with_many_errors_hides_none_of_another() {
    let mut node = Node::new(PATH);
    node.append("");
    for nth in 0..3_000 {
        node.append(&not_updated("1128 04:17:00.1", &format!("{{\\\"a{nth}\\\"}}")));
    }
    let other = "0000000a-1111-4222-8333-444455556666";
    node.append(&not_updated("1128 04:17:00.1", "(nil)").replace(UID, other));
    let errors = node.errors();
    let of_other = errors.iter().filter(|error| error.pod == ErrorPod::Uid(other.to_owned()));
    assert_eq!((errors.len(), of_other.count()), (9, 1));
}

fn event(kind: &str, host: &str, message: &str) -> String {
    let event = serde_json::json!({"type": kind, "object": {
        "metadata": {"resourceVersion": "8"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "cart-0", "uid": UID},
        "reason": "FailedMount", "message": message, "lastTimestamp": "2026-11-28T04:17:00Z",
        "source": {"component": "kubelet", "host": host}, "eventTime": null,
    }});
    format!("{event}\n")
}

#[tokio::test]
async fn events_of_pods_on_this_node_are_reported() {
    let error = "MountVolume.SetUp failed for volume \"tokens\" : configmap \"ca\" not found";
    let unable = "Unable to attach or mount volumes: unmounted volumes=[tokens]: timed out";
    let list = r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#.to_owned();
    let replies = vec![
        Reply::Whole(403, None, status(403, "forbidden")),
        Reply::Whole(200, None, list),
        Reply::Open(vec![
            event("ADDED", "n2", error),
            event("ADDED", "n1", unable),
            event("BOOKMARK", "n1", ""),
            event("DELETED", "n1", error),
            event("MODIFIED", "n1", error),
        ]),
    ];
    let server = FakeServer::start(replies).await;
    let (sender, mut seen) = channel(16);
    let pace = Pace { pause: Duration::from_millis(1), ..Pace::default() };
    tokio::spawn(run_at(server.client(), "n1".into(), sender, pace));
    let mut degraded = None;
    let errors = loop {
        match seen.recv().await.unwrap() {
            Observation::KubeletErrors(errors) => break errors,
            Observation::Source(SourceState { degraded: Some(why), .. }) => degraded = Some(why),
            Observation::Source(_) => {}
            other => panic!("{other:?}"),
        }
    };
    let why = degraded.unwrap();
    assert!(why.contains("kubernetes.pod_events needs list and watch on events"), "{why}");
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((&error.pod, &error.of), (&by_uid(), &volume("tokens")));
    assert_eq!((error.cause, error.by), (ErrorCause::SourceMissing, ErrorSource::Event));
    assert_eq!(error.at.rfc3339(), "2026-11-28T04:17:00Z");
    let path = &server.requests()[2].path;
    assert!(path.contains("reason%3DFailedMount&watch=true"), "{path}");
    assert!(path.contains("resourceVersion=7"), "{path}");
}

fn token() -> impl Strategy<Value = String> {
    "eyJ[a-zA-Z0-9_-]{20,40}\\.eyJ[a-zA-Z0-9_-]{20,40}\\.[a-zA-Z0-9_-]{20,40}"
}

/// A line of a kubelet with something else at some place, or anything at all.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let key = cache_key("(nil)", "3607");
    let real = prop_oneof![
        Just(not_updated("1128 04:17:00.123456", "{\\\"a\\\"}")),
        Just(not_mounted(&mount_error("failed to fetch token: x"))),
        Just(format!(r#"{{"ts":1,"msg":"Couldn't update token","err":"x","cacheKey":"{key}"}}"#)),
        Just(
            "E1128 04:17:00.1 1 p.go:1] Error preparing data for projected volume v for pod \
              shop/cart-0: x"
                .to_owned()
        ),
    ];
    let put = prop_oneof![token().prop_map(String::into_bytes), vec(any::<u8>(), 0..20)];
    let parts = ["cart-0", "shop", "x", UID, "3607", "1128", "\\\"a\\\"", "err=", "kube-api", ": "];
    let changed =
        (real, proptest::sample::select(parts.to_vec()), put).prop_map(|(line, part, put)| {
            let at = line.find(part).unwrap_or(line.len() / 2);
            let rest = line.get(at + part.len()..).unwrap_or_default();
            [&line.as_bytes()[..at], &put, rest.as_bytes()].concat()
        });
    prop_oneof![4 => changed, 1 => vec(any::<u8>(), 0..200)]
}

proptest! {
    /// Whatever a log has, nothing that looks like a token leaves the parser, and what is kept of a
    /// text is short.
    #[test]
    fn no_line_makes_it_fail_or_keep_a_token(lines in vec(any_line(), 1..20)) {
        let mut gather = Gather::default();
        for line in &lines {
            gather.line(line);
        }
        gather.settle(ErrorSource::Log, Wall::from_secs(1_800_000_000));
        let errors = errors(gather.report());
        let kept = format!("{errors:?}");
        prop_assert!(!looks_like_a_token(&kept), "{kept}");
        prop_assert!(errors.iter().all(|error| error.text.chars().count() <= 512));
    }

    /// A recording hides what looks like a token, too: of what the agent keeps it hides nothing, so
    /// that a replay quotes what the agent quoted.
    #[test]
    fn a_recording_has_each_error_as_the_agent_keeps_it(lines in vec(any_line(), 1..20)) {
        let mut gather = Gather::default();
        for line in &lines {
            gather.line(line);
        }
        gather.settle(ErrorSource::Log, Wall::from_secs(1_800_000_000));
        let errors = errors(gather.report());
        let line = written(&errors).unwrap();
        let read: Vec<KubeletError> = serde_json::from_slice(&line).unwrap();
        prop_assert_eq!(read, errors);
    }
}
