//! The lag of each reader of a generation, as a child of the generation's root span.

use super::{Span, SpanKind};
use crate::base::ids::TraceContext;
use crate::base::schema;
use crate::base::time::Wall;
use crate::base::value::Attributes;
use crate::world::World;
use crate::world::cluster::{Container, Pod};
use crate::world::readers::{Reader, Watched, may_run};
use crate::world::tokens::{Generation, TokenKey};

/// Most readers of one generation that get a span. A pod has few containers.
const MOST: usize = 16;

/// One reader of a generation that has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReaderLag {
    /// The container. None: it is one of several, or not known.
    pub container: Option<String>,
    /// What tells the reader apart from the others of this token.
    pub id: String,
    /// When it first read the generation.
    pub first_read: Option<Wall>,
    /// Whether the agent saw every read of the generation: it saw every open, and no sandbox hides
    /// reads.
    pub complete: bool,
    /// The id of the generation that it held before.
    pub held: Option<String>,
}

/// The readers of `generation` and of those before it, as far as the agent has seen them.
pub(super) fn of(world: &World, key: &TokenKey, generation: &Generation) -> Vec<ReaderLag> {
    let Some(readers) = world.readers.of(key) else { return Vec::new() };
    let id = generation.claims.generation();
    let in_file = readers.generations.iter().find(|one| one.kept.id == id);
    let pod = world.cluster.pod(&key.pod_uid);
    let is_hidden = pod.is_some_and(|pod| pod.isolation.sandbox.is_some());
    let complete = !is_hidden && in_file.is_some_and(|one| one.seen == Watched::All);
    let processes = world.readers.processes(&key.pod_uid);
    let lag = |reader: &Reader| {
        let at = reader.visits.iter().position(|visit| visit.kept.id == id);
        let before = reader.visits.iter().take(at.unwrap_or(reader.visits.len())).next_back();
        ReaderLag {
            container: pod.and_then(|pod| container(pod, key, reader.container_id.as_deref())),
            id: reader.container_id.clone().unwrap_or_default(),
            first_read: at.and_then(|at| reader.visits.get(at)).map(|visit| visit.first.wall),
            complete,
            held: before.map(|visit| visit.kept.id.as_str().to_owned()),
        }
    };
    let counts = |reader: &&Reader| {
        let has_read = reader.visits.iter().any(|visit| visit.kept.id == id);
        has_read || may_run(processes, reader.container_id.as_deref()) // else it reads nothing
    };
    readers.readers.iter().filter(counts).map(lag).collect()
}

/// The name of the container with this id, or of the only one that mounts the volume.
fn container(pod: &Pod, key: &TokenKey, id: Option<&str>) -> Option<String> {
    let mounts = |one: &&Container| one.volumes.contains(&key.volume);
    let mounting: Vec<&Container> = pod.containers.iter().filter(mounts).collect();
    let by_id = mounting.iter().find(|one| id.is_some() && one.id.as_deref() == id);
    let only = mounting.first().filter(|_| mounting.len() == 1);
    by_id.or(only).map(|one| one.name.clone())
}

/// The spans of `readers`, for the generation of `root`, which appeared in the file at `appeared`.
/// They lie within the root: a token may appear before its own `iat`.
pub(super) fn lags(root: &Span, appeared: Wall, readers: &[ReaderLag]) -> Vec<Span> {
    let start = appeared.clamp(root.start, root.end);
    readers.iter().take(MOST).map(|reader| lag(root, start, reader)).collect()
}

fn lag(root: &Span, start: Wall, reader: &ReaderLag) -> Span {
    // A read after the end is not one of this generation.
    let read = reader.first_read.filter(|at| *at <= root.end);
    let end = read.unwrap_or(root.end).max(start);
    let trace_id = root.context.trace_id;
    let span_id = trace_id.span(&format!("{} {}", schema::SPAN_READER_LAG, reader.id));
    Span {
        context: TraceContext { trace_id, span_id },
        parent: Some(root.context.span_id),
        name: schema::SPAN_READER_LAG,
        kind: SpanKind::Internal,
        start,
        end,
        error: None,
        attributes: attributes(root, reader, outcome(read.is_some(), reader.complete)),
        events: Vec::new(),
        links: Vec::new(),
    }
}

