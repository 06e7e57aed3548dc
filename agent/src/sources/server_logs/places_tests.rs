//! The same lines where distributions have them: in Docker's files, and in the journal of systemd.

use std::fs;

use proptest::collection::vec;
use proptest::prelude::*;
use tokenwatch_core::base::secrecy::looks_like_a_token;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::refusals::{RefusalReason, ServerLogSeen};

use super::journal::{ServerJournal, UNITS};
use super::logged::logged;
use super::tests::{EXPIRED, line};
use crate::clocks;
use crate::sources::journal::tests::{Written, node};
use crate::sources::logs::follow::Follower;
use crate::sources::logs::lines::{Lines, MAX_LINE};
use crate::sources::logs::places::places;

/// Docker's line for this text, with what ends it.
fn docker(text: &str, stream: &str) -> String {
    let log = serde_json::Value::from(text);
    format!("{{\"log\":{log},\"stream\":\"{stream}\",\"time\":\"2026-11-28T04:17:00.1Z\"}}\n")
}

fn lines_of(text: &[u8], cut: usize) -> Vec<String> {
    let (mut lines, mut all) = (Lines::new(), Vec::new());
    for chunk in text.chunks(cut) {
        lines.push(chunk, |line| all.push(String::from_utf8_lossy(line).into_owned()));
    }
    all
}

#[test]
fn lines_of_docker_are_the_same_however_they_are_cut_and_split() {
    let text = [
        docker("whole\n", "stderr"),
        docker("one ", "stderr"),
        docker("other ", "stdout"),
        docker("two ", "stderr"),
        docker("end\n", "stdout"),
        docker("three\n", "stderr"),
        docker("\n", "stderr"),
        docker(&format!("{EXPIRED}\n"), "stderr"),
        docker("not yet whole", "stderr"),
    ]
    .concat();
    let expected = ["whole", "other end", "one two three", "", EXPIRED];
    for cut in 1..=text.len() {
        assert_eq!(lines_of(text.as_bytes(), cut), expected, "cut at {cut}");
    }
    assert!(logged(EXPIRED.as_bytes()).is_some());
}

#[test]
fn a_line_that_docker_split_and_that_is_too_long_is_skipped_to_its_end() {
    let part = docker(&"x".repeat(16 << 10), "stderr");
    let text = [part.repeat(MAX_LINE / (16 << 10) + 1), docker("end\n", "stderr")].concat();
    let next = docker("next\n", "stderr");
    assert_eq!(lines_of([text, next].concat().as_bytes(), 65_536), ["next"]);
}

/// A journal with a line of each unit, each so many seconds old.
fn journal(units: &[(&str, i64)], lines: &[&str]) -> Written {
    let now = clocks::now().wall.as_nanos() / 1_000_000_000;
    let mut written = Written::new(0);
    for (unit, age) in units {
        append(&mut written, unit, now - age, lines);
    }
    written
}

fn append(written: &mut Written, unit: &str, at: i64, lines: &[&str]) {
    for line in lines {
        let (unit, message) = (format!("_SYSTEMD_UNIT={unit}"), format!("MESSAGE={line}"));
        written.entry(at, &[(0, message.as_bytes()), (0, unit.as_bytes())]);
    }
}

fn seen(look: Option<Observation>) -> ServerLogSeen {
    match look {
        Some(Observation::ServerLog(seen)) => seen,
        None => ServerLogSeen::default(),
        other => panic!("{other:?}"),
    }
}

/// kubelet and the API server share a process, and so a unit, on k3s and MicroK8s.
#[test]
fn the_messages_of_an_api_server_in_the_journal_are_counted_once() {
    let kubelet = "E1128 04:17:00.1 1 server.go:376] \"Unable to authenticate the request due to \
                   an error\" err=\"x\"";
    let supervisor = "time=\"2026-11-28T04:17:00Z\" level=info msg=\"Running kube-apiserver\"";
    let mut written = journal(&[("k3s.service", 5), ("sshd.service", 5)], &[EXPIRED]);
    let (root, config) = node("var/log/journal/0123", &written.bytes);
    let files = config.files();
    let mut follower = Follower::new(ServerJournal::new(&config), files.clone());
    let mut look = || {
        let look = follower.look(&places(&files));
        assert_eq!(look.trouble, None);
        seen(look.seen)
    };
    assert_eq!(look(), ServerLogSeen::default(), "what was there before the agent");
    let write = |written: &Written| {
        fs::write(root.path().join("var/log/journal/0123/system.journal"), &written.bytes).unwrap();
    };
    let lines = [EXPIRED, kubelet, supervisor];
    for unit in UNITS.into_iter().chain(["sshd.service", "k3s-agent.service"]) {
        append(&mut written, unit, 1_795_968_000, &lines); // a clock that was set back
    }
    write(&written);
    let expected = vec![(RefusalReason::Expired, UNITS.len() as u64)];
    assert_eq!(look().reasons, expected, "and not those of other units");
    assert_eq!(look(), ServerLogSeen::default());
    // journald renames the file when it is full.
    append(&mut written, "k3s.service", 1_795_968_001, &[EXPIRED]);
    write(&written);
    let folder = root.path().join("var/log/journal/0123");
    fs::rename(folder.join("system.journal"), folder.join("system@1.journal")).unwrap();
    write(&journal(&[("k3s.service", 900), ("k3s.service", 0)], &[EXPIRED]));
    assert_eq!(look().reasons, [(RefusalReason::Expired, 3)]);
}

#[test]
fn a_node_without_a_journal_names_the_setting() {
    let (_root, config) = node("var/log/other", b"");
    let files = config.files();
    let look = Follower::new(ServerJournal::new(&config), files.clone()).look(&places(&files));
    let trouble = look.trouble.unwrap();
    assert!(trouble.contains("(apiserver.journal); the agent does not see which"), "{trouble}");
}

proptest! {
    /// Whatever a container wrote, and however Docker split it, nothing that looks like a token
    /// leaves the parser.
    #[test]
    fn no_line_of_docker_makes_it_fail_or_keep_a_token(
        lines in vec((line(), 1..300usize), 1..10),
        cut in 1..400usize,
    ) {
        let mut text = Vec::new();
        for (line, split) in &lines {
            let line = String::from_utf8_lossy(line).replace('\n', " ") + "\n";
            let characters: Vec<char> = line.chars().collect();
            for part in characters.chunks(*split) {
                text.extend(docker(&part.iter().collect::<String>(), "stderr").into_bytes());
            }
        }
        let (mut reader, mut seen) = (Lines::new(), Vec::new());
        for chunk in text.chunks(cut) {
            reader.push(chunk, |line| seen.extend(logged(line)));
        }
        let kept = format!("{seen:?}");
        prop_assert!(!looks_like_a_token(&kept), "{kept}");
    }
}
