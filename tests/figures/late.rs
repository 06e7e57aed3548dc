//! How often the agent watches a new generation before kubelet makes it the current one, on an idle
//! machine and on a busy one. Where it is too late, it may have missed a read.

use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use tokenwatch::sources::token_volumes::TokenVolumes;
use tokenwatch::sources::volumes::FilesConfig;
use tokenwatch::sources::watchdog::Watchdog;
use tokenwatch::sources::{readers, volumes};
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::observation::Observation;
use tokenwatch_core::world::readers::ReaderEvent;
use tokio::sync::mpsc::{Receiver, channel};

use crate::node::{Layout, Node};
use crate::table::Figure;

const ROTATIONS: usize = 200;
/// The agent learns after 5 s that a volume's clients are calm, and excuses late watches. So much
/// is not reached between two rotations.
const EVERY: Duration = Duration::from_millis(30);
/// Busy processes for each core.
const BUSY: usize = 2;
const QUEUE: usize = 512;

pub fn figures() -> Result<Vec<Figure>, Box<dyn Error>> {
    let idle = in_time()?;
    let cores = std::thread::available_parallelism()?.get();
    let busy: Result<Vec<Busy>, _> = (0..BUSY * cores).map(|_| Busy::start()).collect();
    let busy = busy.and_then(|_running| in_time())?;
    let figure = |what: &str, count: usize| {
        let name = format!("New generations that are watched in time, {what}");
        Figure::new(name, format!("{count} of {ROTATIONS}"))
    };
    Ok(vec![
        figure("idle machine", idle),
        figure(&format!("{BUSY} busy processes for each core"), busy),
    ])
}

/// A process that uses a core.
struct Busy(Child);

impl Busy {
    fn start() -> Result<Self, Box<dyn Error>> {
        Ok(Self(Command::new("sh").args(["-c", "while :; do :; done"]).spawn()?))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it runs until then
        let _ = self.0.wait();
    }
}

fn in_time() -> Result<usize, Box<dyn Error>> {
    let node = Node::new(1, Layout::ApiAccess)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let followers = TokenVolumes::followed()?;
    let config = FilesConfig {
        followers: followers.clone(),
        ..FilesConfig::new(vec![node.root().to_owned()])
    };
    let (sender, mut seen) = channel(QUEUE);
    runtime.spawn(volumes::run(config, sender.clone()));
    runtime.spawn(readers::run(followers, None, Watchdog::default(), sender));
    while watched(&mut seen) == [0, 0] {
        std::thread::sleep(EVERY);
    }
    let mut found = 0;
    for _ in 0..ROTATIONS {
        node.write(0, Delta::ZERO)?;
        std::thread::sleep(EVERY);
        found += watched(&mut seen)[1];
    }
    std::thread::sleep(10 * EVERY);
    found += watched(&mut seen)[1];
    runtime.shutdown_background();
    Ok(found)
}

/// Of the generations that were reported until now, how many were watched late, and in time.
fn watched(seen: &mut Receiver<Observation>) -> [usize; 2] {
    let mut found = [0, 0];
    while let Ok(observation) = seen.try_recv() {
        if let Observation::Readers(seen) = observation
            && let ReaderEvent::Watching { complete, .. } = seen.what
        {
            found[usize::from(complete)] += 1;
        }
    }
    found
}
