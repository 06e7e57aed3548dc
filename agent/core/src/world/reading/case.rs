//! One reader with everything that decides what the agent concludes about it.

use crate::base::time::{Delta, Reading, Wall};
use crate::world::Facts;
use crate::world::cluster::{Container, MountedPart, Sandbox};
use crate::world::readers::{
    Connections, InFile, KnownHabit, MountKind, Reader, RunningContainer, TokenReaders, Who,
    may_run,
};
use crate::world::tokens::TokenKey;

/// A time daemon slews a clock by no more than this and one thousandth of the time (500 ppm by
/// MAXFREQ in include/linux/timex.h, and the error of the clock that measures age).
const SLEWED: Delta = Delta::from_secs(1);
const SLEWED_BY: i64 = 1_000;

/// One reader of a token.
pub(super) struct Case<'a> {
    pub(super) now: Reading,
    pub(super) reader: Option<&'a Reader>,
    pub(super) token: &'a TokenReaders,
    pub(super) current: &'a InFile,
    pub(super) who: Who,
    /// When the container that could hold a token longest was started, if that is known.
    pub(super) started: Option<Wall>,
    /// The pod's use of the API server, where that says something about this token.
    pub(super) connections: Option<Connections>,
    /// The other readers of the token, whose use that may be.
    pub(super) others: Vec<&'a Reader>,
    pub(super) of: Circumstances,
    pub(super) workload: Workload<'a>,
}

/// What is known of its container without its reads.
#[derive(Clone, Copy, Default)]
pub(super) struct Workload<'a> {
    /// The image; empty if it is not known.
    pub(super) image: &'a str,
    /// What was learned before about containers of this workload.
    pub(super) known: Option<&'a KnownHabit>,
}

/// What holds for the token, and for the container's view of it.
#[derive(Clone, Copy)]
pub(super) struct Circumstances {
    /// Whether a container mounts one generation by `subPath`, and so holds it without reading.
    pub(super) has_subpath: bool,
    /// Whether the container has an old mount of the volume: it reads what is not the node's.
    pub(super) is_frozen: bool,
    /// Whether the token is exchanged for another credential.
    pub(super) is_exchanged: bool,
    /// The sandbox that opens files in place of the pod, if there is one.
    pub(super) sandbox: Option<Sandbox>,
}

impl<'a> Case<'a> {
    /// Every reader of a token; none if its pod comes to its end.
    pub(super) fn all(facts: &Facts<'a>, now: &Reading) -> Vec<Self> {
        let Some(token) = facts.readers.token.filter(|_| !facts.stage.is_ending()) else {
            return Vec::new();
        };
        let Some(current) = token.current() else { return Vec::new() };
        let gathered = Gathered::new(facts, token, current, *now);
        let mut cases: Vec<Self> = gathered.readers().map(|reader| gathered.case(reader)).collect();
        cases.retain(|case| !case.is_double());
        if cases.is_empty() {
            cases.push(gathered.nobody());
        }
        cases
    }

    /// Whether it is a process that has ended, of a container that is known by its other reads.
    fn is_double(&self) -> bool {
        let is_nobody = self.reader.is_some_and(|reader| reader.container_id.is_none());
        let id = &self.who.container_id;
        let is_known = id.is_some() && self.token.readers.iter().any(|one| one.container_id == *id);
        is_nobody && is_known && !self.reads_old() && !self.is_audited()
    }

    /// When something happened, by the node's clock as it is set now: a step since then is no time
    /// that has passed.
    pub(super) fn at(&self, then: &Reading) -> Wall {
        let age = self.now.monotonic - then.monotonic;
        let by_age = self.now.wall - age;
        let is_slewed = (by_age - then.wall).abs() <= SLEWED + age.fraction(1, SLEWED_BY);
        if is_slewed { then.wall } else { by_age }
    }

    /// When what it holds was replaced; when the current one appeared, if it holds that, or if the
    /// agent does not know.
    pub(super) fn replaced(&self) -> Reading {
        let known = self.last().and_then(|last| last.replaced_at);
        known.unwrap_or_else(|| self.current.appearance())
    }

    /// The same, by the node's clock as it is set now.
    pub(super) fn replaced_at(&self) -> Wall {
        self.at(&self.replaced())
    }

    /// Whether it has read the current generation.
    pub(super) fn is_current(&self) -> bool {
        self.reader.and_then(Reader::last).is_some_and(|last| last.kept.id == self.current.kept.id)
    }
}

/// What all readers of a token have in common.
struct Gathered<'a> {
    facts: Facts<'a>,
    token: &'a TokenReaders,
    current: &'a InFile,
    now: Reading,
    mounting: Vec<&'a Container>,
    running: Vec<&'a RunningContainer>,
    has_subpath: bool,
}

impl<'a> Gathered<'a> {
    fn new(facts: &Facts<'a>, token: &'a TokenReaders, current: &'a InFile, now: Reading) -> Self {
        let key = &facts.tracked.key;
        let containers = facts.pod().into_iter().flat_map(|pod| &pod.containers);
        let mounting: Vec<&Container> = containers.filter(|one| mounts(one, key)).collect();
        let running = facts.readers.pod.into_iter().flat_map(|pod| &pod.containers);
        let running: Vec<&RunningContainer> = running
            .filter(|one| one.mounts.iter().any(|mount| mount.volume == key.volume))
            .collect();
        let is_subpath = |kind: &MountKind| matches!(kind, MountKind::Subpath { .. });
        let has_subpath = mounting.iter().any(|one| is_partial(one, key))
            || running.iter().any(|one| has_mount(one, &key.volume, is_subpath));
        Self { facts: *facts, token, current, now, mounting, running, has_subpath }
    }

