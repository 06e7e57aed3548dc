//! The cost of seeing who opens a token: to the process that opens it, and to the agent's thread.
//! The reader is a process of its own, because the agent leaves out its own opens.

use std::error::Error;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokenwatch::sources::readers::fanotify::{Group, Openers, VolumeId, run};
use tokenwatch::sources::watchdog::Watchdog;
use tokio::sync::mpsc::channel;

use crate::node::{Layout, Node};
use crate::table::{Figure, median};

/// Opens a second of a client that reads its token for each of many requests.
pub const BUSY: u32 = 10_000;
/// Opens a second of a node with 250 pods whose clients read their tokens every few seconds.
const USUAL: u32 = 50;
/// How long the reader opens the token each time.
pub const LONG: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
/// Of a core.
const GOAL_PERCENT: f64 = 1.0;
/// The name of the thread.
const THREAD: &str = "openers";

/// Opens, reads and closes the file for a while, so many times a second or as fast as it can (0).
/// Prints the processor time of each, in microseconds, and their number.
pub fn read_often(file: &Path, rate: u32) -> Result<(), Box<dyn Error>> {
    nix::sys::prctl::set_name(c"reader")?; // the agent leaves out processes of its own name
    let (started, before, mut count) = (Instant::now(), processor_time()?, 0_u32);
    let mut buffer = [0; 4_096];
    while started.elapsed() < LONG {
        if f64::from(count) < started.elapsed().as_secs_f64() * f64::from(rate) || rate == 0 {
            std::hint::black_box(File::open(file)?.read(&mut buffer)?);
            count += 1;
        } else {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    println!("{} {count}", (processor_time()? - before) * 1e6 / f64::from(count));
    Ok(())
}

/// Seconds of this process.
fn processor_time() -> nix::Result<f64> {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
    Ok(Duration::from(time).as_secs_f64())
}

/// What one reader and the thread needed.
struct Round {
    /// Microseconds of the reader for each open.
    each: f64,
    opens: f64,
    /// Of a core, by the thread.
    percent: f64,
    reports: usize,
}

pub fn figures() -> Result<Vec<Figure>, Box<dyn Error>> {
    let node = Node::new(1, Layout::TokenAlone)?;
    let token = node.token_paths().remove(0);
    let Ok(group) = Group::open() else {
        return Ok(vec![Figure::new(
            "Opens of tokens, with their processes",
            "NOT MEASURED: no root",
        )]);
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let (openers, (sender, mut reports)) = (Openers::new(group), channel(512));
    runtime.spawn(run(openers.clone(), Watchdog::default(), sender));
    std::thread::sleep(Duration::from_millis(300)); // until the thread runs
    let id = VolumeId { pod_uid: "cart".to_owned(), volume: "token".to_owned() };
    let volume = token.parent().ok_or("a token has a volume")?.to_owned();
    let mut measure = |is_followed: bool, rate: u32| -> Result<Round, Box<dyn Error>> {
        // The marks stay: what is not followed is another volume.
        let other = Node::new(1, Layout::TokenAlone)?;
        let file = if is_followed { token.clone() } else { other.token_paths().remove(0) };
        openers.follow(&id, &volume);
        round(&file, rate, || std::iter::from_fn(|| reports.try_recv().ok()).count())
    };
    let mut unlimited = Vec::new();
    for _ in 0..ROUNDS {
        unlimited.push((measure(false, 0)?, measure(true, 0)?));
    }
    let (usual, busy) = (measure(true, USUAL)?, measure(true, BUSY)?);
    Ok(vec![
        of_the_reader(&unlimited),
        of_the_thread(&usual),
        of_the_thread(&busy)
            .at_most(format!("{GOAL_PERCENT} % of a core"), busy.percent <= GOAL_PERCENT),
    ])
}

fn of_the_reader(rounds: &[(Round, Round)]) -> Figure {
    let of = |part: fn(&(Round, Round)) -> f64| median(rounds.iter().map(part).collect());
    let (without, with) = (of(|(without, _)| without.each), of(|(_, with)| with.each));
    let ratio = of(|(without, with)| with.each / without.each);
    Figure::new(
        "Open, read and close of a followed token, without a pause",
        format!("{ratio:.2}x ({with:.2} us against {without:.2} us)"),
    )
}

fn of_the_thread(round: &Round) -> Figure {
    Figure::new(
        format!("Thread that attributes opens, at {:.0} opens/s", round.opens / LONG.as_secs_f64()),
        format!("{:.2} % of a core, {} reports", round.percent, round.reports),
    )
}

fn round(file: &Path, rate: u32, reports: impl FnOnce() -> usize) -> Result<Round, Box<dyn Error>> {
    let before = thread_nanos()?;
    let (each, opens) = read_in_process(file, rate)?;
    std::thread::sleep(Duration::from_millis(300));
    let nanos = thread_nanos()? - before;
    Ok(Round { each, opens, percent: nanos as f64 / LONG.as_secs_f64() / 1e7, reports: reports() })
}

/// Another process opens the file so often for a while. Returns its microseconds for each open.
pub fn read_by_another(file: &Path, rate: u32) -> Result<f64, Box<dyn Error>> {
    read_in_process(file, rate).map(|(each, _)| each)
}

/// Microseconds for each open, and the number of opens.
fn read_in_process(file: &Path, rate: u32) -> Result<(f64, f64), Box<dyn Error>> {
    let reader = Command::new(std::env::current_exe()?)
        .args(["--agent", "none", "--rate", &rate.to_string(), "--read-often"])
        .arg(file)
        .output()?;
    let output = String::from_utf8(reader.stdout)?;
    let (each, opens) = output.trim().split_once(' ').ok_or("the reader failed")?;
    Ok((each.parse()?, opens.parse()?))
}

/// Processor time of the thread so far, by the scheduler's own count.
fn thread_nanos() -> Result<u64, Box<dyn Error>> {
    for task in std::fs::read_dir("/proc/self/task")?.flatten() {
        let file = |name: &str| -> PathBuf { task.path().join(name) };
        if std::fs::read_to_string(file("comm"))?.trim() == THREAD {
            let stat = std::fs::read_to_string(file("schedstat"))?;
            return Ok(stat.split(' ').next().unwrap_or_default().parse()?);
        }
    }
    Err("the thread does not run".into())
}
