//! Pods, accounts and claims without names.

use super::Pseudonyms;
use super::names::Kind;
use crate::world::cluster::{
    AccountName, AccountSeen, ClusterSeen, Container, LeaseSeen, Owner, Pod, PodRef, TokenMount,
};
use crate::world::keys::{KeySet, KeysAnswer, KeysSeen};
use crate::world::tokens::{
    Binding, Claims, LegacyClaims, LegacyToken, ObjectRef, SigningKey, TokenKey,
};

/// Kinds of owners that every cluster has. Others may be named after who wrote them.
const OWNER_KINDS: [&str; 9] = [
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Job",
    "Node",
    "Pod",
    "ReplicaSet",
    "ReplicationController",
    "StatefulSet",
];

/// How the subject of every service account's token begins.
const SUBJECT: &str = "system:serviceaccount:";

impl Pseudonyms {
    pub(super) fn token_key(&self, key: TokenKey) -> TokenKey {
        let TokenKey { pod_uid, volume, path } = key;
        TokenKey {
            pod_uid: self.name(Kind::Uid, &pod_uid),
            volume: self.name(Kind::Volume, &volume),
            path: self.path(&path),
        }
    }

    pub(super) fn claims(&self, claims: Claims) -> Claims {
        let Claims {
            issuer,
            subject,
            audiences,
            issued_at,
            not_before,
            expires_at,
            warn_after,
            credential,
            binding,
            key: SigningKey { id, is_external },
        } = claims;
        Claims {
            issuer: self.name(Kind::Audience, &issuer),
            subject: self.subject(&subject),
            audiences: audiences.iter().map(|name| self.name(Kind::Audience, name)).collect(),
            issued_at,
            not_before,
            expires_at,
            warn_after,
            credential: self.some_name(Kind::Credential, credential),
            binding: self.binding(binding),
            key: SigningKey { id: self.some_name(Kind::Key, id), is_external },
        }
    }

    fn binding(&self, binding: Binding) -> Binding {
        let Binding { namespace, service_account, pod, secret, node } = binding;
        Binding {
            namespace: self.name(Kind::Namespace, &namespace),
            service_account: self.object(Kind::Account, service_account),
            pod: pod.map(|pod| self.object(Kind::Pod, pod)),
            secret: secret.map(|secret| self.object(Kind::Name, secret)),
            node: node.map(|node| self.object(Kind::Node, node)),
        }
    }

    fn subject(&self, subject: &str) -> String {
        let account = subject.strip_prefix(SUBJECT).and_then(|rest| rest.split_once(':'));
        match account {
            Some((namespace, name)) => format!(
                "{SUBJECT}{}:{}",
                self.name(Kind::Namespace, namespace),
                self.name(Kind::Account, name)
            ),
            None => self.name(Kind::Name, subject),
        }
    }

    fn object(&self, kind: Kind, object: ObjectRef) -> ObjectRef {
        let ObjectRef { name, uid } = object;
        ObjectRef { name: self.name(kind, &name), uid: self.some_name(Kind::Uid, uid) }
    }

    pub(super) fn cluster(&self, seen: ClusterSeen) -> ClusterSeen {
        match seen {
            ClusterSeen::Listed(pods) => {
                ClusterSeen::Listed(pods.into_iter().map(|pod| self.pod(pod)).collect())
            }
            ClusterSeen::Pod(pod) => ClusterSeen::Pod(Box::new(self.pod(*pod))),
            ClusterSeen::PodGone(uid) => ClusterSeen::PodGone(self.name(Kind::Uid, &uid)),
            ClusterSeen::Unchanged => ClusterSeen::Unchanged,
            ClusterSeen::Unreachable { reason } => {
                ClusterSeen::Unreachable { reason: self.text(&reason) }
            }
        }
    }

