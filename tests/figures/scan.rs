//! A pass over everything against the least it could cost: opening, reading and closing the same token files, their paths known beforehand.

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use tokenwatch::sources::files::Scanner;

use crate::node::{Layout, Node};
use crate::table::{Figure, median};

const TOKENS: usize = 10_000;
/// Odd, so that the median is one that was measured.
const ROUNDS: usize = 9;
const GOAL: f64 = 3.0;
/// Larger than any of the files.
const BUFFER: usize = 4_096;

/// Milliseconds of one round.
struct Round {
    floor_before_first: f64,
    first: f64,
    floor_before_again: f64,
    again: f64,
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
        Figure::new(format!("{what} of {TOKENS} volumes ({name})"), measured).at_most(format!("{GOAL}x"), ratio <= GOAL)
    };
    Ok(vec![
        figure("First pass", of(|it| it.first / it.floor_before_first), of(|it| it.floor_before_first), of(|it| it.first)),
        figure("Pass again", of(|it| it.again / it.floor_before_again), of(|it| it.floor_before_again), of(|it| it.again)),
    ])
}

fn round(node: &Node, paths: &[PathBuf]) -> Result<Round, Box<dyn Error>> {
    let mut scanner = Scanner::new(vec![node.root().to_owned()]);
    let floor_before_first = floor(paths)?;
    let first = pass(&mut scanner, paths.len())?;
    let floor_before_again = floor(paths)?;
    let again = pass(&mut scanner, 0)?;
    Ok(Round { floor_before_first, first, floor_before_again, again })
}

fn pass(scanner: &mut Scanner, expected: usize) -> Result<f64, Box<dyn Error>> {
    let mut seen = Vec::new();
    let start = Instant::now();
    let summary = scanner.scan(&mut seen);
    let took = millis(start);
    let is_whole = seen.len() == expected && summary.tokens == TOKENS && summary.problems.is_empty();
    is_whole.then_some(took).ok_or_else(|| format!("a pass saw {} and told {}: {:?}", summary.tokens, seen.len(), summary.problems).into())
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
