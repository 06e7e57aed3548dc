//! Something else where the agent expects a file, and a disk that hangs.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::agent::{Agent, LONGEST_END, PATIENCE, error, finished};
use crate::alone::is_alone;
use crate::hung::{Hung, mounted};
use crate::node::{Node, bare, payload, token};

fn pipe(path: &Path) -> &Path {
    mkfifo(path, Mode::S_IRWXU).unwrap();
    path
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_with_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    pipe(Path::new(&of("pipe")));
    std::os::unix::fs::symlink("pipe", of("link")).unwrap();
    for name in ["pipe", "link"] {
        for command in [&["run", "--config"][..], &["check", "--config"], &["replay"]] {
            let output = finished(&[command, &[of(name).as_str()]].concat());
            assert_eq!(output.status.code(), Some(2), "{command:?}: {}", error(&output));
            assert!(error(&output).contains("it is a named pipe"), "{}", error(&output));
        }
    }
}

#[test]
fn a_pipe_in_place_of_kubelets_pods_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    pipe(&folder.path().join("pods"));
    let output = finished(&["check", "--root", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", error(&output));
}

#[test]
fn a_pipe_in_place_of_the_state_files_new_name_is_reported_and_does_not_hold_up_the_end() {
    let (node, state) = (Node::new(), tempfile::tempdir().unwrap());
    pipe(&state.path().join("findings.json.new"));
    node.pod("cart", &token(&payload("cart", 700, 600)));
    let agent = Agent::run(&node, &["--state-dir", state.path().to_str().unwrap()]);
    let printed = agent.until("active findings not saved");
    assert!(printed.contains("it is a named pipe, and no regular file; remove it"), "{printed}");
    agent.signal(Signal::SIGTERM);
    let (status, took, _) = agent.end();
    assert!(status.success() && took < LONGEST_END, "{status} after {took:?}");
}

#[test]
fn a_disk_that_hangs_does_not_hold_up_the_end() {
    if !is_alone("stuck::files::a_disk_that_hangs_does_not_hold_up_the_end") {
        return;
    }
    let (node, state) = (Node::new(), tempfile::tempdir().unwrap());
    mounted(state.path());
    let agent = Agent::run(&node, &["--state-dir", state.path().to_str().unwrap()]);
    let saved = state.path().join("findings.json");
    let started = Instant::now();
    while !saved.exists() {
        assert!(started.elapsed() < PATIENCE, "it does not save");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let Some(_hung) = Hung::over(state.path()) else { return };
    agent.signal(Signal::SIGTERM);
    let (status, took, printed) = agent.end();
    assert!(status.success() && took < LONGEST_END, "{status} after {took:?}: {printed}");
    assert!(printed.contains("saved=false"), "{printed}");
}

#[test]
fn a_disk_that_hangs_at_the_start_does_not_hold_up_the_end() {
    if !is_alone("stuck::files::a_disk_that_hangs_at_the_start_does_not_hold_up_the_end") {
        return;
    }
    let (node, state) = (Node::new(), tempfile::tempdir().unwrap());
    mounted(state.path());
    std::fs::write(state.path().join("findings.json"), "{}").unwrap();
    let Some(hung) = Hung::over(state.path()) else { return };
    let agent = Agent::run(&node, &["--state-dir", state.path().to_str().unwrap()]);
    agent.until("confined");
    hung.wait_for_an_open();
    agent.signal(Signal::SIGTERM);
    let (status, took, printed) = agent.end();
    assert!(status.success() && took < LONGEST_END, "{status} after {took:?}: {printed}");
    // Nor does it keep the agent from its work.
    node.pod("cart", &token(&payload("cart", 700, 600)));
    let agent = Agent::run(&node, &["--state-dir", state.path().to_str().unwrap()]);
    let printed = agent.until("token.expired");
    assert!(printed.contains("the state directory does not answer"), "{printed}");
    agent.signal(Signal::SIGTERM);
    let (status, took, printed) = agent.end();
    assert!(status.success() && took < LONGEST_END, "{status} after {took:?}: {printed}");
}

/// `tests/restarts` ends agents by SIGTERM.
#[test]
fn a_closed_terminal_ends_the_agent_as_sigterm_does_unless_that_is_ignored() {
    let node = Node::new();
    node.pod("cart", &token(&payload("cart", 700, 600)));
    let state = tempfile::tempdir().unwrap();
    // Whoever runs this test may ignore the signal, and its programs would, too.
    let mut command = Command::new("env");
    let run = ["--default-signal=HUP", env!("CARGO_BIN_EXE_tokenwatch"), "run", "--state-dir"];
    let options = ["--node", "node-1", "--clock-discover", "false", "--root"];
    let command = bare(&mut command).args(run).arg(state.path()).args(options).arg(node.root());
    let agent = Agent::start(command.stderr(Stdio::piped()));
    agent.until("token.expired");
    agent.signal(Signal::SIGHUP);
    let (status, took, printed) = agent.end();
    assert!(status.success() && took < LONGEST_END, "{status} after {took:?}: {printed}");
    assert!(printed.contains("SIGHUP"), "{printed}");
    let saved = std::fs::read_to_string(state.path().join("findings.json")).unwrap();
    assert!(saved.contains("token.expired"), "{saved}");

    let mut command = Command::new("nohup");
    let agent = Agent::start(
        bare(&mut command)
            .arg(env!("CARGO_BIN_EXE_tokenwatch"))
            .args(["run", "--node", "node-1", "--clock-discover", "false", "--root"])
            .arg(node.root())
            .stderr(Stdio::piped()),
    );
    agent.until("token.expired");
    agent.signal(Signal::SIGHUP);
    node.pod("late", &token(&payload("late", 700, 600)));
    agent.until("shop/late");
    agent.signal(Signal::SIGTERM);
    assert!(agent.end().0.success());
}
