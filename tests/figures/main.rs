//! The figures of docs/performance.md. `tests/bench` builds what is measured, runs this, and shows
//! the table.

#![allow(unreachable_pub)] // a program: only its own modules use them
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

mod deployed;
mod late;
mod levels;
mod node;
mod openers;
mod processes;
mod scan;
mod signatures;
mod table;
mod verdict;
mod weight;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use table::{Figure, megabytes};

const GOAL_BINARY: u64 = 10_000_000;

/// Measures tokenwatch.
#[derive(Debug, Parser)]
struct Options {
    /// The static release binary, which is measured.
    #[arg(long)]
    agent: PathBuf,
    /// The same binary, linked dynamically, to measure its size.
    #[arg(long)]
    dynamic: Option<PathBuf>,
    /// prometheus-node-exporter, to compare with.
    #[arg(long)]
    node_exporter: Option<PathBuf>,
    /// Duration of the rotations in seconds, with two rotations a second.
    #[arg(long, default_value_t = 60)]
    verdict_secs: u64,
    /// Duration of the idle measurement in seconds. The default covers two full rescans, two
    /// exports of metrics and two queries to a time server.
    #[arg(long, default_value_t = 120)]
    idle_secs: u64,
    /// Number of hours' worth of rotations before the last measurement of memory. More than one
    /// shows whether it grows.
    #[arg(long, default_value_t = 1)]
    hours: usize,
    /// Interval between these rotations in milliseconds.
    #[arg(long, default_value_t = 100)]
    rotate_every_ms: u64,
    /// Kubeconfig for an API server that has nodes worker-110 and worker-250 with that many pods,
    /// to measure the deployed agent.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Only opens this file for a while: the reader of another measurement.
    #[arg(long, hide = true)]
    read_often: Option<PathBuf>,
    /// How many times a second; 0: as often as it can.
    #[arg(long, hide = true, default_value_t = 0)]
    rate: u32,
    /// Measure only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Scan,
    Signatures,
    Processes,
    Verdict,
    Weight,
    Deployed,
    Late,
    Openers,
    Levels,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    if let Some(file) = &options.read_often {
        return openers::read_often(file, options.rate);
    }
    tokenwatch::sys::malloc_frugally(); // as the agent does: its parts run here
    println!("| figure | measured | goal | |\n|---|---|---|---|");
    if options.wants(Part::Scan) {
        show(&scan::figures()?);
    }
    if options.wants(Part::Signatures) {
        show(&signatures::figures()?);
    }
    if options.wants(Part::Processes) {
        show(&processes::figures()?);
    }
    if options.wants(Part::Verdict) {
        show(&verdict::figures(Duration::from_secs(options.verdict_secs))?);
    }
    if options.wants(Part::Late) {
        show(&late::figures()?);
    }
    if options.wants(Part::Openers) {
        show(&openers::figures()?);
    }
    if options.wants(Part::Levels) {
        show(&levels::figures(&options.agent, Duration::from_secs(options.idle_secs))?);
    }
    if options.wants(Part::Weight) {
        measure_weight(&options)?;
    }
    if let Some(kubeconfig) =
        options.kubeconfig.as_deref().filter(|_| options.wants(Part::Deployed))
    {
        let (agent, node_exporter) = (options.agent.as_path(), options.node_exporter.as_deref());
        let idle = Duration::from_secs(options.idle_secs);
        show(&deployed::figures(&deployed::Setting { agent, kubeconfig, node_exporter, idle })?);
    }
    Ok(())
}

fn measure_weight(options: &Options) -> Result<(), Box<dyn Error>> {
    show(&weight::figures(&weight::Setting {
        agent: &options.agent,
        node_exporter: options.node_exporter.as_deref(),
        idle: Duration::from_secs(options.idle_secs),
        hours: options.hours,
        every: Duration::from_millis(options.rotate_every_ms),
    })?);
    let size = size(&options.agent)?;
    show(&[Figure::new("Binary, static, stripped", megabytes(size))
        .at_most("10 MB", size <= GOAL_BINARY)]);
    if let Some(dynamic) = &options.dynamic {
        show(&[Figure::new("Binary, dynamic, stripped", megabytes(self::size(dynamic)?))]);
    }
    Ok(())
}

fn show(figures: &[Figure]) {
    for figure in figures {
        println!("{figure}");
    }
}

fn size(binary: &Path) -> Result<u64, Box<dyn Error>> {
    Ok(std::fs::metadata(binary).map_err(|error| format!("{}: {error}", binary.display()))?.len())
}
