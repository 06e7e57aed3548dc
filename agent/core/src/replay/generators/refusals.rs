//! What the logs of an API server show.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{account_name, address, name, offset, wall};
use crate::world::refusals::{
    Accepted, AcceptedAccount, AcceptedPod, AuditedRefusal, IssuedToken, PodAtAddress,
    PodsAtAddress, RefusalReason, ServerLogSeen, Suspect, TimedRefusals,
};
use crate::world::tokens::GenerationId;

pub(super) fn server_log() -> impl Strategy<Value = ServerLogSeen> {
    let reason = prop_oneof![Just(RefusalReason::Expired), Just(RefusalReason::Signature)];
    let suspect = prop_oneof![
        address().prop_map(Suspect::Address),
        (name("namespace"), name("pod"))
            .prop_map(|(namespace, name)| Suspect::Pod { namespace, name }),
        account_name().prop_map(Suspect::Account),
    ];
    let counted = (vec((reason, 0..9u64), 0..2), vec((suspect, 0..9u64), 0..3), 0..2u64);
    let rest = (vec(accepted(), 0..3), timed(), vec(issued(), 0..3));
    (counted, rest).prop_map(|((reasons, refused, others), (accepted, timed, issued))| {
        ServerLogSeen { reasons, refused, others, accepted, timed, issued }
    })
}

fn timed() -> impl Strategy<Value = TimedRefusals> {
    let audited = (option::of(address()), wall(), wall())
        .prop_map(|(address, received, answered)| AuditedRefusal { address, received, answered });
    let logged = vec((wall(), Just(RefusalReason::Expired)), 0..3);
    (logged, vec(audited, 0..3), option::of((wall(), wall())))
        .prop_map(|(logged, audited, unlisted)| TimedRefusals { logged, audited, unlisted })
}

fn issued() -> impl Strategy<Value = IssuedToken> {
    (name("uid"), name("audience"), offset(), name("jti"), wall()).prop_map(
        |(pod_uid, request, lifetime, jti, at)| IssuedToken {
            pod_uid,
            request,
            lifetime,
            generation: GenerationId::of_jti(&jti),
            at,
        },
    )
}

pub(super) fn pods_at() -> impl Strategy<Value = PodsAtAddress> {
    let names = (name("namespace"), name("pod"), name("uid"), option::of(name("node")));
    let pod = (names, any::<bool>(), option::of(wall()), any::<bool>()).prop_map(
        |((namespace, name, uid, node), on_host_network, started, has_ended)| PodAtAddress {
            namespace,
            name,
            uid,
            node,
            on_host_network,
            started,
            has_ended,
        },
    );
    (address(), vec(pod, 0..3), any::<bool>()).prop_map(|(address, pods, has_more)| PodsAtAddress {
        address,
        pods,
        has_more,
    })
}

fn accepted() -> impl Strategy<Value = Accepted> {
    let pod = (name("pod"), name("uid")).prop_map(|(name, uid)| AcceptedPod { name, uid });
    let generation = option::of(name("jti").prop_map(|id| GenerationId::of_jti(&id)));
    let pod = (option::of(pod), option::of(name("node")));
    let user = (account_name(), pod, generation, option::of(offset()));
    let user = user.prop_map(|(account, (pod, node), generation, stale_for)| AcceptedAccount {
        account,
        pod,
        node,
        generation,
        stale_for,
    });
    let rest = (option::of(wall()), option::of(name("agent")));
    (option::of(address()), option::of(user), rest)
        .prop_map(|(address, user, (at, agent))| Accepted { address, user, at, agent })
}
