//! What a report has: the last error about each volume.

use std::collections::BTreeMap;

use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::kubelet::errors::{ErrorPod, ErrorScope, ErrorSource, KubeletError};
use tokenwatch_core::world::observation::Observation;

use super::found::{Found, found};
use super::line::line;
use crate::sources::logs::time::{LineTime, Local, zone};

/// Most errors of one pod in one report: as many as the engine keeps. The others come again:
/// kubelet repeats what fails.
const OF_POD: usize = 8;
/// Most errors in one report: those of a full node.
const MAX_ERRORS: usize = 256 * OF_POD;

/// What was seen since the last report.
#[derive(Debug, Default)]
pub(super) struct Gather {
    errors: BTreeMap<(ErrorPod, ErrorScope), (Found, Option<LineTime>)>,
    /// The last time of a line without a time zone.
    last: Option<Local>,
    done: Vec<KubeletError>,
}

impl Gather {
    /// Takes a line of a log file.
    pub(super) fn line(&mut self, bytes: &[u8]) {
        let Some(line) = line(bytes) else { return };
        if let Some(LineTime::Local(local)) = line.time {
            self.last = Some(local);
        }
        let time = line.time;
        if let Some(found) = found(&line) {
            self.add(found, time);
        }
    }

    /// Takes the message of an entry of the journal, which has a time.
    pub(super) fn message(&mut self, bytes: &[u8], at: Wall) {
        if let Some(found) = line(bytes).as_ref().and_then(found) {
            self.add(found, Some(LineTime::At(at)));
        }
    }

    /// Takes an error that was seen at this time.
    pub(super) fn add(&mut self, found: Found, time: Option<LineTime>) {
        let key = (found.pod.clone(), found.of.clone());
        if self.has_room(&found.pod) || self.errors.contains_key(&key) {
            self.errors.insert(key, (found, time));
        }
    }

    fn has_room(&self, pod: &ErrorPod) -> bool {
        let of_pod = self.errors.keys().filter(|(of, _)| of == pod).count();
        of_pod < OF_POD && self.errors.len() < MAX_ERRORS
    }

    /// The lines so far are those of a file that was last written at `modified`: their times
    /// follow. A line without a time is as old as the file.
    pub(super) fn settle(&mut self, by: ErrorSource, modified: Wall) {
        let zone = self.last.take().and_then(|last| zone(last, modified)).unwrap_or(Delta::ZERO);
        let at = |time: Option<LineTime>| match time {
            Some(LineTime::At(at)) => at,
            Some(LineTime::Local(local)) => local.at(zone, modified).unwrap_or(modified),
            None => modified,
        };
        for (Found { pod, of, cause, text }, time) in std::mem::take(&mut self.errors).into_values()
        {
            self.done.push(KubeletError { pod, of, cause, text, at: at(time), by });
        }
        self.done.truncate(MAX_ERRORS);
    }

    /// The report, if there is anything to report.
    pub(super) fn report(&mut self) -> Option<Observation> {
        let errors = std::mem::take(&mut self.done);
        (!errors.is_empty()).then_some(Observation::KubeletErrors(errors))
    }
}
