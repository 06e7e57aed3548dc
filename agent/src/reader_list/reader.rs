//! One reader of one token.

use serde::{Deserialize, Serialize};
use tokenwatch_core::base::text::shown;
use tokenwatch_core::base::time::Delta;
use tokenwatch_core::world::cluster::{Owner, PodRef};
use tokenwatch_core::world::readers::{Evidence, Habit, HeldGeneration, ReaderVerdict, ReaderView};

use super::Moment;

/// One reader of one token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reader {
    /// The pod.
    pub pod: Pod,
    /// The volume of the token.
    pub volume: String,
    /// Its path in the volume.
    pub path: String,
    /// The container; nothing where it is one of several, or not known.
    pub container: Option<String>,
    /// The id of the container, if it is known.
    pub container_id: Option<String>,
    /// Name of the program.
    pub program: Option<String>,
    /// The library that reads, with its version: a hint.
    pub library: Option<String>,
    /// The token that it holds.
    pub held: Option<Held>,
    /// The last read that was seen.
    pub last_read: Option<Moment>,
    /// The last reads that were seen, oldest first.
    pub reads: Vec<Moment>,
    /// When it reads.
    pub habit: ReadingHabit,
    /// What the verdict rests on.
    pub evidence: Vec<Proof>,
    /// current, never_read, waiting, idle, stale or unknown.
    pub verdict: String,
    /// When the token that a stale reader holds is refused.
    pub deadline: Option<Moment>,
    /// What limits the verdict, for people.
    pub why: Option<String>,
    /// Whether the API server has extended the expiry of the token in the file.
    #[serde(default)]
    pub token_is_extended: bool,
    /// Whether the container has the token by `subPath`, and so keeps that of its start.
    #[serde(default)]
    pub is_subpath: bool,
}

/// The pod of a reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its namespace, if known.
    pub namespace: Option<String>,
    /// Its name, if known.
    pub name: Option<String>,
    /// Its UID.
    pub uid: String,
    /// Its owner, if the agent knows it from the Kubernetes API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<PodOwner>,
}

/// The owner of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodOwner {
    /// `Deployment`, `StatefulSet`, `Job`…
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// A generation that a reader holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its opaque id, as in traces.
    pub generation: String,
    /// Its `iat`.
    pub issued_at: Moment,
    /// When the API server starts to refuse it.
    pub dead_at: Moment,
    /// When a cluster without expiry extension would refuse it, if that is earlier.
    pub dead_without_extension: Option<Moment>,
    /// The service that exchanges it for a credential of its own (AWS STS, Vault).
    #[serde(default)]
    pub exchanged_by: Option<String>,
    /// When the last credential that the service issues for it ends, by that service's default.
    #[serde(default)]
    pub credential_ends_by: Option<Moment>,
    /// Whether it is the token in the file.
    pub is_current: bool,
}

/// When a reader reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadingHabit {
    /// unknown, never, each_request, every, on_change, once, after_refusal, before_expiry or
    /// exchange.
    pub name: String,
    /// Time between reads, in seconds, for `every`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<f64>,
    /// Time before the expiry, in seconds, for `before_expiry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<f64>,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Its name.
    pub name: String,
    /// hint, likely or certain.
    pub strength: String,
}

