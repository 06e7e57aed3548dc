//! A long load of healthy readers with restarts and rollouts: nobody is accused. It is no part of
//! `tests/all`, because it takes half an hour; `tests/soak readers` runs it.

use std::time::{Duration, Instant};

use super::agent::{self, Agent};
use super::{Level, Scene};
use crate::bed::{Cluster, repository};
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
    let minutes = std::env::var("TOKENWATCH_SOAK_MINUTES").ok();
    let minutes: u64 = minutes.and_then(|text| text.parse().ok()).unwrap_or(30);
    let scene = Scene::start();
    let cluster = &scene.deployment.cluster;
    start(cluster, &["readers.yaml", "soak.yaml"]);
    let busy = scene.cost();
    cluster.kubectl(&["delete", "pod", "burst"]);
    let idle = scene.cost();
    start(cluster, &["soak.yaml"]);
    let started = Instant::now();
    for round in 0.. {
        if started.elapsed() >= Duration::from_mins(minutes) {
            break;
        }
        a_busy_minute(&scene, round);
    }
    let alerts: Vec<Vec<Alert>> = scene.agents.iter().map(Agent::accusations).collect();
    let page = page(minutes, &alerts, &busy, &idle);
    println!("{page}");
    let accused: Vec<&Alert> =
        alerts.iter().flatten().filter(|alert| alert.severity() != "info").collect();
    assert!(accused.is_empty(), "{accused:#?}");
    std::fs::write(repository().join(PAGE), page).unwrap();
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
fn a_busy_minute(scene: &Scene, round: u32) {
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

impl Scene {
    /// CPU of each agent in percent of a core, and its memory in MB.
    fn cost(&self) -> [(f64, f64); 3] {
        let used =
            || self.agents.each_ref().map(|agent| agent::seconds_of(agent, &self.deployment));
        let before = used();
        std::thread::sleep(MEASURED);
        let after = used();
        std::array::from_fn(|at| {
            let (cpu, memory) = (after[at].0 - before[at].0, after[at].1);
            (100.0 * cpu / MEASURED.as_secs_f64(), memory)
        })
    }
}

fn page(
    minutes: u64,
    alerts: &[Vec<Alert>],
    busy: &[(f64, f64); 3],
    idle: &[(f64, f64); 3],
) -> String {
    let date = chrono::Utc::now().format("%F");
    let mut page = format!(
        "# Long load of healthy readers\n\nLast run of `tests/soak readers`: {date}, {minutes} minutes \
         of 20 healthy readers with rollouts,\ndeletions, and restarts of kubelet, containerd and the \
         agents. CPU over a minute, in percent of a core.\n\n| level | reported | suspected | CPU | CPU \
         with 10,000 opens/s | memory |\n|---|---|---|---|---|---|\n"
    );
    for (at, level) in Level::ALL.into_iter().enumerate() {
        let suspected = alerts[at].iter().filter(|alert| alert.severity() == "info").count();
        let reported = alerts[at].len() - suspected;
        let (name, memory) = (level.name(), busy[at].1);
        let (idle, busy) = (idle[at].0, busy[at].0);
        page += &format!(
            "| {name} | {reported} | {suspected} | {idle:.2} % | {busy:.2} % | {memory:.1} MB |\n"
        );
    }
    page
}
