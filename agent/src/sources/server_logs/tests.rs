//! Lines of real API servers, rotations, and what somebody may write into a log.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use tokenwatch_core::base::secrecy::looks_like_a_token;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::cluster::AccountName;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::refusals::{
    Accepted, AcceptedAccount, AcceptedPod, RefusalReason, ServerLogSeen, Suspect,
};
use tokenwatch_core::world::tokens::GenerationId;

use super::follow::ServerLogs;
use super::logged::logged;
use super::{Audited, Logged};
use crate::sources::logs::LogFiles;
use crate::sources::logs::follow::{Follower, Look};
use crate::sources::logs::lines::{Lines, MAX_LINE};
use crate::sources::logs::places::places;

pub(super) const EXPIRED: &str = "E1128 04:17:00.123456       1 authentication.go:75] \"Unable to \
                       authenticate the request\" err=\"[invalid bearer token, service account \
                       token has expired]\"";
pub(super) const REFUSED_EVENT: &str = concat!(
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","#,
    r#""auditID":"a","stage":"ResponseStarted","requestURI":"/api/v1/pods","#,
    r#""verb":"list","user":{},"sourceIPs":["203.0.113.9","10.0.0.7"],"#,
    r#""userAgent":"x","objectRef":{"resource":"pods"},"#,
    r#""responseStatus":{"metadata":{},"status":"Failure","#,
    r#""message":"Authentication failed, attempted: bearer","code":401}}"#,
);
pub(super) const ACCEPTED_EVENT: &str = concat!(
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","#,
    r#""stage":"ResponseComplete","#,
    r#""requestReceivedTimestamp":"2026-11-28T04:17:00.100000Z","#,
    r#""stageTimestamp":"2026-11-28T04:17:00.200000Z","#,
    r#""user":{"username":"system:serviceaccount:shop:cart","uid":"u","#,
    r#""groups":["system:serviceaccounts"],"#,
    r#""extra":{"authentication.kubernetes.io/credential-id":["JTI=b7f3"],"#,
    r#""authentication.kubernetes.io/node-name":["n1"],"#,
    r#""authentication.kubernetes.io/pod-name":["cart-0"],"#,
    r#""authentication.kubernetes.io/pod-uid":["0f-1"]}},"sourceIPs":["10.0.0.7"],"#,
    r#""userAgent":"app/1.0 (linux/amd64)","#,
    r#""responseStatus":{"code":200},"#,
    r#""annotations":{"authentication.k8s.io/stale-token":"subject: system:serviceacc"#,
    r#"ount:shop:cart, seconds after warning threshold: 75"}}"#,
);

fn pod(namespace: &str, name: &str) -> Logged {
    Logged::Named(Suspect::Pod { namespace: namespace.into(), name: name.into() })
}

fn account(namespace: &str, name: &str) -> Logged {
    let account = AccountName { namespace: namespace.into(), name: name.into() };
    Logged::Named(Suspect::Account(account))
}

/// Probes without credentials and expired certificates are refused, too: no token is.
#[test]
fn only_refused_tokens_count() {
    let attempted = "Authentication failed, attempted: bearer";
    let counts = |message: &str| logged(REFUSED_EVENT.replace(attempted, message).as_bytes());
    let others = ["Authentication failed, attempted: access_token", "Unauthorized", ""];
    for message in [attempted].into_iter().chain(others) {
        assert!(counts(message).is_some(), "{message}");
    }
    for message in
        ["Authentication failed, no credentials provided", "Authentication failed, attempted: x509"]
    {
        assert_eq!(counts(message), None, "{message}");
    }
}