impl Reader {
    /// The reader in the form of the list, of a token that is neither extended nor
    /// mounted by `subPath`.
    pub fn of(view: &ReaderView) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(|text| shown(text).into_owned());
        let reads: Vec<Moment> = view.reads.iter().copied().map(Moment).collect();
        Self {
            pod: Pod::of(&view.pod),
            volume: shown(&view.key.volume).into_owned(),
            path: shown(&view.key.path).into_owned(),
            container: text(&view.who.container),
            container_id: text(&view.who.container_id),
            program: text(&view.who.program),
            library: text(&view.who.library),
            held: view.held.as_ref().map(Held::of),
            last_read: reads.last().copied(),
            reads,
            habit: ReadingHabit::of(view.habit),
            evidence: view.evidence.iter().copied().map(Proof::of).collect(),
            verdict: view.verdict.name().to_owned(),
            deadline: view.deadline.map(Moment),
            why: text(&view.why),
            token_is_extended: false,
            is_subpath: false,
        }
    }

    /// Whether it holds a replaced token, and is known or thought to use it.
    pub fn is_stale(&self) -> bool {
        self.verdict == ReaderVerdict::Stale.name()
    }

    /// Whether the agent cannot tell what it holds.
    pub fn is_unknown(&self) -> bool {
        self.verdict == ReaderVerdict::Unknown.name()
    }

    /// `shop/cart-0`, volume, path and container, for sorting.
    pub(super) fn place(&self) -> (String, String, String, Option<String>) {
        (self.pod.shown(), self.volume.clone(), self.path.clone(), self.container.clone())
    }

    /// `container app, python3 (kubernetes 11.0.0)`.
    pub fn who(&self) -> String {
        let container = match &self.container {
            Some(container) => format!("container {container}"),
            None => "a container that is not known".to_owned(),
        };
        let program = self.program.as_ref().map(|it| format!(", {it}")).unwrap_or_default();
        let library = self.library.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
        format!("{container}{program}{library}")
    }
}

impl Pod {
    pub(super) fn of(pod: &PodRef) -> Self {
        let name = |name: &Option<String>| name.as_deref().map(|name| shown(name).into_owned());
        Self {
            namespace: name(&pod.namespace),
            name: name(&pod.name),
            uid: shown(&pod.uid).into_owned(),
            owner: pod.owner.as_ref().map(PodOwner::of),
        }
    }

    /// `shop/cart-0`; the UID where the names are not known.
    pub fn shown(&self) -> String {
        match (&self.namespace, &self.name) {
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            _ => self.uid.clone(),
        }
    }
}

impl PodOwner {
    fn of(owner: &Owner) -> Self {
        Self { kind: shown(&owner.kind).into_owned(), name: shown(&owner.name).into_owned() }
    }
}

impl Held {
    fn of(held: &HeldGeneration) -> Self {
        Self {
            generation: held.id.clone(),
            issued_at: Moment(held.issued_at),
            dead_at: Moment(held.dead_at),
            dead_without_extension: held.dead_without_extension.map(Moment),
            exchanged_by: held.exchange.map(|one| one.name().to_owned()),
            credential_ends_by: held.credential_ends_by().map(Moment),
            is_current: held.is_current,
        }
    }
}

impl ReadingHabit {
    pub(super) fn of(habit: Habit) -> Self {
        let time = habit.time().map(Delta::as_secs_f64);
        let is_window = matches!(habit, Habit::BeforeExpiry { .. });
        Self {
            name: habit.name().to_owned(),
            period: time.filter(|_| !is_window),
            window: time.filter(|_| is_window),
        }
    }

    /// For people, in at most 17 columns.
    pub fn words(&self) -> String {
        let time = |secs: Option<f64>| {
            secs.map_or("?".to_owned(), |secs| {
                Delta::from_secs(Delta::from_secs_f64(secs).as_secs()).to_string()
            })
        };
        match self.name.as_str() {
            "unknown" => "not known".to_owned(),
            "each_request" => "each request".to_owned(),
            "every" => format!("every {}", time(self.period)),
            "on_change" => "each new token".to_owned(),
            "once" => "once".to_owned(),
            "after_refusal" => "after a 401".to_owned(),
            "before_expiry" => format!("{} before end", time(self.window)),
            "exchange" => "each exchange".to_owned(),
            "never" => "never".to_owned(),
            other => shown(other).replace('_', " "),
        }
    }
}

impl Proof {
    fn of(evidence: Evidence) -> Self {
        Self { name: evidence.name().to_owned(), strength: evidence.strength().name().to_owned() }
    }

    /// `not read again (hint)`.
    pub fn words(&self) -> String {
        format!("{} ({})", shown(&self.name).replace('_', " "), shown(&self.strength))
    }
}

/// The verdict as two words at most.
pub fn verdict_words(verdict: &str) -> String {
    shown(verdict).replace('_', " ")
}
