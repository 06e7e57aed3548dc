//! `tokenwatch readers`, and the same part of `tokenwatch check --readers`: who reads which token.
//!
//! Only who watches knows readers. So the command asks the agent that runs on this node, and looks
//! itself for a moment if there is none.

mod ask;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzed;
mod render;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use tokenwatch_core::base::time::Delta;
use tokenwatch_core::engine::Status;

use super::output::{Layout, TableOrJson, print, print_error, print_json};
use crate::config::Settings;
use crate::environment::Environment;
use crate::reader_list::{Pod, PodName, ReaderList};
use crate::setup;
use ask::Unanswered;

pub(super) use render::{json, origin, section, unknown_words};
#[cfg(test)]
pub(super) use tests::example;

/// Exit status: nothing could be seen.
const UNSEEN: u8 = 2;
/// The source that has looked at every token file once it reports.
const FILES: &str = "files";

/// What somebody asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// Only this pod.
    pub(super) pod: Option<PodName>,
    /// How long to look if no agent answers.
    pub(super) span: Delta,
}

/// The readers, and who saw them.
#[derive(Debug)]
pub(super) struct Found {
    list: ReaderList,
    origin: Origin,
}

/// Who saw the readers.
#[derive(Debug)]
enum Origin {
    /// The agent at this address.
    Agent(SocketAddr),
    /// This process, for so long, because no agent answered.
    Look(Delta, Unanswered),
}

/// Why there is nothing to show.
#[derive(Debug)]
pub(super) enum ReadersError {
    /// The settings do not lead to a node.
    Setup(setup::Failure),
    /// No token file could be read.
    Unreadable(Vec<String>),
    /// No token on this node belongs to the pod.
    NoSuchPod(PodName),
}

impl std::fmt::Display for ReadersError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Setup(failure) => f.write_str(&failure.messages().join("\n")),
            Self::Unreadable(problems) if problems.is_empty() => {
                f.write_str("the token files were not read in time: use a longer --for")
            }
            Self::Unreadable(problems) => {
                write!(f, "cannot read the token files:\n  {}", problems.join("\n  "))
            }
            Self::NoSuchPod(pod) => write!(
                f,
                "no pod \"{pod}\" with a token is on this node; `tokenwatch check` lists those \
                 that are"
            ),
        }
    }
}

/// Finds the readers and prints them; the exit status.
pub(super) async fn report(
    settings: &Settings,
    environment: &Environment,
    output: TableOrJson,
    asked: Asked,
) -> u8 {
    match find(settings, environment, asked).await {
        Ok(found) => match output {
            TableOrJson::Table => {
                let layout = Layout::for_stdout(environment);
                print(&render::table(&found, layout), found.exit_code())
            }
            TableOrJson::Json => print_json(&json(&found), found.exit_code()),
        },
        Err(error) => {
            print_error(&error.to_string());
            UNSEEN
        }
    }
}

/// Asks the agent, or looks.
pub(super) async fn find(
    settings: &Settings,
    environment: &Environment,
    asked: Asked,
) -> Result<Found, ReadersError> {
    let Asked { pod, span } = asked;
    let found = match ask::agent(settings, pod.as_ref()).await {
        Ok((address, list)) => Found { list, origin: Origin::Agent(address) },
        Err(why) => look(settings, environment, (pod.as_ref(), span), why).await?,
    };
    match pod {
        Some(pod) if found.list.tokens == 0 && found.list.readers.is_empty() => {
            Err(ReadersError::NoSuchPod(pod))
        }
        Some(_) | None => Ok(found),
    }
}

async fn look(
    settings: &Settings,
    environment: &Environment,
    (pod, span): (Option<&PodName>, Delta),
    why: Unanswered,
) -> Result<Found, ReadersError> {
    let status = setup::look(settings, environment, span).await.map_err(ReadersError::Setup)?;
    let list = ReaderList::of(&status, &ask::roots(settings), pod);
    if is_blind(&status) {
        return Err(ReadersError::Unreadable(list.problems));
    }
    Ok(Found { list, origin: Origin::Look(span, why) })
}

/// Whether no token file was read at all.
fn is_blind(status: &Status) -> bool {
    let files = status.agent.sources.get(FILES);
    let has_failed = files.is_none_or(Option::is_some);
    has_failed && status.tokens.is_empty()
}

impl Found {
    /// The readers.
    pub(super) fn list(&self) -> &ReaderList {
        &self.list
    }

    /// Those in namespaces that `is_wanted` accepts; nothing stands for one that is not known.
    pub(super) fn only(mut self, is_wanted: impl Fn(Option<&str>) -> bool) -> Self {
        let wanted = |pod: &Pod| is_wanted(pod.namespace.as_deref());
        self.list.readers.retain(|reader| wanted(&reader.pod));
        if let Some(rows) = &mut self.list.posture {
            rows.retain(|row| wanted(&row.pod));
        }
        self
    }

    /// Who saw them, for scripts.
    pub(super) fn source(&self) -> serde_json::Value {
        render::source(&self.origin)
    }

    /// 0 nothing stale, 1 a stale reader, 2 something could not be seen, or no reader is known.
    pub(super) fn exit_code(&self) -> u8 {
        let readers = self.list.readers.len();
        let is_blind = readers > 0 && self.unknown() == readers;
        match (self.has_stale(), self.list.problems.as_slice()) {
            (true, _) => 1,
            (false, []) if !is_blind => 0,
            (false, _) => UNSEEN,
        }
    }

    /// Number of readers of which the agent cannot tell what they hold.
    fn unknown(&self) -> usize {
        self.list.readers.iter().filter(|reader| reader.is_unknown()).count()
    }

    /// Whether a reader keeps a replaced token.
    pub(super) fn has_stale(&self) -> bool {
        self.list.stale().next().is_some()
    }
}
