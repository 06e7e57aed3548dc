//! A long load of healthy readers with restarts and rollouts: nobody is accused. It is no part of
//! `tests/all`, because it takes half an hour; `tests/soak readers` runs it.

use std::process::Command;
use std::time::{Duration, Instant};

use super::agent::Agent;
use super::{Level, Scene};
use crate::bed::{Cluster, repository};
use crate::process::{run, text};
use crate::telemetry::Alert;
use crate::wait::secs;

const PAGE: &str = "docs/readers-soak.md";
/// The pods of readers.yaml that have something to report, and the job, which ends.
const OTHERS: &str = "client-go-8,python-11,lightkube,fabric8,collector,held,mapped,subpath,pair,\
                      frozen,restarted,looked-into";
/// Time over which the cost is measured, with and without the busy reader.
const MEASURED: Duration = secs(60);

#[test]
#[ignore = "takes half an hour: tests/soak readers"]
fn a_long_load_of_healthy_readers_has_no_false_alarm() {
    let scene = Scene::start();
    let cluster = &scene.deployment.cluster;
    start(cluster, &["readers.yaml", "soak.yaml"]);
    let busy = scene.cost();
    cluster.kubectl(&["delete", "pod", "burst"]);
    let idle = scene.cost();
    start(cluster, &["soak.yaml"]);
    let minutes = minutes();
    (0..minutes).for_each(|round| a_busy_minute(&scene, round));
    let alerts: Vec<Vec<Alert>> = scene.agents.iter().map(Agent::accusations).collect();
    let page = page(minutes, &alerts, &busy, &idle);
    println!("{page}");
    let accused: Vec<&Alert> =
        alerts.iter().flatten().filter(|alert| alert.severity() != "info").collect();
    assert!(accused.is_empty(), "{accused:#?}");
    std::fs::write(repository().join(PAGE), page).unwrap();
}

fn minutes() -> u64 {
    let minutes = std::env::var("TOKENWATCH_SOAK_MINUTES").ok();
    minutes.and_then(|text| text.parse().ok()).unwrap_or(30)
}

fn start(cluster: &Cluster, files: &[&str]) {
    for file in files {
        let file = repository().join("tests/cluster").join(file);
        cluster.apply(&std::fs::read_to_string(file).unwrap());
    }
    let others: Vec<&str> = OTHERS.split(',').collect();
    let delete = ["delete", "pod", "--ignore-not-found", "--wait=true"];
    cluster.kubectl(&[&delete[..], &others].concat());
    cluster.kubectl(&["wait", "--for=condition=Ready", "pods", "--all", "--timeout=180s"]);
}

/// Rollouts, deletions, jobs, and restarts of kubelet, containerd and the agents.
fn a_busy_minute(scene: &Scene, round: u64) {
    let cluster = &scene.deployment.cluster;
    println!("[soak] round {round}");
    let minute = Instant::now();
    cluster.kubectl(&["rollout", "restart", "deployment/rolling"]);
    if round % 3 == 1 {
        cluster.kubectl(&["delete", "pod", "-l", "app=python", "--wait=false"]);
    }
    if round % 8 == 3 {
        cluster.component("kubelet", &[]);
    }
    if round % 8 == 5 {
        cluster.component("containerd", &[]);
    }
    if round % 8 == 7 {
        scene.agents.iter().for_each(|agent| agent.restart(&scene.deployment));
    }
    std::thread::sleep(secs(60).saturating_sub(minute.elapsed()));
}

/// What one agent used.
#[derive(Clone, Copy)]
struct Cost {
    /// In percent of a core.
    cpu: f64,
    /// In MB.
    memory: f64,
}

impl Scene {
    /// What each agent uses in a minute.
    fn cost(&self) -> [Cost; 3] {
        let used = || self.agents.each_ref().map(|agent| agent.used(&self.deployment));
        let before = used();
        std::thread::sleep(MEASURED);
        let after = used();
        std::array::from_fn(|at| {
            let seconds = after[at].0 - before[at].0;
            Cost { cpu: 100.0 * seconds / MEASURED.as_secs_f64(), memory: after[at].1 }
        })
    }
}

fn page(minutes: u64, alerts: &[Vec<Alert>], busy: &[Cost; 3], idle: &[Cost; 3]) -> String {
    let date = text(&run(Command::new("date").args(["--utc", "+%F"])).stdout);
    let rows = Level::ALL.into_iter().enumerate();
    let rows = rows.map(|(at, level)| row(level, &alerts[at], busy[at], idle[at]));
    format!(
        "# Long load of healthy readers\n\nLast run of `tests/soak readers`: {}, {minutes} minutes of \
         20 healthy readers, with rollouts, deletions,\nand restarts of kubelet, containerd and the \
         agents. CPU is in percent of a core, over a minute.\n\n| level | reported | suspected | CPU \
         | CPU with 10,000 opens/s | memory |\n|---|---|---|---|---|---|\n{}",
        date.trim(),
        rows.collect::<String>()
    )
}

fn row(level: Level, alerts: &[Alert], busy: Cost, idle: Cost) -> String {
    let suspected = alerts.iter().filter(|alert| alert.severity() == "info").count();
    format!(
        "| {} | {} | {suspected} | {:.2} % | {:.2} % | {:.1} MB |\n",
        level.name(),
        alerts.len() - suspected,
        idle.cpu,
        busy.cpu,
        busy.memory
    )
}
