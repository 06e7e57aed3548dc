//! What the findings about readers say, and what they do not.

use super::{mount_frozen, reader};
use crate::base::time::{Delta, Wall};
use crate::findings::Severity;
use crate::world::cluster::PodRef;
use crate::world::readers::{
    Evidence, FrozenMount, Habit, HeldGeneration, StaleReader, Strength, Who,
};
use crate::world::tokens::{Exchange, TokenKey};

/// 2027-01-15T08:00:00Z
const IAT: Wall = Wall::from_secs(1_800_000_000);

fn at(age: i64) -> Wall {
    IAT + Delta::from_secs(age)
}

fn pod() -> PodRef {
    PodRef {
        namespace: Some("shop".into()),
        name: Some("cart-0".into()),
        uid: "u-1".into(),
        owner: None,
        is_claimed: false,
    }
}

fn key() -> TokenKey {
    TokenKey { pod_uid: "u-1".into(), volume: "kube-api-access-x".into(), path: "token".into() }
}

fn held() -> HeldGeneration {
    HeldGeneration {
        id: "jti-1".into(),
        issued_at: IAT,
        dead_at: at(3_660),
        dead_without_extension: None,
        exchange: None,
        is_current: false,
    }
}

fn stale(evidence: &[Evidence], habit: Habit) -> StaleReader {
    StaleReader {
        who: Who { container: Some("app".into()), ..Who::default() },
        others: 0,
        held: held(),
        since: at(5),
        rotated_at: at(2_892),
        habit,
        evidence: evidence.to_vec(),
    }
}

fn summary(stale: &StaleReader, now: Wall) -> String {
    reader::summary(&pod(), &key(), stale, now)
}

#[test]
fn a_reader_that_uses_the_old_token_is_accused_with_what_is_known() {
    let mut stale = stale(&[Evidence::NotReadAgain, Evidence::NewConnection], Habit::Once);
    stale.who.program = Some("python3".into());
    stale.who.library = Some("python kubernetes 11.0.0".into());
    assert_eq!(
        summary(&stale, at(3_120)),
        "Container app (python3) of pod shop/cart-0 most likely still uses the token \"token\" \
         (volume kube-api-access-x) that it read at 2027-01-15T08:00:05Z. kubelet replaced that \
         token at \
         2027-01-15T08:48:12Z. The old token is refused from 2027-01-15T09:01:00Z on, in 9m 00s: \
         requests then get 401. Evidence: it has not read the new token; it opened a connection \
         to the API server without reading the new token. It reads the token only once, at its \
         start. The container seems to use python kubernetes 11.0.0, which reads the token once; \
         12.0.0 is the first version that reads it again."
    );
}

#[test]
fn a_reader_that_only_has_not_read_again_is_not_accused() {
    for evidence in [&[Evidence::NotReadAgain][..], &[Evidence::NotReadAgain, Evidence::Holds]] {
        let text = summary(&stale(evidence, Habit::Unknown), at(3_120));
        assert!(text.contains("has not read the new token"), "{text}");
        assert!(text.contains("Nothing shows whether it still uses the old one"), "{text}");
        assert!(!text.contains("still uses the token"), "{text}");
    }
    let remedy =
        reader::remedy(&stale(&[Evidence::NotReadAgain], Habit::Unknown), Severity::Info, None);
    assert!(remedy.text.starts_with("No action yet"), "{}", remedy.text);
    assert_eq!(remedy.command.as_deref(), Some("tokenwatch readers"));
}

#[test]
fn a_read_that_was_not_seen_has_no_time() {
    let unseen = |evidence| StaleReader { since: at(3_000), ..stale(&[evidence], Habit::Unknown) };
    let (used, only_held) = (unseen(Evidence::ReadsOld), unseen(Evidence::Holds));
    let text = summary(&used, at(3_120));
    assert!(text.contains("(volume kube-api-access-x). kubelet replaced that token"), "{text}");
    let text = summary(&only_held, at(3_120));
    assert!(text.contains("wrote at 2027-01-15T08:48:12Z. Nothing shows"), "{text}");
    assert_eq!(reader::evidence(&used).get("last_read"), None);
}

