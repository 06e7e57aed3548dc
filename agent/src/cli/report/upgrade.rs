//! The readers of one node by workload, with what happens to each without expiry extension.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::workload::WorkloadName;
use crate::reader_list::{Moment, Reader, ReaderList, Readiness};

/// Most pods that are named for one workload. The count beside them is complete.
const MAX_NAMED: usize = 10;

/// Who is ready for an API server without expiry extension, and who is not.
#[derive(Debug)]
pub(super) struct Upgrade {
    /// The worst first. Those that are ready are only counted.
    pub(super) workloads: Vec<Workload>,
    /// Readers that are ready.
    pub(super) ready: usize,
    /// Readers of tokens that are not extended, or who never read theirs.
    pub(super) not_concerned: usize,
    /// What could not be seen.
    pub(super) problems: Vec<String>,
}

/// The readers of one token in one container of one workload.
#[derive(Debug)]
pub(super) struct Workload {
    /// The worst of its readers.
    pub(super) readiness: Readiness,
    /// Namespace, kind and name of the owner; of the pod where the owner is not known.
    pub(super) name: WorkloadName,
    pub(super) container: Option<String>,
    pub(super) readers: usize,
    pub(super) pods: Vec<String>,
    /// When the first of the tokens that they hold would have been refused.
    pub(super) refused: Option<Moment>,
    /// Of the worst reader.
    pub(super) example: Reader,
}

impl Upgrade {
    /// Of the readers in the list.
    pub(super) fn of(list: &ReaderList) -> Self {
        let (workloads, problems) = (Vec::new(), problems(list));
        let mut upgrade = Self { workloads, ready: 0, not_concerned: 0, problems };
        let mut groups: BTreeMap<_, Vec<(Readiness, &Reader)>> = BTreeMap::new();
        for reader in &list.readers {
            match reader.readiness(list.at) {
                None => upgrade.not_concerned += 1,
                Some(Readiness::Ready) => upgrade.ready += 1,
                Some(readiness @ (Readiness::Recovers | Readiness::Unknown | Readiness::Fails)) => {
                    let group = (WorkloadName::of(&reader.pod), &reader.container, &reader.path);
                    groups.entry(group).or_default().push((readiness, reader));
                }
            }
        }
        let workloads = groups.into_iter().filter_map(|((name, ..), all)| workload(name, &all));
        upgrade.workloads = workloads.collect();
        upgrade.workloads.sort_by_key(|workload| Reverse(workload.readiness));
        upgrade
    }

    /// How many workloads end up like this.
    pub(super) fn count(&self, readiness: Readiness) -> usize {
        self.workloads.iter().filter(|workload| workload.readiness == readiness).count()
    }

    /// 0 everybody is ready, or recovers; 1 a workload fails; 2 something could not be seen, or is
    /// not known, and none fails.
    pub(super) fn exit_code(&self) -> u8 {
        let is_open = self.count(Readiness::Unknown) > 0 || !self.problems.is_empty();
        match (self.count(Readiness::Fails), is_open) {
            (1.., _) => 1,
            (0, true) => super::UNSEEN,
            (0, false) => 0,
        }
    }
}

/// What could not be seen: without any reader, nothing was.
fn problems(list: &ReaderList) -> Vec<String> {
    let left_out = (list.left_out > 0)
        .then(|| format!("{} more readers, for which the list has no room", list.left_out));
    let nobody = (list.readers.is_empty() && list.tokens > 0)
        .then(|| format!("the readers of {} tokens", list.tokens));
    list.problems.iter().cloned().chain(left_out).chain(nobody).collect()
}

fn workload(name: WorkloadName, all: &[(Readiness, &Reader)]) -> Option<Workload> {
    let (readiness, example) = all.iter().max_by_key(|(readiness, _)| *readiness)?;
    let pods: BTreeSet<String> = all.iter().map(|(_, reader)| reader.pod.shown()).collect();
    let refused = all.iter().filter_map(|(_, reader)| reader.refused_without_extension());
    Some(Workload {
        readiness: *readiness,
        name,
        container: example.container.clone(),
        readers: all.len(),
        pods: pods.into_iter().take(MAX_NAMED).collect(),
        refused: refused.min_by_key(|at| at.0),
        example: (*example).clone(),
    })
}
