//! What is read for the join of both logs, and of tokens that were issued: shapes of a real API
//! server (Kubernetes 1.34).

use proptest::prelude::*;
use tokenwatch_core::base::secrecy::looks_like_a_token;
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::refusals::{AuditedRefusal, IssuedToken, RefusalReason, ServerLogSeen};
use tokenwatch_core::world::tokens::GenerationId;

use super::Logged;
use super::gather::Gather;
use super::logged::logged;
use super::tests::{ACCEPTED_EVENT, EXPIRED, REFUSED_EVENT, token};
use crate::clocks;
use crate::sources::logs::name::agent;

const TIMES: &str = concat!(
    r#","requestReceivedTimestamp":"2026-11-28T04:17:00.123400Z","#,
    r#""stageTimestamp":"2026-11-28T04:17:00.123700Z"}"#,
);
const ISSUED: &str = concat!(
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a","#,
    r#""stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/serviceaccounts/cart/tok"#,
    r#"en","verb":"create","user":{"username":"system:node:n1","groups":["system:nodes"]},"#,
    r#""sourceIPs":["10.0.0.1"],"userAgent":"kubelet/v1.34.4","objectRef":{"resource":"serviceac"#,
    r#"counts","namespace":"shop","name":"cart","apiVersion":"v1","subresource":"token"},"#,
    r#""responseStatus":{"metadata":{},"code":201},"requestObject":{"kind":"TokenRequest","#,
    r#""apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"audiences":["api"],"#,
    r#""expirationSeconds":3607,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"cart-0","#,
    r#""uid":"0f-1"}},"status":{"token":"REQUEST","expirationTimestamp":null}},"responseObject":"#,
    r#"{"kind":"TokenRequest","spec":{"audiences":["api"],"expirationSeconds":3607},"status":"#,
    r#"{"token":"RESPONSE","expirationTimestamp":"2026-11-28T05:17:07Z"}},"#,
    r#""requestReceivedTimestamp":"2026-11-28T04:17:00.100000Z","#,
    r#""stageTimestamp":"2026-11-28T04:17:00.137000Z","annotations":{"#,
    r#""authentication.kubernetes.io/issued-credential-id":"JTI=b7f3"}}"#,
);

