//! Sequences of events, and whose opens they show.

use std::path::Path;

use tokenwatch_core::base::time::{Delta, Monotonic};

use super::files::Files;
use crate::sources::token_volumes::{ProjectedFile, TokenVolume};

/// What happens, one letter each: `D` the directory of the generation is opened, `W` the same in a
/// walk over the volume; `t`, `c`, `n` token, ca.crt and namespace are opened, `T` the token is
/// closed; `a` the agent opens the token; `u` an unknown file is opened; `R` a new generation
/// appears; `.` three seconds pass.
fn play(files: &[&str], events: &str) -> usize {
    played(files_of(&volume(files)), events).0
}

/// How often a client opened the token, and how often kubelet synced the volume.
fn played(mut files: Files, events: &str) -> (usize, usize) {
    let (mut now, mut opened, mut synced) = (Monotonic::default(), 0, 0);
    files.set_balanced(true);
    for event in events.chars() {
        match event {
            'D' => files.directory_opened(now, now, false),
            'W' => files.directory_opened(now, now, true),
            't' => files.opened(at(&files, "token"), now, now),
            'c' => files.opened(at(&files, "ca.crt"), now, now),
            'n' => files.opened(at(&files, "namespace"), now, now),
            'T' => files.closed(at(&files, "token")),
            'a' => files.opened_by_agent(at(&files, "token")),
            'u' => files.unknown_opened(),
            'R' => files.replaced(),
            '.' => now = now + Delta::from_secs(3),
            other => panic!("{other}"),
        }
        files.settle(now);
        files.take_news(now, |path, _| {
            assert_eq!(path, Path::new("token"));
            opened += 1;
        });
        synced += usize::from(files.take_synced().is_some_and(|(_, is_certain)| is_certain));
    }
    (opened, synced)
}

/// Files that are there.
fn files_of(volume: &TokenVolume) -> Files {
    let mut files = Files::of(volume);
    files.resolve(|_| Some((1, 1)));
    files
}

fn at(files: &Files, name: &str) -> usize {
    files.position(Path::new(""), Path::new(name)).expect("a file")
}

fn volume(files: &[&str]) -> TokenVolume {
    let file = |path: &&str| ProjectedFile { path: path.into(), is_token: *path == "token" };
    TokenVolume {
        pod_uid: "p".to_owned(),
        volume: "v".to_owned(),
        files: files.iter().map(file).collect(),
        is_whole: true,
    }
}

const ALONE: &[&str] = &["token"];
const THREE: &[&str] = &["ca.crt", "namespace", "token"];

#[test]
fn the_opens_of_clients_are_distinguished_from_those_of_kubelet() {
    let table = [
        ("a client", "tT.tT.tT", 3, 3),
        ("kubelet, nothing changed", "DtTcn.DctTn.DnctT", 0, 0),
        ("kubelet, then a client", "DctnT..tT", 1, 1),
        ("a client, then kubelet", "tTDctnT", 1, 1),
        ("kubelet and a client in one batch", "DtTctTn", 1, 1),
        ("a client within the sync of kubelet", "DcttTTn", 1, 1),
        ("the statistics of kubelet", "W.W.W", 0, 0),
        ("the statistics, and a client", "WtT", 1, 1),
        ("the statistics, and a client that reads all", "WctnT", 1, 1),
        ("statistics of which the walk was not seen, and a client later", "D.tT", 1, 1),
        ("statistics and a sync", "WDctTn", 0, 0),
        ("another tokenwatch", "DDctTn", 0, 0),
        ("kubelet finds a difference", "DtR", 0, 0),
        ("kubelet finds a difference in the second file", "DctR", 0, 0),
        ("nobody", "", 0, 0),
        ("the agent alone", "aT.aT", 0, 0),
        ("the agent and a client, merged into one event", "aTT", 1, 1),
        ("kubelet and a client, merged into one event", "DcntTT", 1, 1),
        ("a descriptor that is kept", "t...", 1, 1),
    ];
    for (name, events, alone, three) in table {
        let of_token = events.replace(['c', 'n'], "");
        assert_eq!(play(ALONE, &of_token), alone, "{name}: a token alone");
        assert_eq!(play(THREE, events), three, "{name}: three files");
    }
}

