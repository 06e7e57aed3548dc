//! docs/readers-last-run.md: what the last run at each level measured.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use super::verdict::Verdict;
use crate::bed::repository;
use crate::process::{run, text};
use tokenwatch_core::world::privileges::Level;

const PAGE: &str = "docs/readers-last-run.md";
const INTRODUCTION: &str = "\
# Scoreboard: the last run

What `tests/clients` measured with the clients of [the scoreboard](readers-scoreboard.md), on a real
cluster with tokens of 600 s. *Named*: seconds from the rotation to the report, as a warning or
worse if there was one before the 401, else as info. *Lead*: seconds from the report to the API
server's first 401. Clients that are neither named nor refused are left out.

";
const COLUMNS: &str = "| client | habit | named | lead |\n|---|---|---|---|\n";

/// The levels are measured side by side.
static WRITING: Mutex<()> = Mutex::new(());

/// Writes the level's part of the page.
pub fn write(level: Level, verdicts: &[Verdict]) {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let file = repository().join(PAGE);
    let old = std::fs::read_to_string(&file).unwrap_or_default();
    let part = |of: Level| if of == level { measured(level, verdicts) } else { kept(&old, of) };
    let mut page = INTRODUCTION.trim_end().to_owned();
    for part in Level::ALL.map(part).iter().filter(|part| !part.is_empty()) {
        page = format!("{page}\n\n{}", part.trim_end());
    }
    std::fs::write(file, page + "\n").unwrap();
}

/// The part of another level, as it is.
fn kept(page: &str, level: Level) -> String {
    let is_it = |part: &&str| part.starts_with(&format!("{}, ", level.name()));
    let part = page.split("\n## ").skip(1).find(is_it);
    part.map(|part| format!("## {part}")).unwrap_or_default()
}

fn measured(level: Level, verdicts: &[Verdict]) -> String {
    let date = text(&run(Command::new("date").args(["--utc", "+%F"])).stdout);
    let rows: String = verdicts.iter().filter_map(Verdict::row).collect();
    format!("## {}, {}\n\n{COLUMNS}{rows}", level.name(), date.trim())
}