#[test]
fn one_kind_of_evidence_beyond_a_hint_accuses() {
    let kinds = [
        (Evidence::ReadsOld, "read the old token after kubelet had replaced it"),
        (Evidence::Connected, "stayed connected to the API server"),
        (Evidence::NewConnection, "opened a connection to the API server"),
        (Evidence::Requests, "sent requests to the API server"),
        (Evidence::LearnedHabit, "this workload kept earlier tokens in the same way"),
    ];
    for (evidence, words) in kinds {
        let text = summary(&stale(&[evidence], Habit::Unknown), at(3_120));
        let is_likely = evidence.strength() == Strength::Likely;
        assert!(text.contains("still uses the token") && text.contains(words), "{text}");
        assert_eq!(text.contains("most likely still uses"), is_likely, "{text}");
    }
}

#[test]
fn the_time_of_the_first_401_is_in_the_sentence() {
    let plain = held();
    let extended = HeldGeneration {
        dead_at: at(31_536_060),
        dead_without_extension: Some(at(3_667)),
        ..held()
    };
    let table = [
        (&plain, 3_000, "is refused from 2027-01-15T09:01:00Z on, in 11m 00s"),
        (&plain, 3_660, "is refused from now on: requests get 401"),
        (&plain, 3_960, "has been refused for 5m 00s: requests get 401"),
        (&extended, 3_000, "works until 2028-01-15T08:01:00Z, because the API server extends"),
        (&extended, 3_000, "without the extension refuses it from 2027-01-15T09:01:07Z."),
        (&extended, 7_000, "without the extension has refused it since 2027-01-15T09:01:07Z."),
        (&extended, 31_537_060, "has been refused for 16m 40s"),
    ];
    for (held, age, words) in table {
        let stale = StaleReader { held: held.clone(), ..stale(&[Evidence::ReadsOld], Habit::Once) };
        let text = summary(&stale, at(age));
        assert!(text.contains(words), "at {age}: {text}");
    }
}

#[test]
fn an_exchanged_token_ends_with_the_other_credential() {
    let table = [
        (
            Exchange::AwsSts,
            3_000,
            "AWS STS refuses the old token from 2027-01-15T09:01:00Z on, in 11m 00s, and issues no \
             new credential for it. A credential lives 1h 00m, if nobody chose another time: \
             requests fail by 2027-01-15T10:01:00Z.",
        ),
        (
            Exchange::EksPodIdentity,
            3_960,
            "EKS Pod Identity has refused the old token since 2027-01-15T09:01:00Z, and issues no \
             new credential for it. How long a credential lives is not known: requests fail when \
             it ends.",
        ),
    ];
    for (exchange, age, words) in table {
        let held = HeldGeneration { exchange: Some(exchange), ..held() };
        let stale = StaleReader { held, ..stale(&[Evidence::ReadsOld], Habit::Exchange) };
        let text = summary(&stale, at(age));
        assert!(text.contains(words), "at {age}: {text}");
        assert!(!text.contains("401"), "{text}");
        let facts = reader::evidence(&stale);
        assert!(facts.get("exchanged_by").is_some());
        assert_eq!(
            facts.get("credential_ends_by").is_some(),
            exchange.credential_life().is_some(),
            "{exchange:?}"
        );
    }
}

#[test]
fn each_habit_has_its_sentence() {
    let minute = Delta::from_secs(60);
    let table = [
        (Habit::Once, "only once, at its start"),
        (Habit::AfterRefusal, "only after a request was refused"),
        (Habit::BeforeExpiry { window: minute }, "only 1m 00s before the old one expires"),
        (Habit::Exchange, "exchanges the token for another credential"),
        (Habit::Every { period: minute }, "Before, it read the token every 1m 00s."),
        (Habit::EachRequest, "Before, it read the token for each request."),
        (Habit::OnChange, "Before, it read each new token when kubelet wrote it."),
        (Habit::Never, "It has never read the token before."),
    ];
    for (habit, words) in table {
        let text = summary(&stale(&[Evidence::Connected], habit), at(3_120));
        assert!(text.ends_with(words) || text.contains(words), "{habit:?}: {text}");
    }
    let text = summary(&stale(&[Evidence::Connected], Habit::Unknown), at(3_120));
    assert!(text.ends_with("read the new token."), "{text}");
}

