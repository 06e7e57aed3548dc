//! Sequences of contents and restarts: once a finding about a path is active, one stays active
//! until the path holds a token or the volume is gone.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tokenwatch::sources::expected::ExpectedTokens;
use tokenwatch::sources::volumes::Scanner;
use tokenwatch_core::base::time::{Delta, Monotonic, Reading, Wall};
use tokenwatch_core::engine::{Config, Engine, Outcome, Report};
use tokenwatch_core::findings::FindingId;
use tokenwatch_core::ledger::{self, Restored};
use tokenwatch_core::world::observation::{Observation, SourceState};

use crate::volumes::Node;
use crate::{Instead, key, remove, write};

/// As `token` of the support has it.
const START: i64 = 1_800_000_000;

#[derive(Clone, Copy, Debug)]
enum Act {
    /// kubelet writes a token.
    Write,
    /// Something takes its place.
    Break(Instead),
    /// Time passes, in seconds, and the agent rescans.
    Wait(i64),
    /// The agent is killed, and the next one starts.
    Restart,
    /// The pod is removed.
    Remove,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Write),
        6 => prop::sample::select(Instead::ALL.to_vec()).prop_map(Act::Break),
        4 => (1..200i64).prop_map(Act::Wait),
        4 => Just(Act::Restart),
        1 => Just(Act::Remove),
    ]
}

/// An agent without its threads: the scanner, the engine, and what it has saved.
struct Agent {
    engine: Engine,
    scanner: Scanner,
    saved: BTreeMap<FindingId, Restored>,
    now: Reading,
}

impl Agent {
    fn start(node: &Node, now: Reading, saved: Vec<Restored>, held: Vec<super::TokenKey>) -> Self {
        let config = Config { node: "n1".into(), scan_expected: true, ..Config::default() };
        let mut scanner = node.scanner();
        scanner.expect(ExpectedTokens::holding(held.clone()));
        let engine = Engine::new(config);
        let mut agent = Self { engine, scanner, saved: BTreeMap::new(), now };
        agent.saved = saved.iter().map(|one| (one.finding.id("n1"), one.clone())).collect();
        let restored = agent.engine.restore(&now, saved);
        agent.save(restored);
        agent.step(Observation::Held(held));
        agent.scan();
        agent.step(Observation::Source(SourceState { source: "files".into(), degraded: None }));
        agent
    }

    fn restart(self, node: &Node) -> Self {
        // As the state file has them.
        let saved = serde_json::to_string(&self.saved.values().collect::<Vec<_>>()).unwrap();
        let held = serde_json::to_string(&self.engine.learned().held).unwrap();
        let now = self.now.after(Delta::from_secs(5));
        let read = |text: &str| serde_json::from_str(text).unwrap();
        Self::start(node, now, read(&saved), serde_json::from_str(&held).unwrap())
    }

    fn step(&mut self, observation: Observation) {
        let outcome = self.engine.step(&self.now, observation);
        self.save(outcome);
    }

    fn save(&mut self, outcome: Outcome) {
        for report in outcome.reports {
            let Report::Alert(alert) = report else { continue };
            match ledger::after(&alert) {
                (id, Some(active)) => self.saved.insert(id, active),
                (id, None) => self.saved.remove(&id),
            };
        }
    }

    fn scan(&mut self) {
        let mut out = Vec::new();
        self.scanner.scan(&mut out);
        for observation in out {
            self.step(observation);
        }
    }

    /// Time passes. The engine is woken when it wants to be.
    fn wait(&mut self, seconds: i64) {
        let end = self.now.after(Delta::from_secs(seconds));
        while let Some(at) = self.engine.next_wake().filter(|at| *at < end.monotonic) {
            self.now = self.now.after((at - self.now.monotonic).max(Delta::from_nanos(1)));
            self.step(Observation::Tick);
        }
        self.now = end;
        self.scan();
        self.step(Observation::Tick);
    }

    fn is_accused(&self) -> bool {
        let findings = self.engine.findings();
        findings.iter().any(|finding| finding.subject.token_key() == Some(key("p")))
    }
}

/// What the path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Gone,
    Good,
    Bad,
}

fn run(acts: &[Act]) -> Result<(), TestCaseError> {
    let node = Node::new();
    let now = Reading { wall: Wall::from_secs(START), monotonic: Monotonic::default() }.after(HOUR);
    let mut agent = Agent::start(&node, now, Vec::new(), Vec::new());
    let (mut path, mut accused, mut was_token) = (Path::Gone, false, false);
    for (step, act) in acts.iter().enumerate() {
        let generation = agent.now.wall.as_secs() - START;
        match act {
            Act::Write => write(&node, "p", generation),
            Act::Break(instead) => instead.put(&node, "p", generation),
            Act::Wait(seconds) => agent.wait(*seconds),
            Act::Restart => agent = agent.restart(&node),
            Act::Remove => {
                let pod = node.root().join("pods/p");
                if pod.exists() {
                    remove(&pod);
                }
            }
        }
        path = match act {
            Act::Write => Path::Good,
            Act::Break(_) => Path::Bad,
            Act::Remove => Path::Gone,
            Act::Wait(_) | Act::Restart => path,
        };
        let wrote = !matches!(act, Act::Wait(_) | Act::Restart);
        if wrote {
            agent.wait(1);
        }
        was_token = path != Path::Gone && (was_token || path == Path::Good);
        let is_accused = agent.is_accused();
        let of = format!("step {step} of {acts:?}: {:#?}", agent.engine.findings());
        // Where no token ever was, a broken one that is removed ends.
        let is_removed = matches!(act, Act::Break(Instead::Nothing | Instead::Directory));
        let may_end = path != Path::Bad || (is_removed && !was_token);
        prop_assert!(may_end || !accused || is_accused, "resolved in {}", of);
        if path == Path::Bad && was_token && matches!(act, Act::Wait(60..)) {
            prop_assert!(is_accused, "not named in {}", of);
        }
        accused = is_accused && path == Path::Bad;
    }
    Ok(())
}

const HOUR: Delta = Delta::from_secs(3_600);

proptest! {
    // Each case makes files, and scans them some ten times: 128 cases take some seconds.
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 128,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_finding_is_resolved_while_the_path_holds_no_token(acts in vec(act(), 1..16)) {
        run(&acts)?;
    }
}

/// The sequence of the report: a token becomes empty, and the agent restarts.
#[test]
fn an_emptied_token_stays_a_finding_over_restarts() {
    for instead in Instead::ALL {
        let mut acts = vec![Act::Write, Act::Wait(30), Act::Break(instead), Act::Wait(60)];
        acts.extend([Act::Restart, Act::Wait(60), Act::Wait(60), Act::Restart, Act::Wait(199)]);
        run(&acts).unwrap();
        // Broken while no agent ran.
        let unseen = [Act::Write, Act::Wait(30), Act::Restart, Act::Break(instead), Act::Wait(60)];
        run(&unseen).unwrap();
    }
}
