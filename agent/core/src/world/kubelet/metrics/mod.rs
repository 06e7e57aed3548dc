//! kubelet's metrics: when to ask for them, and what two looks show together.
//!
//! The agent asks once when it starts, so that it knows whether kubelet answers, and then only
//! while a token is not renewed and nothing names the cause. A counter that was there before
//! shows nothing: only what was counted between two looks does.

mod seen;
mod shown;
#[cfg(test)]
mod tests;

pub use seen::{KubeletCounters, MetricsSeen, RequestCounts};
use shown::Look;
pub use shown::{Increase, MetricsShown, MetricsSign};

use crate::base::time::{Delta, Monotonic, Reading};
use crate::world::{Changed, ChangedTokens, Query, World};

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

impl Metrics {
    /// Of an agent that can ask for them, or cannot.
    pub fn new(is_enabled: bool) -> Self {
        Self { is_enabled, ..Self::default() }
    }

    /// The query, if it is time for one. `is_wanted`: a token is not renewed, and nothing names the
    /// cause.
    pub fn query(&mut self, is_wanted: bool, now: &Reading) -> Option<Query> {
        self.take_turn(is_wanted, now).then_some(Query::KubeletMetrics)
    }

    fn take_turn(&mut self, is_wanted: bool, now: &Reading) -> bool {
        if !is_wanted && self.last.is_some() {
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
            Some(asked) => (is_wanted || self.is_unanswered()).then(|| asked + self.wait()),
        }
    }

    /// Whether the first look is repeated: a query may be lost, and kubelet may just start.
    fn is_unanswered(&self) -> bool {
        self.last.is_none() && self.looks < SOON
    }

    fn wait(&self) -> Delta {
        let doublings = self.looks.saturating_sub(SOON).min(DOUBLINGS);
        INTERVAL.fraction(1 << doublings, 1)
    }

    /// Takes an answer. Returns whether it shows something else than the one before.
    pub(super) fn see(&mut self, seen: &MetricsSeen, now: &Reading) -> bool {
        let before = self.known(now);
        self.last = Some(self.look(seen, now.monotonic).after(before));
        before.and_then(effective) != self.last.and_then(effective)
    }

    fn look(&mut self, seen: &MetricsSeen, at: Monotonic) -> Look {
        let sign = match seen {
            MetricsSeen::Counters(counters) => return self.counted(*counters, at),
            // Of no right on the metrics it speaks otherwise (403).
            MetricsSeen::Refused(401 | 500) => Some(MetricsSign::CannotVerify),
            MetricsSeen::Closed => Some(MetricsSign::NotRunning),
            MetricsSeen::Refused(_) => None,
        };
        Look { sign: sign.filter(|_| self.was_accepted), increase: None, since: at, at }
    }

    /// What these counters show.
    fn counted(&mut self, counters: KubeletCounters, at: Monotonic) -> Look {
        self.was_accepted = true;
        let before = self.counters.replace((counters, at));
        let before = before.filter(|(_, before)| at - *before <= COUNTS_FOR);
        let increase = before.and_then(|(before, of)| {
            counters.since(&before).map(|counted| Increase { counted, over: at - of })
        });
        let sign = MetricsSign::of(&counters, increase.as_ref().map(|of| &of.counted));
        let since = increase.map_or(at, |increase| at - increase.over);
        Look { sign, increase, since, at }
    }

    fn known(&self, now: &Reading) -> Option<Look> {
        self.last.filter(|look| look.counts(now))
    }

    /// What they show; nothing without a look that counts.
    fn shown(&self, reaches_api: Option<bool>, now: &Reading) -> Option<MetricsShown<'_>> {
        let look = self.last.as_ref().filter(|look| look.counts(now))?;
        // Without the API server, nobody can tell whether the agent's own token is good.
        let is_good = reaches_api == Some(true);
        let sign = effective(*look).filter(|sign| is_good || *sign != MetricsSign::CannotVerify);
        Some(MetricsShown { sign, look, reaches_api })
    }
}

impl Look {
    fn counts(&self, now: &Reading) -> bool {
        now.monotonic - self.at <= COUNTS_FOR
    }

    /// With the time since when the sign is seen, if the look before shows it, too.
    fn after(self, before: Option<Self>) -> Self {
        let before = before.filter(|before| self.sign.is_some() && before.sign == self.sign);
        Self { since: before.map_or(self.since, |before| before.since), ..self }
    }
}

/// The sign, once it lasts as long as it has to.
fn effective(look: Look) -> Option<MetricsSign> {
    look.sign.filter(|sign| !sign.passes() || look.at - look.since >= LASTS)
}

impl World {
    /// Takes what kubelet answered to a request for its metrics. It may name the cause of every
    /// token that is not renewed.
    pub(in crate::world) fn kubelet_metrics_seen(
        &mut self,
        now: &Reading,
        seen: &MetricsSeen,
    ) -> Changed {
        let is_new = self.kubelet.metrics.see(seen, now);
        let tokens = if is_new { ChangedTokens::All } else { ChangedTokens::These(Vec::new()) };
        Changed::node().with(tokens)
    }

    /// What kubelet's metrics show.
    pub fn kubelet_metrics(&self, now: &Reading) -> Option<MetricsShown<'_>> {
        let is_reached = self.cluster.unreachable().is_none();
        self.kubelet.metrics.shown(self.cluster.age(now).map(|_| is_reached), now)
    }
}