#[test]
fn a_line_of_the_log_has_its_reason_or_its_name() {
    let refused = |reason| Some(Logged::Refused(reason, None));
    let without_time = |logged: Logged| match logged {
        Logged::Refused(reason, _) => Logged::Refused(reason, None),
        other => other,
    };
    let table = [
        (EXPIRED.to_owned(), refused(RefusalReason::Expired)),
        (
            "E1128 04:17:00.1 1 authentication.go:80] unable to match the audience: [a] , \
             accepted: [b]"
                .to_owned(),
            refused(RefusalReason::Audience),
        ),
        (
            concat!(
                r#"{"ts":1764303420123.5,"caller":"filters/authentication.go:75","#,
                r#""msg":"Unable to authenticate the request","err":"[invalid bearer token, "#,
                r#"service account token has been invalidated]"}"#,
            )
            .to_owned(),
            refused(RefusalReason::Invalidated),
        ),
        (
            "I1128 04:17:00.1 1 claims.go:179] Could not retrieve bound pod shop/cart-0 for \
             service account shop/cart: pods \"cart-0\" not found"
                .to_owned(),
            Some(pod("shop", "cart-0")),
        ),
        (
            "I1128 04:17:00.1 1 claims.go:188] Pod UID no longer matches shop/cart-0: \"a\" != \
             \"b\""
                .to_owned(),
            None, // another pod has that name now
        ),
        (
            "I1128 04:17:00.1 1 claims.go:143] Could not retrieve service account shop/cart: x"
                .to_owned(),
            Some(account("shop", "cart")),
        ),
        (
            r#"{"ts":1,"caller":"a","msg":"Service account has been deleted shop/cart","v":4}"#
                .to_owned(),
            Some(account("shop", "cart")),
        ),
        // kubelet's own server, in one process with the API server (k3s).
        (
            "E1128 04:17:00.1 1 server.go:376] \"Unable to authenticate the request due to an \
             error\" err=\"x\""
                .to_owned(),
            None,
        ),
        ("I1128 04:17:00.1 1 claims.go:1] Could not retrieve bound pod a b".to_owned(), None),
        ("Unable to authenticate the request".to_owned(), None),
        (String::new(), None),
        ("{".to_owned(), None),
    ];
    for (line, expected) in table {
        assert_eq!(logged(line.as_bytes()).map(without_time), expected, "{line}");
    }
}

#[test]
fn an_audit_event_shows_an_address_or_a_user() {
    let address = Some([10, 0, 0, 7].into());
    let refused = Logged::Audited(Audited { address, timed: None });
    assert_eq!(logged(REFUSED_EVENT.as_bytes()), Some(refused));
    let user = AcceptedAccount {
        account: AccountName { namespace: "shop".into(), name: "cart".into() },
        pod: Some(AcceptedPod { name: "cart-0".into(), uid: "0f-1".into() }),
        node: Some("n1".into()),
        generation: Some(GenerationId::of_jti("b7f3")),
        stale_for: Some(Delta::from_secs(75)),
    };
    let at = Some(Wall::from_nanos(1_795_839_420_100_000_000));
    let accepted = Accepted { address, user: Some(user), at, agent: Some("app/1.0".into()) };
    assert_eq!(logged(ACCEPTED_EVENT.as_bytes()), Some(Logged::Accepted(accepted)));
    let kubelet = ACCEPTED_EVENT.replace("serviceaccount:shop:cart\"", "node:n1\"");
    let other = Accepted { address, user: None, at: None, agent: None };
    assert_eq!(logged(kubelet.as_bytes()), Some(Logged::Accepted(other.clone())));
    // The end of a watch shows which token its sender had at the begin.
    let watch = ACCEPTED_EVENT.replace("04:17:00.200000Z", "04:23:00.200000Z");
    let Some(Logged::Accepted(Accepted { user: Some(user), .. })) = logged(watch.as_bytes()) else {
        panic!("{watch}");
    };
    assert_eq!((user.generation, user.stale_for), (None, None));
    let mapped = REFUSED_EVENT.replace("10.0.0.7", "::ffff:10.0.0.7");
    assert_eq!(logged(mapped.as_bytes()), logged(REFUSED_EVENT.as_bytes()));
    let nowhere = REFUSED_EVENT.replace("10.0.0.7", "nowhere");
    let unnamed = Logged::Audited(Audited { address: None, timed: None });
    assert_eq!(logged(nowhere.as_bytes()), Some(unnamed));
    let anonymous = kubelet.replace("system:node:n1", "system:anonymous");
    assert_eq!(logged(anonymous.as_bytes()), None);
    // An extension API server refused an authenticated request.
    let behind = REFUSED_EVENT.replace("\"user\":{}", "\"user\":{\"username\":\"someone\"}");
    assert_eq!(logged(behind.as_bytes()), Some(Logged::Accepted(other)));
    for other in ["RequestReceived", "ResponseComplete"] {
        assert_eq!(logged(REFUSED_EVENT.replace("ResponseStarted", other).as_bytes()), None);
    }
}

