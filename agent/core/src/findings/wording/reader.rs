//! The finding about a container that keeps a token which kubelet has replaced.

use super::held;
use super::names::{self, plural};
use crate::base::text::shown;
use crate::base::time::Wall;
use crate::base::value::Attributes;
use crate::findings::{CONTAINER, Code, OTHER_READERS, Remedy, Severity};
use crate::world::cluster::PodRef;
use crate::world::readers::libraries::{self, Cure, Library, Reads};
use crate::world::readers::{Evidence, Habit, StaleReader, Strength, Who};
use crate::world::tokens::TokenKey;

/// The text of the finding. An accusation needs more than a token that was not read again.
pub(super) fn summary(pod: &PodRef, key: &TokenKey, stale: &StaleReader, now: Wall) -> String {
    let who = who(pod, stale);
    let token = format!("token \"{}\" (volume {})", shown(&key.path), shown(&key.volume));
    let replaced = stale.rotated_at.rfc3339();
    let what = if stale.is_confirmed() {
        let read = last_read(stale).map(|at| format!(" that it read at {}", at.rfc3339()));
        let read = read.unwrap_or_default();
        let uses = if is_certain(stale) { "still uses" } else { "most likely still uses" };
        format!("{who} {uses} the {token}{read}. kubelet replaced that token at {replaced}.")
    } else {
        let read = last_read(stale).map(|at| format!("; it read the old one at {}", at.rfc3339()));
        let read = read.unwrap_or_default();
        format!(
            "{who} has not read the new {token} yet, which kubelet wrote at {replaced}{read}. \
             Nothing shows whether it still uses the old one."
        )
    };
    let death = held::death(&stale.held, now);
    let sentences =
        [Some(what), Some(death), Some(evidence_sentence(stale)), habit(stale), library(stale)];
    sentences.into_iter().flatten().collect::<Vec<String>>().join(" ")
}

/// Whether it was seen to use the old token. Else nothing but the evidence shows that.
fn is_certain(stale: &StaleReader) -> bool {
    stale.evidence.iter().any(|evidence| evidence.strength() == Strength::Certain)
}

/// `Container app (python3) and 1 more reader of pod shop/cart-0`
fn who(pod: &PodRef, stale: &StaleReader) -> String {
    let Who { container, program, .. } = &stale.who;
    let program = program.as_ref().map(|name| format!(" ({})", shown(name))).unwrap_or_default();
    let container = match container {
        Some(name) => format!("Container {}", shown(name)),
        None => "A container".to_owned(),
    };
    let others = match stale.others {
        0 => String::new(),
        more => format!(" and {}", plural(more as u64, "more reader")),
    };
    format!("{container}{program}{others} of {}", names::pod(pod))
}

/// When it read what it keeps. A read after the rotation was one of another token, or none.
fn last_read(stale: &StaleReader) -> Option<Wall> {
    (stale.since < stale.rotated_at).then_some(stale.since)
}

/// `Evidence: it read the replaced token again.`
fn evidence_sentence(stale: &StaleReader) -> String {
    let phrases: Vec<&str> = stale.evidence.iter().map(|evidence| phrase(*evidence)).collect();
    format!("Evidence: {}.", phrases.join("; "))
}

/// Each kind of evidence, about "it", which is the reader.
fn phrase(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::NotReadAgain => "it has not read the new token",
        Evidence::NotSeenAgain => {
            "it was not seen to read the new token, of which the agent missed the first moment"
        }
        Evidence::Holds => "somebody holds an old token open (a file descriptor or a mapping)",
        Evidence::ReadsOld => "it read the old token after kubelet had replaced it",
        Evidence::Audit => "the API server accepted the old token from its pod (audit log)",
        Evidence::Connected => {
            "it has stayed connected to the API server for longer than a client that re-reads \
             needs to read the new token"
        }
        Evidence::NewConnection => {
            "it opened a connection to the API server without reading the new token"
        }
        Evidence::Requests => "it sent requests to the API server without reading the new token",
        Evidence::LearnedHabit => "this workload kept earlier tokens in the same way",
    }
}