    pub(super) fn account(&self, seen: AccountSeen) -> AccountSeen {
        let AccountSeen { account: AccountName { namespace, name }, uid } = seen;
        let account = AccountName {
            namespace: self.name(Kind::Namespace, &namespace),
            name: self.name(Kind::Account, &name),
        };
        AccountSeen { account, uid: self.some_name(Kind::Uid, uid) }
    }

    pub(super) fn lease(&self, lease: LeaseSeen) -> LeaseSeen {
        let LeaseSeen { holder, renewed, duration } = lease;
        LeaseSeen { holder: self.some_name(Kind::Name, holder), renewed, duration }
    }

    pub(super) fn legacy(&self, token: LegacyToken) -> LegacyToken {
        let LegacyToken { key, claims: LegacyClaims { namespace, service_account, secret } } =
            token;
        let claims = LegacyClaims {
            namespace: self.name(Kind::Namespace, &namespace),
            service_account: self.name(Kind::Account, &service_account),
            secret: self.some_name(Kind::Name, secret),
        };
        LegacyToken { key: self.token_key(key), claims }
    }

    pub(super) fn keys(&self, seen: KeysSeen) -> KeysSeen {
        let KeysSeen { sent, answer } = seen;
        let answer = match answer {
            KeysAnswer::Published(KeySet { issuer, ids }) => KeysAnswer::Published(KeySet {
                issuer: self.some_name(Kind::Audience, issuer),
                ids: ids.iter().map(|id| self.name(Kind::Key, id)).collect(),
            }),
            KeysAnswer::Refused(claims) => KeysAnswer::Refused(Box::new(self.claims(*claims))),
        };
        KeysSeen { sent, answer }
    }

    fn pod(&self, pod: Pod) -> Pod {
        let Pod {
            uid,
            namespace,
            name,
            owner,
            service_account,
            containers,
            phase,
            isolation,
            is_static,
            deletion,
        } = pod;
        Pod {
            uid: self.name(Kind::Uid, &uid),
            namespace: self.name(Kind::Namespace, &namespace),
            name: self.name(Kind::Pod, &name),
            owner: owner.map(|owner| self.owner(owner)),
            service_account: self.some_name(Kind::Account, service_account),
            containers: containers.into_iter().map(|one| self.container(one)).collect(),
            phase,
            isolation,
            is_static,
            deletion,
        }
    }

    fn owner(&self, owner: Owner) -> Owner {
        let Owner { kind, name } = owner;
        let named = if kind == "Node" { Kind::Node } else { Kind::Owner };
        let name = self.name(named, &name);
        let is_known = OWNER_KINDS.contains(&kind.as_str());
        Owner { kind: if is_known { kind } else { self.name(Kind::Controller, &kind) }, name }
    }

    fn container(&self, container: Container) -> Container {
        let Container { name, id, image, volumes, started, tokens } = container;
        Container {
            name: self.name(Kind::Container, &name),
            id: self.some_name(Kind::ContainerId, id),
            image: self.name(Kind::Image, &image),
            volumes: volumes.iter().map(|name| self.name(Kind::Volume, name)).collect(),
            started,
            tokens: tokens.into_iter().map(|mount| self.token_mount(mount)).collect(),
        }
    }

    fn token_mount(&self, mount: TokenMount) -> TokenMount {
        let TokenMount { volume, path, mount_path, part, convention } = mount;
        TokenMount {
            volume: self.name(Kind::Volume, &volume),
            path: self.path(&path),
            mount_path: self.name(Kind::Directory, &mount_path),
            part,
            convention,
        }
    }

    pub(super) fn pod_ref(&self, pod: PodRef) -> PodRef {
        let PodRef { namespace, name, uid, owner, is_claimed } = pod;
        PodRef {
            namespace: self.some_name(Kind::Namespace, namespace),
            name: self.some_name(Kind::Pod, name),
            uid: self.name(Kind::Uid, &uid),
            owner: owner.map(|owner| self.owner(owner)),
            is_claimed,
        }
    }
}