    /// The readers that may still exist: a container that has no process any more is left out.
    fn readers(&self) -> impl Iterator<Item = &'a Reader> + use<'a, '_> {
        self.token.readers.iter().filter(|reader| self.lives(reader))
    }

    fn lives(&self, reader: &Reader) -> bool {
        may_run(self.facts.readers.pod, reader.container_id.as_deref())
    }

    fn case(&self, reader: &'a Reader) -> Case<'a> {
        let who = self.who(Some(reader));
        let is_frozen = self.is_frozen(who.container_id.as_deref());
        let nobody = self.nobody();
        Case {
            reader: Some(reader),
            of: Circumstances { is_frozen, ..nobody.of },
            workload: Workload { image: self.image(reader), known: self.known(&who) },
            who,
            started: self.started(reader.container_id.as_deref()),
            others: self.others(reader),
            ..nobody
        }
    }

    fn nobody(&self) -> Case<'a> {
        Case {
            now: self.now,
            reader: None,
            token: self.token,
            current: self.current,
            who: self.who(None),
            started: self.started(None),
            connections: self.connections(),
            others: Vec::new(),
            of: self.circumstances(),
            workload: Workload::default(),
        }
    }

    fn circumstances(&self) -> Circumstances {
        Circumstances {
            has_subpath: self.has_subpath,
            is_frozen: self.is_frozen(None),
            is_exchanged: self.current.kept.exchange.is_some(),
            sandbox: self.facts.pod().and_then(|pod| pod.isolation.sandbox),
        }
    }

    /// Whether this container, or without an id any, has an old mount of the volume.
    fn is_frozen(&self, id: Option<&str>) -> bool {
        let volume = &self.facts.tracked.key.volume;
        let mut all = self.running.iter().filter(|one| id.is_none_or(|id| one.id == id));
        all.any(|one| has_mount(one, volume, |kind| *kind == MountKind::Frozen))
    }

    fn who(&self, reader: Option<&Reader>) -> Who {
        let id = reader.and_then(|reader| reader.container_id.clone()).or_else(|| self.only_id());
        let running = self.running.iter().find(|one| Some(&one.id) == id.as_ref());
        let seen = reader.and_then(|reader| reader.program.clone());
        let program = seen.or_else(|| running.map(|one| one.program.clone()));
        Who {
            container: self.container(id.as_deref()).map(|container| container.name.clone()),
            library: running.and_then(|one| one.library.clone()),
            program,
            container_id: id,
        }
    }

    fn known(&self, who: &Who) -> Option<&'a KnownHabit> {
        let key = self.facts.habit_key(who.container.as_deref()?)?;
        self.facts.readers.habits?.get(&key)
    }

    /// The id of the only container that mounts the token, if there is only one.
    fn only_id(&self) -> Option<String> {
        match self.running.as_slice() {
            [one] => Some(one.id.clone()),
            _ => None,
        }
    }

    fn image(&self, reader: &Reader) -> &'a str {
        self.container(reader.container_id.as_deref()).map_or("", |one| one.image.as_str())
    }

    /// A container by its id, or the only one that mounts the token.
    fn container(&self, id: Option<&str>) -> Option<&'a Container> {
        let by_id = self.mounting.iter().find(|one| id.is_some() && one.id.as_deref() == id);
        let only = match self.mounting.as_slice() {
            [one] => Some(one),
            _ => None,
        };
        by_id.or(only).copied()
    }

    /// When the container was started; without an id the one that runs longest.
    fn started(&self, id: Option<&str>) -> Option<Wall> {
        if let Some(one) = self.running.iter().find(|one| Some(one.id.as_str()) == id) {
            return Some(one.started);
        }
        let is_it = |one: &&&Container| id.is_none() || one.id.is_none() || one.id.as_deref() == id;
        self.mounting.iter().filter(is_it).filter_map(|one| one.started).min()
    }

    /// The other readers of the pod, of this token and of others for the API server. Its
    /// connections may be theirs.
    fn others(&self, reader: &Reader) -> Vec<&'a Reader> {
        let of_token = self.readers().filter(|other| other.container_id != reader.container_id);
        let of_others = self.facts.readers.of_other_tokens(&self.facts.tracked.key);
        of_token.chain(of_others.filter(|other| self.lives(other))).collect()
    }

    /// Connections say nothing about a token for another audience.
    fn connections(&self) -> Option<Connections> {
        let pod = self.facts.readers.pod.filter(|_| self.token.is_for_api_server);
        pod.and_then(|pod| pod.connections)
    }
}

fn mounts(container: &Container, key: &TokenKey) -> bool {
    container.tokens.iter().any(|mount| mount.volume == key.volume && mount.path == key.path)
}

fn is_partial(container: &Container, key: &TokenKey) -> bool {
    let of_volume = container.tokens.iter().filter(|mount| mount.volume == key.volume);
    of_volume.into_iter().any(|mount| mount.part != MountedPart::Whole)
}

fn has_mount(
    container: &RunningContainer,
    volume: &str,
    is_such: impl Fn(&MountKind) -> bool,
) -> bool {
    let mut of_volume = container.mounts.iter().filter(|mount| mount.volume == volume);
    of_volume.any(|mount| is_such(&mount.kind))
}
