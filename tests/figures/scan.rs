//! The time of a scan compared with a floor: opening, reading and closing the same token files by
//! known paths. A full scan finds, reads and decodes every token. A rescan sees from the files'
//! stamps that there is nothing to read.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use tokenwatch::clocks;
use tokenwatch::sources::volumes::Scanner;
use tokenwatch_core::base::time::{Delta, Reading};

use crate::node::{Layout, Node};
use crate::table::{Figure, median};

const TOKENS: usize = 10_000;
/// Odd, so that the median is a measured value.
const ROUNDS: usize = 9;
const LONG_AGO: Delta = Delta::from_secs(3_600);
const GOAL: f64 = 3.0;
/// Larger than any of the files.
const BUFFER: usize = 4_096;

/// Milliseconds of one round.
struct Round {
    floor_before_full: f64,
    full: f64,
    floor_before_rescan: f64,
    rescan: f64,
}

pub fn figures() -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut figures = of(Layout::TokenAlone, "token alone")?;
    figures.extend(of(Layout::ApiAccess, "token, ca.crt, namespace")?);
    Ok(figures)
}

fn of(layout: Layout, name: &str) -> Result<Vec<Figure>, Box<dyn Error>> {
    let node = Node::new(TOKENS, layout)?;
    let paths = node.token_paths();
    round(&node, &paths)?; // warms the caches
    let rounds = (0..ROUNDS).map(|_| round(&node, &paths)).collect::<Result<Vec<_>, _>>()?;
    let of = |part: fn(&Round) -> f64| median(rounds.iter().map(part).collect());
    let figure = |what: &str, ratio: f64, floor: f64, took: f64| {
        let measured = format!("{ratio:.2}x ({took:.1} ms against {floor:.1} ms)");
        Figure::new(format!("{what} of {TOKENS} volumes ({name})"), measured)
            .at_most(format!("{GOAL}x"), ratio <= GOAL)
    };
    Ok(vec![
        figure(
            "Full scan",
            of(|it| it.full / it.floor_before_full),
            of(|it| it.floor_before_full),
            of(|it| it.full),
        ),
        figure(
            "Rescan without a change",
            of(|it| it.rescan / it.floor_before_rescan),
            of(|it| it.floor_before_rescan),
            of(|it| it.rescan),
        ),
    ])
}

fn round(node: &Node, paths: &[PathBuf]) -> Result<Round, Box<dyn Error>> {
    let mut scanner = Scanner::with_clocks(vec![node.root().to_owned()], later);
    let floor_before_full = floor(paths)?;
    let full = timed_scan(&mut scanner, paths.len())?;
    let floor_before_rescan = floor(paths)?;
    let rescan = timed_scan(&mut scanner, 0)?;
    Ok(Round { floor_before_full, full, floor_before_rescan, rescan })
}

/// An hour ahead, so that all files are old: a rescan reads files that are younger than a second.
fn later() -> Reading {
    let now = clocks::now();
    Reading { wall: now.wall + LONG_AGO, monotonic: now.monotonic + LONG_AGO }
}

fn timed_scan(scanner: &mut Scanner, expected: usize) -> Result<f64, Box<dyn Error>> {
    let mut seen = Vec::new();
    let start = Instant::now();
    let summary = scanner.scan(&mut seen);
    let took = millis(start);
    let is_whole =
        seen.len() == expected && summary.tokens == TOKENS && summary.problems.is_empty();
    is_whole.then_some(took).ok_or_else(|| {
        format!(
            "a scan found {} tokens and reported {}: {:?}",
            summary.tokens,
            seen.len(),
            summary.problems
        )
        .into()
    })
}

fn floor(paths: &[PathBuf]) -> std::io::Result<f64> {
    let mut buffer = [0; BUFFER];
    let start = Instant::now();
    for path in paths {
        std::hint::black_box(File::open(path)?.read(&mut buffer)?);
    }
    Ok(millis(start))
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