#[test]
fn a_sync_of_kubelet_opens_the_directory_and_the_files() {
    let table = [
        ("kubelet, nothing changed", "DtTcn.DctTn.DnctT", 3),
        ("a client", "tT.tT.tT", 0),
        ("the statistics of kubelet", "W.D.W", 0),
        ("a walk that reads all", "WctnT", 0),
        ("kubelet within the reads of a client", "tDTctn", 1),
        ("the agent alone", "aT.aT", 0),
        ("another tokenwatch", "DDtTcn", 0),
        ("another tokenwatch, then kubelet", "DDtTcn.DtTcn", 1),
        ("statistics of which the walk was not seen, and kubelet later", "D.DtTcn", 1),
    ];
    for (name, events, expected) in table {
        let of_token = events.replace(['c', 'n'], "");
        assert_eq!(played(files_of(&volume(ALONE)), &of_token).1, expected, "{name}: alone");
        assert_eq!(played(files_of(&volume(THREE)), events).1, expected, "{name}: three files");
    }
    let some = |events| played(files_of(&volume(THREE)), events).1;
    assert_eq!(some("Dct."), 0, "some files, and no new generation: a client");
    let of_unknown = TokenVolume { is_whole: false, ..volume(THREE) };
    assert_eq!(played(files_of(&of_unknown), "Dct.D.").1, 1, "it may have opened all of them");
}

#[test]
fn who_lists_the_directory_and_opens_some_files_is_a_client() {
    assert_eq!(play(THREE, "Dt"), 0, "it may be kubelet");
    assert_eq!(play(THREE, "Dt."), 1);
    assert_eq!(play(THREE, "Dct.Dctn."), 1);
    assert_eq!(play(THREE, "DtDctn"), 1, "kubelet begins no second sync before the first ends");
    assert_eq!(play(ALONE, "Dt."), 0, "with a token alone nothing tells them apart");
    assert_eq!(play(THREE, "Dctn."), 0, "nor if it opens all");
}

#[test]
fn where_not_all_files_are_known_kubelet_is_not_accused() {
    assert_eq!(play(THREE, "uDct.Dt.Dtc."), 0);
    assert_eq!(play(THREE, "uDct.tT"), 1);
    assert_eq!(play(THREE, "DuctntT."), 1);
}

#[test]
fn an_update_keeps_what_was_opened() {
    let mut files = files_of(&volume(ALONE));
    let now = Monotonic::default();
    files.opened(at(&files, "token"), now, now);
    files.update(&volume(THREE));
    let mut opened = Vec::new();
    files.take_news(now, |path, _| opened.push(path.to_owned()));
    assert_eq!(opened, [Path::new("token")]);
    files.opened(at(&files, "token"), now, now);
    files.update(&volume(ALONE));
    files.take_news(now, |path, _| opened.push(path.to_owned()));
    assert_eq!(opened.len(), 1, "reported a moment ago");
}

#[test]
fn a_file_that_was_gone_at_once_is_left_out() {
    let mut files = Files::of(&volume(ALONE));
    let now = Monotonic::default();
    files.opened(0, now, now);
    files.take_news(now, |path, _| panic!("{}", path.display()));
}

#[test]
fn an_open_is_reported_with_a_time_before_it() {
    let at_millis = |millis: i64| Monotonic::from_nanos(millis * 1_000_000);
    let after = |events: &[(char, i64)]| {
        let (mut files, mut reported) = (files_of(&volume(THREE)), Vec::new());
        files.set_balanced(true);
        for (event, at_time) in events {
            // The queue is read every 100 ms.
            let (now, after) = (at_millis(*at_time), at_millis(at_time - 100));
            match event {
                'D' => files.directory_opened(now, after, false),
                't' => files.opened(at(&files, "token"), now, after),
                'T' => files.closed(at(&files, "token")),
                other => panic!("{other}"),
            }
        }
        let end = events.last().map_or(0, |(_, last)| *last) + 3_000;
        files.settle(at_millis(end));
        files.take_news(at_millis(end), |_, after| reported.push(after));
        assert_eq!(reported.len(), 1, "{events:?}");
        reported[0]
    };
    assert_eq!(after(&[('t', 500)]), at_millis(400));
    assert_eq!(after(&[('t', 500), ('t', 900)]), at_millis(400), "the first of them");
    assert_eq!(after(&[('D', 300), ('t', 500)]), at_millis(200), "whoever listed the directory");
    let merged = [('t', 500), ('T', 600), ('T', 700)];
    assert_eq!(after(&merged), at_millis(0), "when an open was that has no event is not known");
}

#[test]
fn only_files_in_watched_directories_are_expected() {
    let mut of = volume(&["token", "deep/other", "er/x/y"]);
    of.files.push(ProjectedFile { path: "er/x/token".into(), is_token: true });
    let files = Files::of(&of);
    assert!(files.position(Path::new("er/x"), Path::new("token")).is_some());
    assert!(files.position(Path::new("er"), Path::new("token")).is_none());
    assert!(files.position(Path::new("deep"), Path::new("other")).is_none());
}
