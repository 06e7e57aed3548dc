//! `check --watch`: a look again and again, until a signal.

use std::io::IsTerminal as _;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::clocks::Round;

use super::{CheckError, Checked, INCOMPLETE, Inspection, render};
use crate::cli::output::{Layout, NOT_WRITTEN, TableOrJson, Written, print_error, write};
use crate::clocks;
use crate::setup::stop_signal;
use crate::streams;

/// Age from which the time servers are asked again. Operators of public servers expect no query
/// more often (`sources/ntp/poll_policy.rs` has their numbers). The answers stay good meanwhile:
/// their bound grows by 0.1 ms in a second.
const ROUND_AGE: Delta = Delta::from_secs(1_024);
/// To the upper left corner, and clear: the screen, and what was scrolled out of it.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

/// Looks every `every`; the exit status of the last look.
pub(in crate::cli) async fn report(
    inspection: Inspection<'_>,
    output: TableOrJson,
    every: Delta,
) -> u8 {
    let mut watch = Watch { inspection, output, status: INCOMPLETE, round: None };
    tokio::select! {
        () = stop_signal() => watch.status,
        status = watch.run(every) => status,
    }
}

struct Watch<'a> {
    inspection: Inspection<'a>,
    output: TableOrJson,
    /// The exit status of the last look.
    status: u8,
    /// Answers of the time servers that are new enough to be used again.
    round: Option<Round>,
}

impl Watch<'_> {
    /// Ends when nobody reads any more.
    async fn run(&mut self, every: Delta) -> u8 {
        loop {
            let looked = self.inspection.check_all(self.round.take()).await;
            self.status = looked.as_ref().map_or(INCOMPLETE, Checked::exit_code);
            match self.shown(&looked) {
                Written::Whole => {}
                Written::Closed => return self.status,
                Written::Failed => return NOT_WRITTEN,
            }
            self.round = looked.ok().map(|checked| checked.round).filter(is_kept);
            tokio::time::sleep(every.to_std()).await;
        }
    }

    fn shown(&self, looked: &Result<Checked, CheckError>) -> Written {
        let layout = Layout::for_stdout(self.inspection.environment);
        match (looked, self.output) {
            (Ok(checked), TableOrJson::Json) => write(&format!("{}\n", render::json(checked))),
            (Ok(checked), TableOrJson::Table) => write(&screen(&render::table(checked, layout))),
            (Err(error), _) => {
                print_error(&error.to_string());
                Written::Whole
            }
        }
    }
}

/// Whether these answers are used again. Where none came, the next look asks again.
fn is_kept(round: &Round) -> bool {
    let has_answer = round.exchanges.iter().any(|exchange| exchange.result.is_ok());
    has_answer && clocks::now().monotonic - round.ended.monotonic < ROUND_AGE
}

/// The table alone on a terminal; in a file, one after the other.
fn screen(table: &str) -> String {
    let is_terminal = streams::stdout().is_terminal();
    if is_terminal { format!("{CLEAR}{table}") } else { format!("{table}\n") }
}
