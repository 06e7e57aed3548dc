//! `tokenwatch replay`: a recording through the engine, and what the agent would have reported.

mod convert;
mod read;
mod render;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tokenwatch_core::findings::Severity;
use tokenwatch_core::replay::{Content, Header, Line, Player};

use super::output::{Layout, TextOrJson, print, print_error, print_json};
use crate::environment::Environment;
use crate::streams;
use convert::converted;
use read::{Recording, Trouble};
use render::{Json, Text};

/// Exit status: the file is no recording, or cannot be read or written.
const UNREADABLE: u8 = 2;

/// What is to be done with a recording.
#[derive(Debug, Args)]
pub(super) struct Replaying {
    /// The recording: a file that `tokenwatch run --record FILE` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Format of the output
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
    /// Replace all names of the cluster by pseudonyms instead of replaying
    #[arg(long, requires = "write")]
    pseudonyms: bool,
    /// New file for the recording with pseudonyms. Default: none
    #[arg(long, value_name = "FILE", requires = "pseudonyms", conflicts_with = "output")]
    write: Option<PathBuf>,
}

/// The header, and what else is known about a recording that was replayed to its end.
#[derive(Debug)]
struct Replayed {
    header: Header,
    player: Player,
    /// Whether the last line was cut off.
    cut_off: bool,
}

/// Does it; the exit status.
pub(super) fn report(replaying: &Replaying, environment: &Environment) -> u8 {
    let Replaying { file, output, pseudonyms: _, write } = replaying;
    let done = match (write, output) {
        (Some(target), _) => converted(file, target).map(|message| print(&message, 0)),
        (None, TextOrJson::Text) => text(file, Layout::for_stdout(environment)),
        (None, TextOrJson::Json) => json(file),
    };
    done.unwrap_or_else(|trouble| {
        print_error(&trouble.to_string());
        UNREADABLE
    })
}

fn text(file: &Path, layout: Layout) -> Result<u8, Trouble> {
    let mut text = Text::new(streams::stdout().is_terminal());
    let replayed = replay(file, &mut |content, reports| text.take(content, reports))?;
    Ok(print(&render::summary(&replayed, layout), replayed.exit_code()))
}

fn json(file: &Path) -> Result<u8, Trouble> {
    let mut json = Json::default();
    let replayed = replay(file, &mut |_, reports| json.take(reports))?;
    Ok(print_json(&json.finish(&replayed), replayed.exit_code()))
}

/// Replays the file; `take` is given each entry and what the engine reports.
fn replay(
    file: &Path,
    take: &mut dyn FnMut(&Content, Vec<tokenwatch_core::engine::Report>),
) -> Result<Replayed, Trouble> {
    let (mut recording, header) = Recording::open(file)?;
    let mut player = Player::new(&header);
    let mut cut_off = false;
    while let Some(line) = recording.next()? {
        match line {
            Line::Entry(entry) => {
                let content = entry.content.clone();
                take(&content, player.take(*entry).reports);
            }
            Line::CutOff => cut_off = true,
            Line::Header(_) => {} // only the first line is read as one
        }
    }
    Ok(Replayed { header, player, cut_off })
}

impl Replayed {
    fn exit_code(&self) -> u8 {
        let active = self.player.active();
        u8::from(active.iter().any(|(finding, _)| finding.severity >= Severity::Warning))
    }
}
