//! From the rename of `..data` to what the engine says of it: the real watcher into the real
//! engine, wired as in `run`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tokenwatch::clocks;
use tokenwatch::sources::volumes::{self, FilesConfig};
use tokenwatch_core::engine::Report;
use tokenwatch_core::engine::{self, Engine};

use crate::node::{Layout, Node};
use crate::table::{Figure, percentile};

const VOLUMES: usize = 250;
/// Two rotations a second.
const EVERY: Duration = Duration::from_millis(500);
/// Nobody waits longer for a verdict; it counts as lost.
const LOST: Duration = Duration::from_secs(1);
/// As many observations may wait as in `run`.
const QUEUE: usize = 512;
const GOAL_MS: f64 = 10.0;

/// `lasting` a whole minute or more, there is a pass over everything in it.
pub fn figures(lasting: Duration) -> Result<Vec<Figure>, Box<dyn Error>> {
    let node = Node::new(VOLUMES, Layout::ApiAccess)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (verdicts, said) = channel();
    let seen = Arc::new(AtomicUsize::new(0));
    runtime.spawn(watch(
        FilesConfig::new(vec![node.root().to_owned()]),
        Arc::clone(&seen),
        verdicts,
    ));
    while seen.load(Ordering::Relaxed) < VOLUMES {
        std::thread::sleep(EVERY);
    }
    let mut took = rotate(&node, &said, lasting)?;
    runtime.shutdown_background();
    took.sort_by(f64::total_cmp);
    let lost = took.iter().filter(|took| took.is_infinite()).count();
    let figure = |percent| {
        Figure::new(
            name(percent, took.len(), lost),
            format!("{:.2} ms", percentile(&took, percent)),
        )
    };
    Ok(vec![
        figure(50),
        figure(99).at_most(format!("{GOAL_MS} ms"), percentile(&took, 99) <= GOAL_MS),
        figure(100),
    ])
}

fn name(percent: usize, rotations: usize, lost: usize) -> String {
    let which = if percent == 100 { "longest".to_owned() } else { format!("p{percent}") };
    format!(
        "Rename to verdict, {which} ({VOLUMES} volumes, 2 rotations/s, {rotations} rotations, \
         {lost} lost)"
    )
}

async fn watch(config: FilesConfig, seen: Arc<AtomicUsize>, verdicts: Sender<Instant>) {
    let (tell, mut heard) = tokio::sync::mpsc::channel(QUEUE);
    tokio::spawn(volumes::run(config, tell));
    let mut engine = Engine::new(engine::Config::default());
    while let Some(observation) = heard.recv().await {
        let actions = engine.step(&clocks::now(), observation);
        seen.fetch_add(1, Ordering::Relaxed);
        if actions.reports.iter().any(|action| matches!(action, Report::Rotation { .. }))
            && verdicts.send(Instant::now()).is_err()
        {
            return;
        }
    }
}

/// One after the other, each in another volume; milliseconds from before the rename to after the
/// engine's step.
fn rotate(
    node: &Node,
    said: &Receiver<Instant>,
    lasting: Duration,
) -> Result<Vec<f64>, Box<dyn Error>> {
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < lasting {
        let rotation = node.prepare(took.len() % node.len())?;
        let renamed = Instant::now();
        rotation.swap()?;
        rotation.finish()?; // as kubelet does, without waiting for anybody
        let verdict = said.recv_timeout(LOST).ok();
        took.push(verdict.map_or(f64::INFINITY, |at| (at - renamed).as_secs_f64() * 1e3));
        std::thread::sleep(EVERY.saturating_sub(renamed.elapsed()));
    }
    Ok(took)
}