/// What nobody can be named by is left out.
#[test]
fn names_that_are_none_are_not_kept() {
    let table = [
        ("cart-0", "eyJhbGciOiJSUzI1NiJ9"),
        ("cart-0", "a/b"),
        ("cart-0", ""),
        ("0f-1", "not a uid"),
    ];
    for (good, bad) in table {
        let line = ACCEPTED_EVENT.replace(good, bad);
        let Some(Logged::Accepted(Accepted { user: Some(user), .. })) = logged(line.as_bytes())
        else {
            panic!("{line}");
        };
        assert_eq!(user.pod, None, "{bad}");
    }
}

fn lines_of(text: &[u8], cut: usize) -> Vec<String> {
    let (mut lines, mut all) = (Lines::new(), Vec::new());
    for chunk in text.chunks(cut) {
        lines.push(chunk, |line| all.push(String::from_utf8_lossy(line).into_owned()));
    }
    all
}

#[test]
fn lines_are_the_same_however_they_are_cut() {
    let text = b"plain\n\
        2026-11-28T04:17:00.123456789Z stderr F whole\n\
        2026-11-28T04:17:00.123456789Z stderr P one \n\
        2026-11-28T04:17:00.123456789Z stdout P other \n\
        2026-11-28T04:17:00.123456789Z stderr P two \n\
        2026-11-28T04:17:00.123456789Z stdout F end\n\
        2026-11-28T04:17:00.123456789Z stderr F three\n\
        2026-11-28T04:17:00.123456789Z stderr X no tag\n\
        cut";
    let expected = [
        "plain",
        "whole",
        "other end",
        "one two three",
        "2026-11-28T04:17:00.123456789Z stderr X no tag",
    ];
    for cut in 1..=text.len() {
        assert_eq!(lines_of(text, cut), expected, "cut at {cut}");
    }
}

#[test]
fn a_line_that_is_too_long_is_skipped_to_its_end() {
    let long = "x".repeat(MAX_LINE + 1);
    let part = "y".repeat(MAX_LINE / 2);
    let cri = |tag: &str, text: &str| format!("2026-11-28T04:17:00.123456789Z stderr {tag} {text}");
    let text = [
        long,
        "a".to_owned(),
        cri("P", &part),
        cri("P", &part),
        cri("P", &part),
        cri("F", "end"),
        cri("F", "b"),
    ];
    for cut in [1_000, 65_536, 1 << 20] {
        assert_eq!(lines_of((text.join("\n") + "\n").as_bytes(), cut), ["a", "b"], "{cut}");
    }
}

/// A control-plane node with logs.
struct Node {
    root: tempfile::TempDir,
    follower: Follower<ServerLogs>,
    config: LogFiles,
}

impl Node {
    fn new(pattern: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("var/log/pods/api-1/api")).unwrap();
        let prefix = root.path().to_owned();
        let config = LogFiles { prefix, paths: vec![pattern.into()] };
        Self { root, follower: Follower::new(ServerLogs::new(), config.clone()), config }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.path().join("var/log/pods/api-1/api").join(file)
    }

    fn append(&self, file: &str, text: &str) {
        let path = self.path(file);
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// `count` requests are refused.
    fn refuse(&self, file: &str, count: usize) {
        self.append(file, &format!("{EXPIRED}\n").repeat(count));
    }

    fn look(&mut self) -> Look {
        self.follower.look(&places(&self.config))
    }

    /// What the next look shows.
    fn seen(&mut self) -> Option<ServerLogSeen> {
        match self.look().seen? {
            Observation::ServerLog(seen) => Some(seen),
            other => panic!("{other:?}"),
        }
    }

    /// Number of refused requests that the next look shows.
    fn refused(&mut self) -> u64 {
        let seen = self.seen().unwrap_or_default();
        seen.reasons.iter().map(|(_, count)| count).sum()
    }
}

const ONE: &str = "/var/log/pods/api-1/api/0.log";
const ALL: &str = "/var/log/pods/api-*/*/*.log";

