//! The logs of an API server without names.

use core::net::{IpAddr, Ipv6Addr};

use super::Pseudonyms;
use super::names::Kind;
use crate::world::cluster::AccountName;
use crate::world::refusals::{Accepted, AcceptedAccount, AcceptedPod, ServerLogSeen, Suspect};

impl Pseudonyms {
    pub(super) fn server_log(&self, seen: ServerLogSeen) -> ServerLogSeen {
        let ServerLogSeen { reasons, refused, others, accepted } = seen;
        let refused = refused.into_iter().map(|(suspect, count)| (self.suspect(suspect), count));
        let refused = refused.collect();
        let accepted = accepted.into_iter().map(|one| self.accepted(one)).collect();
        ServerLogSeen { reasons, refused, others, accepted }
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
        let Accepted { address, user } = accepted;
        Accepted {
            address: address.map(|address| self.address(address)),
            user: user.map(|user| self.accepted_account(user)),
        }
    }

    fn accepted_account(&self, user: AcceptedAccount) -> AcceptedAccount {
        let AcceptedAccount { account, pod, generation, stale_for } = user;
        let pod = pod.map(|AcceptedPod { name, uid }| AcceptedPod {
            name: self.name(Kind::Pod, &name),
            uid: self.name(Kind::Uid, &uid),
        });
        let generation = generation.map(|of| of.renamed(|id| self.name(Kind::Credential, id)));
        AcceptedAccount { account: self.account_name(account), pod, generation, stale_for }
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
