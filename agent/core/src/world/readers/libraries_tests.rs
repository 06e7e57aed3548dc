//! Tests of the table and of its lookups.

use std::ops::Bound;

use super::*;

#[test]
fn every_line_can_be_read() {
    for line in lines() {
        assert!(Library::parse(line).is_some(), "cannot be read: {line}");
    }
    assert!(table().count() > 90, "{} lines", table().count());
}

#[test]
fn every_column_is_checked() {
    const GOOD: [&str; 8] =
        ["thing", "", "< 2.0", "once", "go example.org/thing", "2.0", "source", "thing.go"];
    assert!(Library::parse(GOOD.join("|").leak()).is_some());
    let wrong = [
        (0, ""),
        (2, "old"),
        (3, "sometimes"),
        (3, "every:soon"),
        (4, "go"),
        (4, "cargo thing"),
        (5, "later"),
        (6, "rumour"),
        (7, ""),
        (7, "a|b"),
    ];
    for (column, text) in wrong {
        let mut line = GOOD;
        line[column] = text;
        assert_eq!(Library::parse(line.join("|").leak()), None, "column {column}: {text:?}");
    }
}

#[test]
fn a_library_that_stops_reading_has_an_answer_about_the_cure() {
    for library in table() {
        let reads_again = match library.reads {
            Reads::EachRequest
            | Reads::Every(_)
            | Reads::Exchange
            | Reads::Watch
            | Reads::OwnRequest => true,
            Reads::AfterRefusal
            | Reads::Once
            | Reads::BrokenWatch
            | Reads::SendsNone
            | Reads::Caller => false,
        };
        // A slow one may be better in a later version.
        assert!(reads_again || library.cure != Cure::NotNeeded, "{library:?}");
    }
}

/// Two lines about the same way of using a library may not both be about one version.
#[test]
fn no_two_lines_contradict_each_other() {
    let all: Vec<Library> = table().collect();
    for (at, one) in all.iter().enumerate() {
        for other in &all[at + 1..] {
            let same = one.recognised.names().any(|(kind, name)| other.recognised.is(kind, name));
            let contradict = one.used == other.used && one.reads != other.reads;
            let overlap =
                one.versions.ranges().any(|a| other.versions.ranges().any(|b| meet(&a, &b)));
            assert!(!(same && contradict && overlap), "{one:?}\n{other:?}");
        }
    }
}

type Ends = (Bound<Version>, Bound<Version>);

fn meet(one: &Ends, other: &Ends) -> bool {
    is_before(&one.0, &other.1) && is_before(&other.0, &one.1)
}

fn is_before(low: &Bound<Version>, high: &Bound<Version>) -> bool {
    match (low, high) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Included(low), Bound::Included(high)) => low <= high,
        (
            Bound::Included(low) | Bound::Excluded(low),
            Bound::Included(high) | Bound::Excluded(high),
        ) => low < high,
    }
}

#[test]
fn the_first_version_that_reads_again_does_so() {
    for library in table() {
        let (Cure::From(text) | Cure::By(text)) = library.cure else { continue };
        for fixed in text.split(',').map(|fixed| Version::parse(fixed, Scheme::Words).unwrap()) {
            assert!(!library.versions.contains(&fixed), "{library:?}");
            let again = table().find(|other| {
                other.component == library.component
                    && other.used.is_none()
                    && other.versions.contains(&fixed)
            });
            let is_again = |reading| !matches!(reading, Reads::Once | Reads::BrokenWatch);
            assert!(again.is_none_or(|other| is_again(other.reads)), "{library:?}\n{again:?}");
        }
    }
}