/// How it reads, if the agent knows.
fn habit(stale: &StaleReader) -> Option<String> {
    Some(match stale.habit {
        Habit::Unknown => return None,
        Habit::Never => "It has never read the token before.".to_owned(),
        Habit::Once => "It reads the token only once, at its start.".to_owned(),
        Habit::AfterRefusal => {
            "It reads the token again only after a request was refused: one request fails, and \
             then it recovers."
                .to_owned()
        }
        Habit::BeforeExpiry { window } => {
            format!("It reads the token again only {window} before the old one expires.")
        }
        Habit::Exchange => {
            "It exchanges the token for another credential, and reads it again when that must be \
             renewed: its requests fail when that credential ends."
                .to_owned()
        }
        Habit::EachRequest => "Before, it read the token for each request.".to_owned(),
        Habit::Every { period } => format!("Before, it read the token every {period}."),
        Habit::OnChange => "Before, it read each new token when kubelet wrote it.".to_owned(),
    })
}

/// What the table has about the library. A hint: the reader may not use the library for this token.
fn library(stale: &StaleReader) -> Option<String> {
    library_sentence(stale.who.library.as_deref()?)
}

/// `The container seems to use python kubernetes 11.0.0, which reads the token once; 12.0.0 is the
/// first version that reads it again.`
pub(crate) fn library_sentence(text: &str) -> Option<String> {
    let (library, version) = libraries::named(text)?;
    let used = library.used.map(|used| format!(" ({used})")).unwrap_or_default();
    let cure = match (library.fixed_in(version), library.cure) {
        (Some(fixed), Cure::By(_)) => format!("; {fixed} reads it again"),
        (Some(fixed), _) => format!("; {fixed} is the first version that reads it again"),
        (None, _) => String::new(),
    };
    let (text, reads) = (shown(text), reads(&library));
    Some(format!("The container seems to use {text}{used}, which {reads}{cure}."))
}

fn reads(library: &Library) -> String {
    match library.reads {
        Reads::Every(Some(period)) => return format!("reads the token every {period}"),
        Reads::Every(None) => "reads the token again after some time",
        Reads::EachRequest => "reads the token for each request",
        Reads::Exchange => "reads the token each time it exchanges it for another credential",
        Reads::AfterRefusal => "reads the token again only after a request was refused",
        Reads::Once => "reads the token once",
        Reads::Watch => "reads the token when the file changes",
        Reads::BrokenWatch => {
            "waits for a change of the file that it does not notice, and so reads the token once"
        }
        Reads::OwnRequest => "requests a token of its own",
        Reads::SendsNone => "sends no token",
        Reads::Caller => "uses the token that the program passes to it",
    }
    .to_owned()
}

/// Who, what it holds, and on which evidence.
pub(super) fn evidence(stale: &StaleReader) -> Attributes {
    let Who { container, program, library, .. } = &stale.who;
    let kinds: Vec<String> = stale
        .evidence
        .iter()
        .map(|evidence| format!("{} ({})", evidence.name(), evidence.strength().name()))
        .collect();
    Attributes::new()
        .with_some(CONTAINER, container.as_ref())
        .with_some("program", program.as_ref())
        .with_some("library", library.as_ref())
        .with("reader_evidence", kinds.as_slice())
        .with("habit", stale.habit.name())
        .with_some("habit_time", stale.habit.time())
        .with_some("last_read", last_read(stale))
        .with("replaced_at", stale.rotated_at)
        .with(OTHER_READERS, stale.others)
        .and(held::evidence(&stale.held))
}

/// What to do. Nobody restarts anything because of a hint.
pub(super) fn remedy(stale: &StaleReader, severity: Severity, restart: Option<String>) -> Remedy {
    if severity == Severity::Info {
        let text = "No action yet: a client that reads the token before its next request is \
                    healthy. If the finding becomes a warning, restart the container before the \
                    deadline. `tokenwatch readers` shows when each container reads. From the \
                    privilege level hostPID on, the agent also sees who is connected to the API \
                    server.";
        return Remedy { text: text.to_owned(), command: Some("tokenwatch readers".to_owned()) };
    }
    Remedy { text: action(stale), command: restart }
}

fn action(stale: &StaleReader) -> String {
    let fixed = stale.who.library.as_deref().and_then(|text| {
        let (library, version) = libraries::named(text)?;
        Some((library.component, library.fixed_in(version)?))
    });
    match fixed {
        Some((component, version)) => format!(
            "Restart the container before the deadline: it reads the current token when it \
             starts. Then update {component} to {version} or later, which reads the token again. \
             Check that the program passes the path of the token to it, and not the token."
        ),
        None => Code::ReaderStale.info().action.to_owned(),
    }
}