#[test]
fn what_was_there_before_the_agent_is_not_reported() {
    let mut node = Node::new(ALL);
    node.refuse("0.log", 3);
    assert_eq!(node.refused(), 0);
    node.refuse("0.log", 2);
    assert_eq!(node.refused(), 2);
    assert_eq!(node.refused(), 0, "each is reported once");
    node.append("0.log", &EXPIRED[..40]);
    assert_eq!(node.refused(), 0);
    node.append("0.log", &format!("{}\n", &EXPIRED[40..]));
    assert_eq!(node.refused(), 1, "a line that was written in two parts");
}

#[test]
fn a_start_within_a_line_shows_nothing_of_that_line() {
    let mut node = Node::new(ONE);
    node.append("0.log", "E1128 04:17:00.1 1 a.go:1] x ");
    assert_eq!(node.refused(), 0);
    node.append("0.log", &format!("{EXPIRED}\n"));
    node.refuse("0.log", 1);
    assert_eq!(node.refused(), 1);
}

#[test]
fn a_rotation_by_rename_loses_and_repeats_nothing() {
    for pattern in [ONE, ALL, "/var/log/pods/api-1/api/0.log*"] {
        let mut node = Node::new(pattern);
        node.refuse("0.log", 5);
        assert_eq!(node.refused(), 0);
        node.refuse("0.log", 2);
        fs::rename(node.path("0.log"), node.path("0.log.20261128-041700")).unwrap();
        node.refuse("0.log.20261128-041700", 1);
        node.refuse("0.log", 4);
        assert_eq!(node.refused(), 7, "{pattern}");
        assert_eq!(node.refused(), 0, "{pattern}");
        node.refuse("0.log", 1);
        assert_eq!(node.refused(), 1, "{pattern}");
    }
}

/// The API server rotates its audit log itself: `audit.log` becomes `audit-<time>.log`.
#[test]
fn a_renamed_file_that_matches_is_not_read_again() {
    let mut node = Node::new(ALL);
    node.refuse("audit.log", 1);
    assert_eq!(node.refused(), 0);
    node.refuse("audit.log", 2);
    assert_eq!(node.refused(), 2);
    fs::rename(node.path("audit.log"), node.path("audit-2026-11-28T04-17-00.000.log")).unwrap();
    assert_eq!(node.refused(), 0);
    node.refuse("audit.log", 3);
    assert_eq!(node.refused(), 3);
}

#[test]
fn a_truncated_file_is_read_from_its_beginning() {
    let mut node = Node::new(ONE);
    node.refuse("0.log", 9);
    assert_eq!(node.refused(), 0);
    fs::write(node.path("0.log"), "").unwrap();
    node.refuse("0.log", 2);
    assert_eq!(node.refused(), 2);
}

/// kubelet starts the container again, and its log is a new file.
#[test]
fn a_new_file_is_read_from_its_beginning() {
    let mut node = Node::new(ALL);
    node.refuse("0.log", 1);
    assert_eq!(node.refused(), 0);
    node.refuse("1.log", 2);
    assert_eq!(node.refused(), 2);
    fs::remove_file(node.path("0.log")).unwrap();
    assert_eq!(node.refused(), 0);
    assert!(node.look().trouble.is_none());
}

#[test]
fn a_log_that_is_missing_is_reported() {
    let text = |node: &mut Node| node.look().trouble.unwrap_or_default();
    let mut node = Node::new(ALL);
    assert!(text(&mut node).contains("no file matches /var/log/pods/api-*/*/*.log"));
    let mut node = Node::new(ONE);
    assert!(text(&mut node).contains("there is no file /var/log/pods/api-1/api/0.log"));
    node.refuse("0.log", 1);
    assert_eq!(text(&mut node), "");
    fs::create_dir(node.path("1.log")).unwrap();
    let mut node = Node::new(ALL);
    fs::create_dir(node.path("0.log")).unwrap();
    assert!(text(&mut node).contains("no regular file"), "{}", text(&mut node));
}

