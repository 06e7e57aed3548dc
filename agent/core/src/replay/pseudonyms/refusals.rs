//! The logs of an API server without names.

use core::net::{IpAddr, Ipv6Addr};

use super::Pseudonyms;
use super::names::Kind;
use crate::world::cluster::AccountName;
use crate::world::refusals::{
    Accepted, AcceptedAccount, AcceptedPod, AuditedRefusal, IssuedToken, PodAtAddress,
    PodsAtAddress, ServerLogSeen, Suspect, TimedRefusals,
};

impl Pseudonyms {
    pub(super) fn server_log(&self, seen: ServerLogSeen) -> ServerLogSeen {
        let ServerLogSeen { reasons, refused, others, accepted, timed, issued } = seen;
        let refused = refused.into_iter().map(|(suspect, count)| (self.suspect(suspect), count));
        let refused = refused.collect();
        let accepted = accepted.into_iter().map(|one| self.accepted(one)).collect();
        let timed = self.timed(timed);
        let issued = issued.into_iter().map(|one| self.issued(one)).collect();
        ServerLogSeen { reasons, refused, others, accepted, timed, issued }
    }

    fn timed(&self, timed: TimedRefusals) -> TimedRefusals {
        let TimedRefusals { logged, audited, unlisted } = timed;
        let named = |AuditedRefusal { address, received, answered }| AuditedRefusal {
            address: address.map(|address| self.address(address)),
            received,
            answered,
        };
        TimedRefusals { logged, audited: audited.into_iter().map(named).collect(), unlisted }
    }

    fn issued(&self, issued: IssuedToken) -> IssuedToken {
        let IssuedToken { pod_uid, request, lifetime, generation, at } = issued;
        IssuedToken {
            pod_uid: self.name(Kind::Uid, &pod_uid),
            request: self.name(Kind::Audience, &request),
            lifetime,
            generation: generation.renamed(|id| self.name(Kind::Credential, id)),
            at,
        }
    }

    pub(super) fn pods_at(&self, seen: PodsAtAddress) -> PodsAtAddress {
        let PodsAtAddress { address, pods, has_more } = seen;
        let pods = pods.iter().map(|pod| self.pod_at(pod)).collect();
        PodsAtAddress { address: self.address(address), pods, has_more }
    }

    fn pod_at(&self, pod: &PodAtAddress) -> PodAtAddress {
        let PodAtAddress { namespace, name, uid, node, .. } = pod;
        PodAtAddress {
            namespace: self.name(Kind::Namespace, namespace),
            name: self.name(Kind::Pod, name),
            uid: self.name(Kind::Uid, uid),
            node: self.some_name(Kind::Node, node.clone()),
            ..pod.clone()
        }
    }

    fn suspect(&self, suspect: Suspect) -> Suspect {
        match suspect {
            Suspect::Address(address) => Suspect::Address(self.address(address)),
            Suspect::Pod { namespace, name } => Suspect::Pod {
                namespace: self.name(Kind::Namespace, &namespace),
                name: self.name(Kind::Pod, &name),
            },
            Suspect::Account(account) => Suspect::Account(self.account_name(account)),
        }
    }

    fn accepted(&self, accepted: Accepted) -> Accepted {
        let Accepted { address, user, at, agent } = accepted;
        Accepted {
            address: address.map(|address| self.address(address)),
            user: user.map(|user| self.accepted_account(user)),
            at,
            agent: self.some_name(Kind::Name, agent),
        }
    }

    fn accepted_account(&self, user: AcceptedAccount) -> AcceptedAccount {
        let AcceptedAccount { account, pod, node, generation, stale_for } = user;
        let pod = pod.map(|AcceptedPod { name, uid }| AcceptedPod {
            name: self.name(Kind::Pod, &name),
            uid: self.name(Kind::Uid, &uid),
        });
        let generation = generation.map(|of| of.renamed(|id| self.name(Kind::Credential, id)));
        let (account, node) = (self.account_name(account), self.some_name(Kind::Node, node));
        AcceptedAccount { account, pod, node, generation, stale_for }
    }

    fn account_name(&self, account: AccountName) -> AccountName {
        let AccountName { namespace, name } = account;
        AccountName {
            namespace: self.name(Kind::Namespace, &namespace),
            name: self.name(Kind::Account, &name),
        }
    }

    /// An address of a private network (fd00::/8, RFC 4193) that stands for this one.
    fn address(&self, address: IpAddr) -> IpAddr {
        let hash = self.hash(&address.to_string());
        let host = u64::from_str_radix(&hash, 16).unwrap_or_default();
        IpAddr::V6(Ipv6Addr::from_bits((0xfd << 120) | u128::from(host)))
    }
}
