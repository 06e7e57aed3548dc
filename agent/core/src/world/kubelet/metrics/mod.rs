//! kubelet's metrics: when to ask for them, and what two looks show together.
//!
//! The agent asks once when it starts, so that it knows whether kubelet answers, and then only while
//! a token is not renewed and nothing names the cause. A counter that was there before shows
//! nothing: only what was counted between two looks does.

mod seen;
mod shown;
#[cfg(test)]
mod tests;

pub use seen::{KubeletCounters, MetricsSeen, RequestCounts};
pub use shown::{Increase, MetricsShown, MetricsSign};

use crate::base::time::{Delta, Monotonic, Reading};
use crate::world::{Changed, ChangedTokens, World};

/// Least time between two looks. kubelet sends some ten requests in it.
const INTERVAL: Delta = Delta::from_secs(60);
/// Looks of one trouble at this interval. The time between later ones doubles: what lasts for five
/// minutes is a matter of hours.
const SOON: u32 = 5;
/// Most doublings: 8 min.
const DOUBLINGS: u32 = 3;
/// Age from which a look shows nothing any more: more than the longest time between two.
const COUNTS_FOR: Delta = Delta::from_secs(1_200);
/// How long a sign has to last that a restart of the API server or of kubelet shows, too: a static
/// pod needs some 30 to 60 s.
const LASTS: Delta = Delta::from_secs(90);

/// kubelet's metrics, as far as they were read.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    is_enabled: bool,
    /// When it was asked last.
    asked: Option<Monotonic>,
    /// Looks since a token is not renewed.
    looks: u32,
    /// The counters of the last look that showed any.
    counters: Option<(KubeletCounters, Monotonic)>,
    /// Whether kubelet has accepted the agent's token.
    was_accepted: bool,
    last: Option<Look>,
}

/// What the last look showed.
#[derive(Clone, Copy, Debug)]
struct Look {
    sign: Option<MetricsSign>,
    increase: Option<Increase>,
    /// Since when the sign is seen.
    since: Monotonic,
    at: Monotonic,
}

impl Metrics {
    /// Of an agent that can ask for them, or cannot.
    pub fn new(is_enabled: bool) -> Self {
        Self { is_enabled, ..Self::default() }
    }

    /// Whether to ask now. `is_wanted`: a token is not renewed, and nothing names the cause.
    pub fn take_turn(&mut self, is_wanted: bool, now: &Reading) -> bool {
        if !is_wanted {
            self.looks = 0;
        }
        let is_turn = self.next_turn(is_wanted).is_some_and(|next| next <= now.monotonic);
        if is_turn {
            self.looks = self.looks.saturating_add(1);
            self.asked = Some(now.monotonic);
        }
        is_turn
    }

    /// When to ask next.
    pub fn next_turn(&self, is_wanted: bool) -> Option<Monotonic> {
        match self.asked {
            _ if !self.is_enabled => None,
            None => Some(Monotonic::from_nanos(0)), // the agent has just started
            Some(asked) => is_wanted.then(|| asked + self.wait()),
        }
    }

    fn wait(&self) -> Delta {
        let doublings = self.looks.saturating_sub(SOON).min(DOUBLINGS);
        INTERVAL.fraction(1 << doublings, 1)
    }

    /// Takes an answer. Returns whether it shows something else than the one before.
    pub(super) fn see(&mut self, seen: MetricsSeen, now: &Reading) -> bool {
        let before = self.known(now);
        let at = now.monotonic;
        let (sign, increase, from) = match seen {
            MetricsSeen::Counters(counters) => self.counted(counters, at),
            // Of no right on the metrics it speaks otherwise (403).
            MetricsSeen::Refused(401 | 500) if self.was_accepted => {
                (Some(MetricsSign::CannotVerify), None, at)
            }
            MetricsSeen::Closed if self.was_accepted => (Some(MetricsSign::NotRunning), None, at),
            MetricsSeen::Refused(_) | MetricsSeen::Closed => (None, None, at),
        };
        let lasts = before.filter(|before| sign.is_some() && before.sign == sign);
        let since = lasts.map_or(from, |before| before.since);
        self.last = Some(Look { sign, increase, since, at });
        before.and_then(effective) != self.last.and_then(effective)
    }

    /// What these counters show, and from when on.
    fn counted(
        &mut self,
        counters: KubeletCounters,
        at: Monotonic,
    ) -> (Option<MetricsSign>, Option<Increase>, Monotonic) {
        self.was_accepted = true;
        let before = self.counters.replace((counters, at));
        let before = before.filter(|(_, before)| at - *before <= COUNTS_FOR);
        let increase = before.and_then(|(before, of)| {
            let counted = counters.since(&before)?;
            Some((Increase { counted, over: at - of }, of))
        });
        let counted = increase.as_ref().map(|(increase, _)| &increase.counted);
        let sign = MetricsSign::of(&counters, counted);
        let from = increase.map_or(at, |(_, from)| from);
        (sign, increase.map(|(increase, _)| increase), from)
    }

    fn known(&self, now: &Reading) -> Option<Look> {
        self.last.filter(|look| now.monotonic - look.at <= COUNTS_FOR)
    }

    /// What they show; nothing without a look that counts.
    fn shown(&self, reaches_api: Option<bool>, now: &Reading) -> Option<MetricsShown> {
        let look = self.known(now)?;
        // Without the API server, nobody can tell whether the agent's own token is good.
        let is_certain =
            |sign: &MetricsSign| *sign != MetricsSign::CannotVerify || reaches_api == Some(true);
        Some(MetricsShown {
            sign: effective(look).filter(is_certain),
            increase: look.increase,
            lasts: look.at - look.since,
            age: now.monotonic - look.at,
            reaches_api,
        })
    }
}

/// The sign, once it lasts as long as it has to.
fn effective(look: Look) -> Option<MetricsSign> {
    look.sign.filter(|sign| !sign.passes() || look.at - look.since >= LASTS)
}

impl World {
    /// Takes what kubelet answered to a request for its metrics. It may name the cause of every token
    /// that is not renewed.
    pub(in crate::world) fn kubelet_metrics_seen(
        &mut self,
        now: &Reading,
        seen: MetricsSeen,
    ) -> Changed {
        let is_new = self.kubelet.metrics.see(seen, now);
        Changed::node().with(if is_new {
            ChangedTokens::All
        } else {
            ChangedTokens::These(Vec::new())
        })
    }

    /// What kubelet's metrics show.
    pub fn kubelet_metrics(&self, now: &Reading) -> Option<MetricsShown> {
        let is_reached = self.cluster.unreachable().is_none();
        self.kubelet.metrics.shown(self.cluster.age(now).map(|_| is_reached), now)
    }
}