#[test]
fn who_reads_is_as_exact_as_the_agent_knows() {
    let table = [
        (None, None, 0, "A container of pod shop/cart-0 still"),
        (None, Some("java"), 0, "A container (java) of pod shop/cart-0 still"),
        (Some("app"), None, 1, "Container app and 1 more reader of pod shop/cart-0 still"),
        (Some("app"), Some("x\u{1b}[0m"), 2, "Container app (x\\u{1b}[0m) and 2 more readers of"),
    ];
    for (container, program, others, words) in table {
        let who = Who {
            container: container.map(Into::into),
            program: program.map(Into::into),
            ..Who::default()
        };
        let stale = StaleReader { who, others, ..stale(&[Evidence::ReadsOld], Habit::Once) };
        let text = summary(&stale, at(3_120));
        assert!(text.starts_with(words), "{text}");
    }
}

#[test]
fn a_library_is_a_hint_with_the_version_that_reads_again() {
    let table = [
        ("client-go v8.0.0", Some("reads the token once; 11.0.0 is the first version")),
        ("client-go v0.36.2", Some("client-go v0.36.2, which reads the token every 1m 00s.")),
        ("fabric8 5.12.3", Some("after a request was refused; 5.12.4 is the first version")),
        ("otel bearertokenauth v0.144.0", Some("that it does not notice")),
        ("pykube-ng 20.1.0", Some("pykube-ng 20.1.0, which reads the token once.")),
        ("rsyslog mmkubernetes 8.2402", Some("(without tokenreloadinterval), which reads")),
        ("vlagent 1.10", Some("vlagent 1.10 (before 2026-01), which reads the token once.")),
        ("something 1.0", None),
        ("python kubernetes", None),
    ];
    for (library, words) in table {
        let sentence = reader::library_sentence(library);
        match words {
            Some(words) => assert!(sentence.as_ref().unwrap().contains(words), "{sentence:?}"),
            None => assert_eq!(sentence, None, "{library}"),
        }
    }
}

#[test]
fn the_remedy_restarts_and_names_the_version_to_update_to() {
    let restart = || Some("kubectl rollout restart -n shop deployment/cart".to_owned());
    let mut stale = stale(&[Evidence::ReadsOld], Habit::Once);
    let plain = reader::remedy(&stale, Severity::Warning, restart());
    assert_eq!(plain.command, restart());
    assert!(plain.text.contains("at least once a minute (KEP-1205)"), "{}", plain.text);
    stale.who.library = Some("python kubernetes 11.0.0".into());
    let named = reader::remedy(&stale, Severity::Critical, restart());
    assert!(named.text.contains("update python kubernetes to 12.0.0 or later"), "{}", named.text);
    stale.who.library = Some("pykube-ng 23.6.0".into());
    let none = reader::remedy(&stale, Severity::Critical, restart());
    assert_eq!(none.text, plain.text, "no version helps");
}

#[test]
fn an_old_mount_is_reported_with_its_place_and_its_end() {
    let frozen = FrozenMount {
        container: Some("app".into()),
        others: 1,
        mount_path: "/var/run/secrets/kubernetes.io/serviceaccount".into(),
        held: held(),
        since: at(100),
    };
    let text = mount_frozen::summary(&pod(), &key(), &frozen, at(120));
    assert_eq!(
        text,
        "Container app (and 1 more) of pod shop/cart-0 has an old mount of volume \
         kube-api-access-x at /var/run/secrets/kubernetes.io/serviceaccount: kubelet has mounted \
         the volume again, and the container never sees another token. The old token is refused \
         from 2027-01-15T09:01:00Z on, in 59m 00s: requests then get 401."
    );
    let late = mount_frozen::summary(&pod(), &key(), &frozen, at(3_700));
    assert!(late.ends_with("has been refused for 40.0s: requests get 401."), "{late}");
}