fn issued(line: &str) -> Option<IssuedToken> {
    match logged(line.as_bytes())? {
        Logged::Issued(issued, accepted) => {
            assert_eq!(accepted.user, None, "kubelet is no service account");
            Some(issued)
        }
        Logged::Accepted(_) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_that_kubelet_requested_for_a_pod_is_read() {
    let lifetime = Delta::from_secs(3_607);
    let expected = IssuedToken {
        pod_uid: "0f-1".into(),
        request: IssuedToken::request_of(&["api"], lifetime),
        lifetime,
        generation: GenerationId::of_jti("b7f3"),
        at: Wall::from_nanos(1_795_839_420_100_000_000),
    };
    assert_eq!(issued(ISSUED), Some(expected.clone()));
    let with = r#""audiences":["api"],"expirationSeconds":3607,"bound"#;
    let without = ISSUED.replace(with, r#""expirationSeconds":3607,"bound"#);
    let of = issued(&without).unwrap();
    assert_ne!(of.request, expected.request, "the default audience is another request");
}

/// Look-alikes: tokens of which it is not known that kubelet writes them into a pod's volume.
#[test]
fn other_requests_for_tokens_are_not_taken_for_it() {
    let table = [
        ("system:node:n1", "system:serviceaccount:vault:vault"), // somebody else requests one
        (r#""kind":"Pod""#, r#""kind":"Secret""#),
        (r#""code":201"#, r#""code":403"#),
        ("ResponseComplete", "ResponseStarted"),
        (r#""verb":"create""#, r#""verb":"get""#),
        (r#""subresource":"token""#, r#""subresource":"status""#),
        (r#""resource":"serviceac"#, r#""resource":"otherac"#),
        ("JTI=b7f3", "b7f3"),
        (r#""uid":"0f-1""#, r#""uid":"no uid""#),
        (r#""expirationSeconds":3607,"bound"#, r#""expirationSeconds":"x","bound"#),
        ("2026-11-28T04:17:00.100000Z", "never"),
    ];
    for (good, bad) in table {
        let line = ISSUED.replacen(good, bad, 1);
        assert_ne!(line, ISSUED, "{good}");
        let shown = logged(line.as_bytes());
        assert!(!matches!(shown, Some(Logged::Issued(..))), "{good} {bad}: {shown:?}");
    }
    // At level Metadata, there is no object. Bodies of other requests may be anything.
    for object in ["", r#""requestObject":[{"op":"add"}],"#, r#""requestObject":7,"#] {
        let (before, rest) = ISSUED.split_once(r#""requestObject":"#).unwrap();
        let (_, after) = rest.split_once(r#""responseObject":"#).unwrap();
        let line = format!(r#"{before}{object}"responseObject":{after}"#);
        assert!(matches!(logged(line.as_bytes()), Some(Logged::Accepted(_))), "{object}");
    }
    let patch = ACCEPTED_EVENT.replacen('{', r#"{"requestObject":{"spec":{"audiences":7}},"#, 1);
    assert!(matches!(logged(patch.as_bytes()), Some(Logged::Accepted(_))));
}

#[test]
fn a_user_agent_is_kept_up_to_its_version_and_never_a_token() {
    let table = [
        ("app/1.0 (linux/amd64) kubernetes/abc", Some("app/1.0")),
        ("Go-http-client/2.0", Some("Go-http-client/2.0")),
        ("", None),
        ("eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJ4In0.c2ln", None),
        ("app/eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ", None),
        ("a\u{1b}[31m", None),
    ];
    for (text, expected) in table {
        assert_eq!(agent(text).as_deref(), expected, "{text}");
    }
    assert_eq!(agent(&"a".repeat(65)), None);
}

/// What a report has of these lines, which a file of this age ends with.
fn seen(lines: &[String], written: Option<Wall>) -> ServerLogSeen {
    let mut gather = Gather::default();
    for line in lines {
        gather.line(line.as_bytes(), clocks::timer());
    }
    gather.settle(written);
    gather.report().unwrap()
}

/// As Kubernetes 1.34.4 writes it.
#[test]
fn a_real_event_of_a_refused_token_is_read() {
    let line = concat!(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"59a3","#,
        r#""stage":"ResponseStarted","requestURI":"/api/v1/pods","verb":"list","user":{},"#,
        r#""sourceIPs":["127.0.0.1"],"objectRef":{"resource":"pods","apiVersion":"v1"},"#,
        r#""responseStatus":{"metadata":{},"status":"Failure","message":"Unauthorized","#,
        r#""reason":"Unauthorized","code":401},"#,
        r#""requestReceivedTimestamp":"2026-11-29T20:28:37.178248Z","#,
        r#""stageTimestamp":"2026-11-29T20:28:37.189835Z"}"#,
    );
    let Some(Logged::Audited(audited)) = logged(line.as_bytes()) else { panic!("{line}") };
    let timed = audited.timed.unwrap();
    assert_eq!(audited.address, Some([127, 0, 0, 1].into()));
    assert_eq!((timed.answered - timed.received).as_nanos(), 11_587_000);
}

const AT: i64 = 1_795_839_420_123_456_000;

#[test]
fn both_logs_have_the_time_of_a_refusal() {
    let event = REFUSED_EVENT.trim_end_matches('}').to_owned() + "}" + TIMES;
    let address = Some([10, 0, 0, 7].into());
    let (received, answered) = (Wall::from_nanos(AT - 56_000), Wall::from_nanos(AT + 244_000));
    let refusal = AuditedRefusal { address, received, answered };
    // In the zone of the node, and some seconds before the file was written.
    for (line, late) in [("04:17:00", 0), ("04:17:00", 30), ("09:47:00", 30), ("21:17:00", 2)] {
        let day = if line == "21:17:00" { "1127" } else { "1128" };
        let line = EXPIRED.replace("1128 04:17:00", &format!("{day} {line}"));
        let written = Wall::from_nanos(AT) + Delta::from_secs(late);
        let timed = seen(&[line, event.clone()], Some(written)).timed;
        assert_eq!(timed.logged, [(Wall::from_nanos(AT), RefusalReason::Expired)]);
        assert_eq!(timed.audited, std::slice::from_ref(&refusal));
        assert_eq!(timed.unlisted, None);
        assert!(received <= Wall::from_nanos(AT) && Wall::from_nanos(AT) <= answered);
    }
    // The kernel dated the file by its last tick, 4 ms before the line.
    let early = Wall::from_nanos(AT - 4_000_000);
    let logged = seen(&[EXPIRED.to_owned()], Some(early)).timed.logged;
    assert_eq!(logged, [(Wall::from_nanos(AT), RefusalReason::Expired)]);
    let json = concat!(
        r#"{"ts":1795839420123.456,"caller":"filters/authentication.go:75","#,
        r#""msg":"Unable to authenticate the request","err":"token has expired"}"#,
    );
    let logged = seen(&[json.to_owned()], None).timed.logged;
    assert!((logged[0].0 - Wall::from_nanos(AT)).abs() <= Delta::from_nanos(2_000), "{logged:?}");
}

/// Where the time is not known, nothing is certain.
#[test]
fn a_line_without_a_known_time_leaves_everything_open() {
    let always = Some((Wall::from_nanos(i64::MIN), Wall::from_nanos(i64::MAX)));
    let late = EXPIRED.replace("04:17:00", "04:07:00");
    let other = "I1128 04:17:00.123456       1 a.go:1] other".to_owned();
    let written = Some(Wall::from_nanos(AT));
    for (lines, written, expected) in [
        (vec![EXPIRED.to_owned()], None, always),
        (vec![EXPIRED.replace("1128 04", "9999 04"), other.clone()], written, always),
        (vec![REFUSED_EVENT.to_owned()], written, always),
        // The last line of the file shows the zone, whatever the log is about by then.
        (vec![late.clone(), other], written, None),
    ] {
        assert_eq!(seen(&lines, written).timed.unlisted, expected, "{lines:?}");
    }
    let many = vec![EXPIRED.to_owned(); 300];
    let timed = seen(&many, written).timed;
    assert_eq!((timed.logged.len(), timed.unlisted), (256, always));
}

proptest! {
    /// No byte of a token that an API server issued, or that a client wrote somewhere, is kept.
    #[test]
    fn no_token_of_an_event_is_kept(
        one in token(),
        two in token(),
        place in proptest::sample::select(vec![
            "system:node:n1", "0f-1", "api", "b7f3", "kubelet/v1.34.4", "cart-0", "Pod", "n1",
            "create", "shop", "JTI=b7f3", "201", "3607", "TokenRequest",
        ]),
    ) {
        let line = ISSUED.replace("RESPONSE", &one).replace("REQUEST", &two);
        let mut texts = vec![line.clone(), line.replace(place, &two)];
        texts.push(ACCEPTED_EVENT.replace("app/1.0 (linux/amd64)", &one));
        for line in texts {
            let kept = format!("{:?}", logged(line.as_bytes()));
            prop_assert!(!looks_like_a_token(&kept), "{}", kept);
            for part in one.split('.').chain(two.split('.')) {
                prop_assert!(!kept.contains(part), "{}", kept);
            }
        }
    }

    #[test]
    fn no_request_object_makes_it_fail(
        object in "[\\[\\]{}:,\"a0-9]{0,40}",
        cut in 0..1_200usize,
    ) {
        let changed = format!(r#""requestObject":{object}{{"#);
        let line = ISSUED.replace(r#""requestObject":{"#, &changed);
        let _ = logged(line.as_bytes());
        let _ = logged(&ISSUED.as_bytes()[..cut.min(ISSUED.len())]);
    }
}
