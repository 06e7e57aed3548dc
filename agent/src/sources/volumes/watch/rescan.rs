//! The rescan of everything: when it is due, and which pods the running one has still to scan.

use std::collections::VecDeque;
use std::time::Duration;

use tokenwatch_core::base::time::{Delta, Monotonic};

use crate::sources::volumes::layout::PodId;

/// Shortest time between the starts of two rescans. One of hundreds of pods takes some
/// milliseconds, so a program that causes events without end costs a few percent of a core and no
/// more.
const MIN_SPACING: Delta = Delta::from_millis(500);
/// While a rescan runs, the next one has no time yet, unless something schedules it early.
const NEVER: Monotonic = Monotonic::from_nanos(i64::MAX);

/// What the next step of the rescan is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is due.
    None,
    /// Start one.
    Start,
    /// Scan this pod.
    Pod(PodId),
    /// All pods are scanned: end it.
    End,
}

/// Schedule and progress of rescans.
#[derive(Debug, Default)]
pub(super) struct Rescan {
    is_running: bool,
    /// Pods that the running one has still to scan.
    pods: VecDeque<PodId>,
    /// Problems with roots that the running one has found.
    problems: Vec<String>,
    started: Monotonic,
    next: Monotonic,
}

impl Rescan {
    pub(super) fn is_running(&self) -> bool {
        self.is_running
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Monotonic {
        self.next
    }

    /// The next step: one pod at a time, so that events need not wait for the end.
    pub(super) fn step(&mut self, now: Monotonic) -> Step {
        if let Some(pod) = self.pods.pop_front() {
            Step::Pod(pod)
        } else if self.is_running {
            Step::End
        } else if self.next <= now {
            Step::Start
        } else {
            Step::None
        }
    }

    /// Notes the start of a rescan, before the pods are listed.
    pub(super) fn start(&mut self, now: Monotonic) {
        (self.started, self.next) = (now, NEVER);
        self.is_running = true;
    }

    /// Takes the list of pods, and the problems with listing them.
    pub(super) fn set_pods(&mut self, pods: Vec<PodId>, problems: Vec<String>) {
        (self.pods, self.problems) = (pods.into(), problems);
    }

    /// Whether every root could be listed.
    pub(super) fn is_complete(&self) -> bool {
        self.problems.is_empty()
    }

    /// Ends the running one. Returns the problems that it found.
    pub(super) fn end(&mut self) -> Vec<String> {
        self.is_running = false;
        std::mem::take(&mut self.problems)
    }

    /// Schedules the next one after `interval`, unless it is due sooner. Jittered by a tenth, so
    /// that the agents of a cluster do not rescan at the same time.
    pub(super) fn schedule(&mut self, now: Monotonic, interval: Duration) {
        let jittered = interval.mul_f64(rand::random_range(0.9..1.1));
        self.next = self.next.min(now + Delta::from_std(jittered));
    }

    /// Schedules the next one as soon as the spacing allows.
    pub(super) fn schedule_early(&mut self) {
        self.next = self.next.min(self.started + MIN_SPACING);
    }
}
