//! A long load of healthy readers with restarts and rollouts: nobody is accused. It is no part of
//! `tests/all`, because it takes half an hour; `tests/soak readers` runs it.

use super::agent::Agent;
use std::process::Command;
use std::time::{Duration, Instant};

use tokenwatch_core::world::privileges::Level;

use super::Scene;
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
    let scene = Scene::start("soak", Level::Files);
    start(&scene.deployment.cluster);
    let minutes = minutes();
    let rows: Vec<Row> =
        Level::ALL.into_iter().map(|level| scene.load(level, minutes / 3)).collect();
    let page = page(minutes, &rows);
    println!("{page}");
    assert!(rows.iter().all(|row| row.reported.is_empty()), "{rows:#?}");
    std::fs::write(repository().join(PAGE), page).unwrap();
}

fn minutes() -> u64 {
    let minutes = std::env::var("SOAK_MINUTES").ok();
    minutes.and_then(|text| text.parse().ok()).unwrap_or(30)
}

fn start(cluster: &Cluster) {
    apply(cluster, "readers.yaml");
    apply(cluster, "soak.yaml");
    let others: Vec<&str> = OTHERS.split(',').collect();
    let delete = ["delete", "pod", "--ignore-not-found", "--wait=true"];
    cluster.kubectl(&[&delete[..], &others].concat());
    cluster.kubectl(&["wait", "--for=condition=Ready", "pods", "--all", "--timeout=180s"]);
}

fn apply(cluster: &Cluster, file: &str) {
    let file = repository().join("tests/cluster").join(file);
    cluster.apply(&std::fs::read_to_string(file).unwrap());
}

/// What one level reported, and what it cost.
#[derive(Debug)]
struct Row {
    level: Level,
    reported: Vec<Alert>,
    suspected: usize,
    /// Of the agent, in percent of a core.
    cpu: f64,
    /// The same with the busy reader.
    busy: f64,
    /// Of the agent, in MB.
    memory: f64,
}

impl Scene {
    /// The load at one level.
    fn load(&self, level: Level, minutes: u64) -> Row {
        let cluster = &self.deployment.cluster;
        self.agent.upgrade(&self.deployment, level);
        let before = self.agent.accusations().len();
        let (busy, memory) = self.cost();
        cluster.kubectl(&["delete", "pod", "burst"]);
        let (cpu, _) = self.cost();
        apply(cluster, "soak.yaml");
        cluster.kubectl(&["wait", "--for=condition=Ready", "pod/burst", "--timeout=180s"]);
        (0..minutes).for_each(|round| self.a_busy_minute(round));
        let alerts = self.agent.accusations().into_iter().skip(before);
        let (suspected, reported): (Vec<_>, Vec<_>) =
            alerts.partition(|alert| alert.severity() == "info");
        Row { level, reported, suspected: suspected.len(), cpu, busy, memory }
    }

    /// Rollouts, deletions, and restarts of kubelet, containerd and the agent.
    fn a_busy_minute(&self, round: u64) {
        let (cluster, minute) = (&self.deployment.cluster, Instant::now());
        println!("[soak] {} round {round}", self.agent.level().name());
        cluster.kubectl(&["rollout", "restart", "deployment/rolling"]);
        match round % 8 {
            1 | 4 => drop(cluster.kubectl(&["delete", "pod", "-l", "app=python", "--wait=false"])),
            3 => cluster.component("kubelet", &[]),
            5 => cluster.component("containerd", &[]),
            7 => Agent::restart(&self.deployment),
            _ => {}
        }
        std::thread::sleep(MEASURED.saturating_sub(minute.elapsed()));
    }

    /// What the agent uses in a minute: CPU in percent of a core, and memory in MB.
    fn cost(&self) -> (f64, f64) {
        let before = Agent::used(&self.deployment).0;
        std::thread::sleep(MEASURED);
        let (after, memory) = Agent::used(&self.deployment);
        (100.0 * (after - before) / MEASURED.as_secs_f64(), memory)
    }
}

fn page(minutes: u64, rows: &[Row]) -> String {
    let date = text(&run(Command::new("date").args(["--utc", "+%F"])).stdout);
    format!(
        "# Long load of healthy readers\n\n\
         Last run of `tests/soak readers`: {}, {minutes} minutes of 20 healthy readers,\n\
         with rollouts, deletions, and restarts of kubelet, containerd and the agent. CPU is in\n\
         percent of a core, over a minute.\n\n\
         | level | reported | suspected | CPU | CPU with 10,000 opens/s | memory |\n\
         |---|---|---|---|---|---|\n{}",
        date.trim(),
        rows.iter().map(line).collect::<String>()
    )
}

fn line(row: &Row) -> String {
    let Row { level, reported, suspected, cpu, busy, memory } = row;
    let (level, reported) = (level.name(), reported.len());
    format!("| {level} | {reported} | {suspected} | {cpu:.2} % | {busy:.2} % | {memory:.1} MB |\n")
}
