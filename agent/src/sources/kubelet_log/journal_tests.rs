//! Journals with the messages of kubelet, and of others.

use std::fs;

use tokenwatch_core::base::time::Wall;
use tokenwatch_core::world::kubelet::errors::{ErrorCause, ErrorSource};
use tokenwatch_core::world::observation::Observation;

use super::journal::once;
use crate::clocks;
use crate::sources::journal::tests::{Written, node};

#[test]
fn the_errors_of_kubelet_are_reported_and_one_of_both_places_is_enough() {
    let now = clocks::now().wall.as_nanos() / 1_000_000_000;
    let message = "MESSAGE=E1128 04:17:00.1 1 p.go:1] Error preparing data for projected volume \
                   tokens for pod shop/cart-0: configmap \"ca\" not found";
    for place in ["var/log/journal/0123", "run/log/journal/0123"] {
        let mut written = Written::new(0);
        for (unit, age) in [("kubelet.service", 600), ("sshd.service", 5)] {
            let unit = format!("_SYSTEMD_UNIT={unit}");
            written.entry(now - age, &[(0, message.as_bytes()), (0, unit.as_bytes())]);
        }
        let (_root, config) = node(place, &written.bytes);
        let (seen, trouble) = once(&config);
        assert_eq!(trouble, None, "{place}");
        let Some(Observation::KubeletErrors(errors)) = seen else { panic!("{place}") };
        let [error] = &errors[..] else { panic!("{errors:?}") };
        assert_eq!((error.cause, error.by), (ErrorCause::SourceMissing, ErrorSource::Journal));
        assert_eq!(error.at, Wall::from_secs(now - 600), "the time of the entry");
    }
}

#[test]
fn a_node_without_a_journal_is_reported() {
    let (root, config) = node("var/log/other", b"");
    let trouble = once(&config).1.unwrap();
    assert!(trouble.contains("no file matches /var/log/journal/*/system.journal"), "{trouble}");
    fs::create_dir_all(root.path().join("var/log/journal/remote")).unwrap();
    let trouble = once(&config).1.unwrap();
    assert!(trouble.contains("there is no file"), "{trouble}");
}
