//! When the first request of a story fails, by the rules of those who verify tokens.

use tokenwatch_core::world::tokens::Claims;

use crate::node::{Node, START, Use, Verifier};

/// The second at which the first request is refused, if one is.
pub(crate) fn first_failure(node: &Node) -> Option<i64> {
    let refused = node.uses.iter().filter_map(|used| refused_from(node, used));
    refused.chain(node.breaks).min()
}

fn refused_from(node: &Node, used: &Use) -> Option<i64> {
    let claims = &used.claims;
    let mut changes = match used.verifier {
        Verifier::Api => node.cluster.changes(claims),
        Verifier::Outside => vec![claims.expires_at.as_secs() + 1 - START],
        Verifier::OnNode => by_the_nodes_clock(node, claims),
    };
    changes.push(used.since);
    changes.retain(|second| (used.since..used.until).contains(second));
    changes.sort_unstable();
    changes.into_iter().find(|second| refuses(node, used, *second))
}

fn refuses(node: &Node, used: &Use, second: i64) -> bool {
    let claims = &used.claims;
    let by_clock =
        |now: i64| now > claims.expires_at.as_secs() || now < claims.not_before.as_secs();
    match used.verifier {
        Verifier::Api => node.cluster.refuses(claims, second),
        Verifier::Outside => by_clock(START + second),
        Verifier::OnNode => by_clock(node.at(second).wall.as_secs()),
    }
}

/// The seconds at which a program on the node may change its answer: those at which the clock is
/// set, and those at which it reaches the ends of the token.
fn by_the_nodes_clock(node: &Node, claims: &Claims) -> Vec<i64> {
    let set: Vec<i64> = node.ahead.changes().collect();
    let ends = [claims.expires_at.as_secs() + 1, claims.not_before.as_secs()];
    let clocks = set.iter().copied().chain([i64::MIN]).map(|from| node.ahead.at(from) / 1_000);
    let reached = clocks.flat_map(|ahead| ends.map(|end| end - ahead - START));
    reached.chain(set.clone()).collect()
}
