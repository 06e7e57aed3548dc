//! What kubelet's metrics show of the reason why a token is not replaced. They count what happens
//! on the whole node, so that a cause is no more than likely; and what kubelet itself logged about
//! the token counts more.

use super::logged;
use super::names::plural;
use crate::base::time::Delta;
use crate::base::value::Attributes;
use crate::findings::TokenFault;
use crate::world::Facts;
use crate::world::kubelet::metrics::{Increase, MetricsShown, MetricsSign, RequestCounts};

/// What they show about this fault.
pub(super) fn of<'a>(fault: TokenFault, facts: &Facts<'a>) -> Option<MetricsShown<'a>> {
    facts.kubelet.metrics.filter(|_| logged::is_of_rotation(fault))
}

/// The sentence, with a space before it; empty if they show nothing.
pub(super) fn sentence(shown: &MetricsShown<'_>) -> String {
    let requests = shown.increase().map(|of| of.counted.requests).unwrap_or_default();
    match shown.sign {
        Some(sign) => {
            let (cause, beside) = (cause(sign), beside(sign, shown));
            let proof = proof(sign, &requests, shown);
            format!(" Most likely, {cause}. kubelet's metrics show this: {proof}.{beside}")
        }
        None => shown.increase().map(hint).unwrap_or_default(),
    }
}

fn cause(sign: MetricsSign) -> &'static str {
    match sign {
        MetricsSign::CertificateExpired => "kubelet's own client certificate has expired",
        MetricsSign::Unauthorized => "the API server does not accept kubelet's own credential",
        MetricsSign::Unanswered => "kubelet does not reach the API server",
        MetricsSign::Throttled => "the API server limits the rate of requests",
        MetricsSign::CannotVerify => CANNOT_VERIFY,
        MetricsSign::NotRunning => "kubelet does not run",
    }
}

const CANNOT_VERIFY: &str = "kubelet does not reach the API server, or that does not accept \
                             kubelet's own credential";

/// What the metrics counted, or what kubelet answered.
fn proof(sign: MetricsSign, requests: &RequestCounts, shown: &MetricsShown<'_>) -> String {
    let over = shown.increase().map_or(shown.lasts(), |increase| increase.over);
    let all = plural(requests.all(), "request");
    match sign {
        MetricsSign::CertificateExpired => EXPIRED.to_owned(),
        MetricsSign::Unauthorized => {
            format!("the API server answered 401 to {} of {all} in {over}", requests.unauthorized)
        }
        MetricsSign::Unanswered => {
            format!("none of {all} to the API server got an answer in {over}, or errors alone")
        }
        MetricsSign::Throttled => {
            format!("the API server answered 429 to {} of {all} in {over}", requests.throttled)
        }
        MetricsSign::NotRunning => {
            format!("nothing has listened at its port for {}", shown.lasts())
        }
        MetricsSign::CannotVerify => format!(
            "it has not accepted this agent's token for {}, although it did before and the API \
             server still does",
            shown.lasts()
        ),
    }
}

const EXPIRED: &str = "its time is over by this node's clock, and no look shows a request that the \
                       API server accepted since";

/// What this agent sees that differs.
fn beside(sign: MetricsSign, shown: &MetricsShown<'_>) -> &'static str {
    let reaches = shown.reaches_api.filter(|_| sign == MetricsSign::Unanswered);
    logged::own_reach(reaches)
}

/// Requests that were refused may be those for this token, and may be others.
fn hint(increase: &Increase) -> String {
    let (forbidden, over) = (increase.counted.requests.forbidden, increase.over);
    let mounts = increase.counted.failed_mounts;
    if forbidden > 0 {
        let requests = plural(forbidden, "request");
        format!(
            " By kubelet's metrics, the API server refused {requests} of it in {over} with 403, \
             as it refuses a token. It may have been another request."
        )
    } else if mounts > 0 && increase.rules_out_connection() {
        let times = plural(mounts, "time");
        format!(
            " By kubelet's metrics, it failed {times} in {over} to write a volume with tokens, \
             while the API server accepted its requests. They do not show which volume."
        )
    } else {
        String::new()
    }
}

/// The evidence: what is shown, and what was counted between the last two looks.
pub(super) fn evidence(shown: &MetricsShown<'_>) -> Attributes {
    let sign = shown.sign.map_or("no cause", MetricsSign::name);
    let counted = shown.increase().map(of_increase).unwrap_or_default();
    Attributes::new().with("kubelet_metrics", sign).and(counted)
}

fn of_increase(increase: &Increase) -> Attributes {
    let (counted, requests) = (&increase.counted, &increase.counted.requests);
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let is_out = increase.rules_out_connection();
    let left = counted.certificate_left.map(Delta::as_secs);
    Attributes::new()
        .with("kubelet_metrics_over", increase.over)
        .with("kubelet_requests", count(requests.all()))
        .with("kubelet_requests_401", count(requests.unauthorized))
        .with("kubelet_requests_403", count(requests.forbidden))
        .with("kubelet_requests_429", count(requests.throttled))
        .with("kubelet_requests_lost", count(requests.failed.saturating_add(requests.unanswered)))
        .with("kubelet_failed_mounts", count(counted.failed_mounts))
        .with("kubelet_pod_syncs", count(counted.pod_syncs))
        .with("kubelet_certificate_renew_errors", count(counted.renew_errors))
        .with_some("kubelet_certificate_left", left)
        .with_some("kubelet_metrics_rule_out", is_out.then_some(RULED_OUT))
}

const RULED_OUT: &str = "kubelet's connection to the API server and its credential: the API server \
                         accepts its requests";