/// A link leads to where it leads on the host, and not out of its mount.
#[test]
fn links_stay_on_the_host() {
    let mut node = Node::new("/var/log/containers/*.log");
    let links = node.root.path().join("var/log/containers");
    fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink(ONE, links.join("api.log")).unwrap();
    node.refuse("0.log", 1);
    assert_eq!(node.refused(), 0);
    node.refuse("0.log", 2);
    assert_eq!(node.refused(), 2);
}

#[test]
fn a_report_is_bounded_and_counts_all() {
    let mut node = Node::new(ONE);
    node.append("0.log", "\n");
    assert_eq!(node.refused(), 0);
    let event = |nth: u32| {
        let [_, a, b, c] = nth.to_be_bytes();
        REFUSED_EVENT.replace("10.0.0.7", &format!("10.{a}.{b}.{c}")) + "\n"
    };
    node.append("0.log", &(0..1_000).map(event).collect::<String>());
    let seen = node.seen().unwrap();
    let named: u64 = seen.refused.iter().map(|(_, count)| count).sum();
    assert_eq!((seen.refused.len(), named + seen.others), (64, 1_000));
}

#[test]
fn a_user_is_reported_once_in_a_while() {
    let mut node = Node::new(ONE);
    node.append("0.log", "\n");
    let _ = node.look();
    node.append("0.log", &format!("{ACCEPTED_EVENT}\n").repeat(100));
    assert_eq!(node.seen().unwrap().accepted.len(), 1);
    node.append("0.log", &format!("{ACCEPTED_EVENT}\n"));
    assert_eq!(node.seen(), None);
    // With another token it is another report.
    node.append("0.log", &format!("{}\n", ACCEPTED_EVENT.replace("b7f3", "c9")));
    assert_eq!(node.seen().unwrap().accepted.len(), 1);
}

pub(super) fn token() -> impl Strategy<Value = String> {
    "eyJ[a-zA-Z0-9_-]{20,40}\\.eyJ[a-zA-Z0-9_-]{20,40}\\.[a-zA-Z0-9_-]{20,40}"
}

/// A line of an API server with something else at some place, or anything at all.
pub(super) fn line() -> impl Strategy<Value = Vec<u8>> {
    let real = prop_oneof![
        Just(EXPIRED.to_owned()),
        Just(REFUSED_EVENT.to_owned()),
        Just(ACCEPTED_EVENT.to_owned()),
        Just("I1128 04:17:00.1 1 a.go:1] Could not retrieve bound pod shop/cart-0 f".to_owned()),
    ];
    let put = prop_oneof![token().prop_map(String::into_bytes), vec(any::<u8>(), 0..20)];
    let parts = ["cart-0", "shop", "cart", "b7f3", "0f-1", "10.0.0.7", "token", "system:"];
    let changed =
        (real, proptest::sample::select(parts.to_vec()), put).prop_map(|(line, part, put)| {
            let at = line.find(part).unwrap_or(line.len() / 2);
            let rest = line.get(at + part.len()..).unwrap_or_default();
            [&line.as_bytes()[..at], &put, rest.as_bytes()].concat()
        });
    prop_oneof![4 => changed, 1 => vec(any::<u8>(), 0..200)]
}

proptest! {
    /// Whatever a log has, nothing that looks like a token leaves the parser.
    #[test]
    fn no_line_makes_it_fail_or_keep_a_token(lines in vec(line(), 1..20), cut in 1..400usize) {
        let (mut reader, mut seen) = (Lines::new(), Vec::new());
        let text: Vec<u8> = lines.join(&b'\n');
        for chunk in text.chunks(cut) {
            reader.push(chunk, |line| seen.extend(logged(line)));
        }
        let kept = format!("{seen:?}");
        prop_assert!(!looks_like_a_token(&kept), "{kept}");
    }

    /// Nesting does not exhaust the stack.
    #[test]
    fn nested_json_is_passed_over(depth in 1..50_000usize) {
        let nested = "[".repeat(depth) + &"]".repeat(depth);
        let line = REFUSED_EVENT.replacen("\"userAgent\":\"x\"", &format!("\"a\":{nested}"), 1);
        let _ = logged(line.as_bytes()); // parsed or left out
        let _ = logged("{\"user\":".repeat(depth).as_bytes());
    }
}

#[test]
fn a_default_report_is_none() {
    assert_eq!(Node::new(ONE).seen(), None::<ServerLogSeen>);
}