/// What of the root tells whose token it is.
const IDENTITY: [&str; 6] = [
    schema::K8S_NAMESPACE,
    schema::K8S_POD_NAME,
    schema::K8S_POD_UID,
    schema::K8S_VOLUME,
    schema::TOKEN_PATH,
    schema::TOKEN_GENERATION,
];

fn outcome(has_read: bool, complete: bool) -> &'static str {
    match (has_read, complete) {
        (true, _) => "read",
        (false, true) => "never_read",
        (false, false) => "unknown",
    }
}

fn attributes(root: &Span, reader: &ReaderLag, outcome: &str) -> Attributes {
    let of_root = |attributes: Attributes, name: &'static str| {
        attributes.with_some(name, root.attributes.get(name).cloned())
    };
    IDENTITY
        .into_iter()
        .fold(Attributes::new(), of_root)
        .with_some(schema::K8S_CONTAINER, reader.container.as_ref())
        .with(schema::READER_OUTCOME, outcome)
        .with_some(schema::READER_HELD, reader.held.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::TraceId;
    use crate::base::time::Delta;
    use crate::engine::Config;
    use crate::world::cluster::{ClusterSeen, Isolation, Sandbox};
    use crate::world::readers::{
        ContainersSeen, Opener, ReaderEvent, ReadersSeen, RunningContainer,
    };
    use crate::world::tokens::{Deadlines, KubeletPolicy, claims_for_tests, testing};

    const IAT: i64 = 1_800_000_000;

    fn at(age: i64) -> Wall {
        Wall::from_secs(IAT + age)
    }

    fn root() -> Span {
        let trace_id = TraceId::derived(&["test"]);
        let context = TraceContext { trace_id, span_id: trace_id.span("root") };
        Span {
            context,
            parent: None,
            name: schema::SPAN_GENERATION,
            kind: SpanKind::Internal,
            start: at(0),
            end: at(480),
            error: None,
            attributes: Attributes::new()
                .with(schema::K8S_POD_NAME, "cart-0")
                .with(schema::TOKEN_GENERATION, "new")
                .with(schema::TOKEN_ISSUER, "https://issuer"),
            events: Vec::new(),
            links: Vec::new(),
        }
    }

    fn reader(id: &str, first_read: Option<i64>) -> ReaderLag {
        ReaderLag {
            container: Some(id.into()),
            id: id.into(),
            first_read: first_read.map(at),
            complete: true,
            held: Some("old".into()),
        }
    }

    #[test]
    fn a_lag_lasts_from_the_appearance_to_the_first_read() {
        // (appeared, first read, start, end, outcome)
        let table = [
            (2, Some(32), 2, 32, "read"),
            (2, None, 2, 480, "never_read"),
            (2, Some(700), 2, 480, "never_read"),
            (-5, Some(1), 0, 1, "read"),
            (10, Some(4), 10, 10, "read"),
            (900, None, 480, 480, "never_read"),
        ];
        for (appeared, read, start, end, outcome) in table {
            let spans = lags(&root(), at(appeared), &[reader("app", read)]);
            let span = &spans[0];
            let seen = (span.start, span.end);
            assert_eq!(seen, (at(start), at(end)), "{appeared} {read:?}");
            let attribute = |name| span.attributes.get(name).cloned();
            assert_eq!(attribute(schema::READER_OUTCOME), Some(outcome.into()));
            assert_eq!(attribute(schema::READER_HELD), Some("old".into()));
            assert_eq!(attribute(schema::K8S_CONTAINER), Some("app".into()));
            assert_eq!(attribute(schema::K8S_POD_NAME), Some("cart-0".into()));
            assert_eq!(attribute(schema::TOKEN_ISSUER), None, "the root has it");
        }
    }

    #[test]
    fn a_read_that_may_have_been_missed_is_not_denied() {
        let unseen = ReaderLag { complete: false, ..reader("app", None) };
        let spans = lags(&root(), at(2), &[unseen]);
        assert_eq!(spans[0].attributes.get(schema::READER_OUTCOME), Some(&"unknown".into()));
    }

    /// The lags of two containers that have read the token before. `running` are those with a
    /// process when the generation ends, where the agent sees that.
    fn lags_of(sandbox: Option<Sandbox>, running: Option<&[&str]>) -> Vec<(String, bool)> {
        let (key, now) = (testing::key(), testing::at(0));
        let mut world = World::new(&Config::default());
        let old = generation(0);
        world.readers.generation(&key, &old, Some("..1"));
        watch(&mut world, "..1");
        for id in ["app", "sidecar"] {
            let by =
                Opener { container_id: Some(id.into()), pid: 7, program: None, session: false };
            let (directory, path) = ("..1".into(), key.path.clone());
            see(
                &mut world,
                ReaderEvent::Opened { directory, path, by: Some(by), within: Delta::ZERO },
            );
        }
        let new = generation(480);
        world.readers.generation(&key, &new, Some("..2"));
        watch(&mut world, "..2");
        let isolation = Isolation { sandbox, ..Isolation::default() };
        let pod = Pod { uid: key.pod_uid.clone(), isolation, ..Pod::default() };
        let _ = world.cluster.see(ClusterSeen::Pod(Box::new(pod)), &now);
        if let Some(ids) = running {
            let containers = ids.iter().map(|id| container_with(id)).collect();
            let pod_uid = key.pod_uid.clone();
            let seen = ContainersSeen { pod_uid, containers, partial: false, connected: None };
            let _ = world.readers.containers(seen, &now);
        }
        let found = of(&world, &key, &new).into_iter();
        found.map(|reader| (reader.id, reader.complete)).collect()
    }

    fn generation(age: i64) -> Generation {
        let claims = claims_for_tests(IAT + age, 600, None);
        let deadlines = Deadlines::of(&claims, &KubeletPolicy::default());
        let seen = testing::at(age);
        Generation { claims, deadlines, appeared_at: None, seen, previous: None }
    }

    fn see(world: &mut World, what: ReaderEvent) {
        let TokenKey { pod_uid, volume, path: _ } = testing::key();
        let _ = world.readers.see(&ReadersSeen { pod_uid, volume, what }, &testing::at(0));
    }

    fn watch(world: &mut World, directory: &str) {
        let (directory, moment) = (directory.to_owned(), false);
        see(world, ReaderEvent::Watching { directory, complete: true, moment });
    }

    fn container_with(id: &str) -> RunningContainer {
        RunningContainer {
            id: id.to_owned(),
            started: at(0),
            program: String::new(),
            mounts: Vec::new(),
            library: None,
        }
    }

    #[test]
    fn what_has_ended_or_is_hidden_is_not_one_that_never_read() {
        let both = |complete| vec![("app".into(), complete), ("sidecar".into(), complete)];
        assert_eq!(lags_of(None, None), both(true));
        assert_eq!(lags_of(None, Some(&["app", "sidecar"])), both(true));
        assert_eq!(lags_of(None, Some(&["app"])), [("app".to_owned(), true)]);
        assert_eq!(lags_of(Some(Sandbox::Gvisor), None), both(false));
        assert_eq!(lags_of(Some(Sandbox::Kata), None), both(false));
    }

    #[test]
    fn each_reader_has_a_span_of_its_own_in_the_trace() {
        let readers = [reader("app", Some(30)), reader("sidecar", None)];
        let spans = lags(&root(), at(2), &readers);
        assert_eq!(spans.len(), 2);
        assert_ne!(spans[0].context.span_id, spans[1].context.span_id);
        for span in &spans {
            assert_eq!(span.parent, Some(root().context.span_id));
            assert_eq!(span.context.trace_id, root().context.trace_id);
            assert!(span.end - span.start >= Delta::ZERO);
        }
        assert_eq!(lags(&root(), at(2), &readers), spans, "ids are derived, not random");
        let many: Vec<_> = (0..100).map(|n| reader(&n.to_string(), None)).collect();
        assert_eq!(lags(&root(), at(2), &many).len(), MOST);
    }
}