#[test]
fn libraries_are_found_by_kind_name_and_version() {
    let minute = Reads::Every(Some(Delta::from_secs(60)));
    let table = [
        (Kind::Go, "k8s.io/client-go", "v8.0.0+incompatible", Some((Reads::Once, "11.0.0"))),
        (Kind::Go, "k8s.io/client-go", "v0.36.2", Some((minute, ""))),
        (Kind::Go, "k8s.io/client-go", "v0.15.6", None),
        (Kind::Go, "k8s.io/client-go", "v12.0.0+incompatible", Some((minute, ""))),
        (Kind::Go, "k8s.io/client-go", "(devel)", None),
        (Kind::Python, "kubernetes", "11.0.0", Some((Reads::Once, "12.0.0"))),
        (Kind::Python, "Kubernetes", "12.0.0a1", None),
        (Kind::Python, "kubernetes", "36.0.0", Some((Reads::SendsNone, "36.0.1"))),
        (Kind::Python, "kubernetes", "36.0.1", Some((minute, ""))),
        (Kind::Python, "kubernetes-asyncio", "20.1", Some((Reads::Once, "22.6.5"))),
        (Kind::Python, "pykube_ng", "23.6.0", Some((Reads::Once, ""))),
        (Kind::Npm, "@kubernetes/client-node", "0.10.2", Some((Reads::Once, "0.10.3"))),
        (Kind::Jar, "client-java", "8.0.2", Some((Reads::Once, "9.0.0"))),
        (Kind::Jar, "kubernetes-client", "4.13.3", Some((Reads::Once, "5.12.4"))),
        (Kind::Jar, "kubernetes-client", "5.12.3", Some((Reads::AfterRefusal, "5.12.4"))),
        (Kind::Jar, "kubernetes-client-api", "6.0.0", Some((Reads::AfterRefusal, "6.1.0"))),
        (Kind::Jar, "kubernetes-client", "5.12.4", Some((Reads::EachRequest, ""))),
        (Kind::Jar, "kubernetes-client-api", "7.3.1", Some((minute, ""))),
        (Kind::Jar, "jgroups-kubernetes", "2.0.2.Final", Some((Reads::Once, ""))),
        (Kind::Crate, "kube-client", "0.68.0", Some((Reads::Once, "0.69.0"))),
        (Kind::Exe, "linkerd2-proxy", "2.300.0", Some((Reads::Exchange, ""))),
        (Kind::Exe, "telegraf", "1.37.2", Some((Reads::EachRequest, ""))),
        (Kind::Dll, "kubernetesclient", "15.0.1", Some((minute, ""))),
        (Kind::Gem, "kubeclient", "4.9.3", Some((Reads::Once, "4.10.0"))),
        (Kind::Gem, "kubernetes", "11.0.0", None),
        (Kind::Go, "k8s.io/client-go/v2", "v1.0.0", None),
    ];
    for (kind, name, version, expected) in table {
        let found = find(kind, name, version);
        let found = found.map(|found| (found.reads, found.fixed_in(Some(version)).unwrap_or("")));
        assert_eq!(found, expected, "{kind:?} {name} {version}");
    }
}

#[test]
fn the_collector_whose_watch_never_fires_is_found() {
    let module = "github.com/open-telemetry/opentelemetry-collector-contrib/extension/\
                  bearertokenauthextension";
    let reading = |version| find(Kind::Go, module, version).map(|library| library.reads);
    assert_eq!(reading("v0.138.0"), Some(Reads::Watch));
    for version in ["v0.139.0", "v0.144.0", "v0.145.0", "v0.149.0"] {
        assert_eq!(reading(version), Some(Reads::BrokenWatch), "{version}");
    }
    assert_eq!(reading("v0.151.0"), None, "nobody has read 0.150 and 0.151");
    assert_eq!(reading("v0.165.1"), Some(Reads::Watch));
}

#[test]
fn a_library_is_found_by_what_people_read() {
    let found = |text| named(text).map(|(found, version)| (found.component, version));
    assert_eq!(found("python kubernetes 11.0.0"), Some(("python kubernetes", Some("11.0.0"))));
    assert_eq!(found("client-go v0.36.2"), Some(("client-go", Some("v0.36.2"))));
    assert_eq!(found("linkerd2-proxy"), Some(("linkerd2-proxy", None)));
    for text in ["python kubernetes", "nothing 1.0", "", " ", "client-go", "client-go latest"] {
        assert_eq!(found(text), None, "{text:?}");
    }
    assert_eq!(component(Kind::Exe, "pilot-agent"), Some("istio-agent"));
    assert_eq!(component(Kind::Exe, "nginx"), None);
}

#[test]
fn an_image_or_a_program_is_a_hint() {
    let table = [
        (
            "otel/opentelemetry-collector-contrib:0.144.0",
            None,
            Some("otel bearertokenauth 0.144.0"),
        ),
        ("registry.example:5000/telegraf:1.28.5-alpine", None, Some("telegraf 1.28.5-alpine")),
        ("falcosecurity/falco@sha256:0af4", None, Some("falco")),
        ("kiwigrid/k8s-sidecar:latest", None, Some("k8s-sidecar")),
        ("shop/cart:1.0", Some("linkerd2-proxy"), Some("linkerd2-proxy")),
        ("shop/cart:1.0", Some("python3"), None),
        ("", None, None),
    ];
    for (image, program, expected) in table {
        assert_eq!(hint(image, program).as_deref(), expected, "{image} {program:?}");
    }
    let reads = |text| named(text).map(|(library, _)| library.reads);
    assert_eq!(reads("otel bearertokenauth 0.144.0"), Some(Reads::BrokenWatch));
    assert_eq!(reads("telegraf 1.28.5-alpine"), Some(Reads::Once));
    assert_eq!(reads("falco 0.36"), Some(Reads::Once), "nobody knows since when it does not");
}
