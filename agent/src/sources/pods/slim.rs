//! Pods as the API has them, of which no more is read than a finding tells.

use std::fmt;

use chrono::DateTime;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::cluster::{Container, Owner, Pod};

/// Pods that are taken from a list: more than the core keeps.
const MOST_PODS: usize = 4_096;
/// Containers, volumes and mounts of a pod that are looked at; what is beyond is not seen.
const MOST_PARTS: usize = 128;
/// Of them, containers that mount a projected volume, and such volumes of one, that are kept: 2,200
/// pods with the longest names are 4 MB each else.
const MOST_KEPT: usize = 16;
/// A pod that was made this long after the minute at the end of its Job's name may still be of that
/// schedule: its Job tried again, or was suspended.
const LONGEST_BEHIND: Delta = Delta::from_secs(7 * 86_400);
/// The controller's clock may be ahead of the API server's by this much.
const CLOCKS_APART: Delta = Delta::from_secs(300);
/// Names in Kubernetes have at most 253 characters; images and UIDs are not longer than this
/// either.
const LONGEST: usize = 512;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) metadata: PageMeta,
    #[serde(default, deserialize_with = "pods")]
    pub(super) items: Vec<Pod>,
}

/// What is said of a page.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PageMeta {
    pub(super) resource_version: Option<String>,
    #[serde(rename = "continue")]
    pub(super) next: Option<String>,
}

/// An event of a watch.
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    #[serde(borrow)]
    pub(super) object: &'a serde_json::value::RawValue,
}

/// A pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    uid: String,
    name: String,
    namespace: String,
    resource_version: Option<String>,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    labels: Option<Labels>,
    annotations: Option<Annotations>,
    #[serde(deserialize_with = "some")]
    owner_references: Vec<OwnerReference>,
}

/// The Deployment controller puts this on its ReplicaSets' pods, and at the end of the ReplicaSets'
/// names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Labels {
    #[serde(rename = "pod-template-hash")]
    template_hash: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OwnerReference {
    kind: String,
    name: String,
    controller: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    service_account_name: Option<String>,
    host_network: Option<bool>,
    #[serde(deserialize_with = "some")]
    volumes: Vec<Volume>,
    #[serde(deserialize_with = "some")]
    containers: Vec<ContainerSpec>,
    #[serde(deserialize_with = "some")]
    init_containers: Vec<ContainerSpec>,
    #[serde(deserialize_with = "some")]
    ephemeral_containers: Vec<ContainerSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Volume {
    name: String,
    projected: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerSpec {
    name: String,
    image: Option<String>,
    #[serde(deserialize_with = "some")]
    volume_mounts: Vec<Mount>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Mount {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    phase: Option<String>,
}

impl Object {
    /// Where in the history of the cluster it is.
    pub(super) fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }

    /// What the core knows of a pod; nothing of an object without a name.
    pub(super) fn pod(self) -> Option<Pod> {
        let (meta, spec) = (self.metadata, self.spec);
        let is_static = meta.mirror().is_some();
        let uid = cut(meta.mirror().unwrap_or(&meta.uid));
        let complete = ![&uid, &meta.name, &meta.namespace].into_iter().any(String::is_empty);
        complete.then(|| Pod {
            uid,
            owner: meta.owner(),
            deletion: meta.deletion_timestamp.as_deref().and_then(wall),
            service_account: spec
                .service_account_name
                .as_deref()
                .filter(|name| !name.is_empty())
                .map(cut),
            containers: spec.mounting_projected(),
            phase: self.status.phase.and_then(|phase| phase.parse().ok()).unwrap_or_default(),
            host_network: spec.host_network.unwrap_or_default(),
            is_static,
            namespace: cut(&meta.namespace),
            name: cut(&meta.name),
        })
    }
}

impl Meta {
    /// The UID of the static pod that this one mirrors: it is what kubelet's directory has.
    fn mirror(&self) -> Option<&str> {
        self.annotations.as_ref()?.mirror.as_deref().filter(|uid| !uid.is_empty())
    }

    fn owner(&self) -> Option<Owner> {
        let owner = self.owner_references.iter().find(|owner| owner.controller == Some(true))?;
        let hash = self.labels.as_ref().and_then(|labels| labels.template_hash.as_deref());
        let created = self.creation_timestamp.as_deref().and_then(wall);
        let above = deployment(owner, hash).or_else(|| cron_job(owner, created?));
        Some(above.unwrap_or_else(|| Owner { kind: cut(&owner.kind), name: cut(&owner.name) }))
    }
}

/// A Deployment's ReplicaSet is called after it, with the template's hash at the end; the
/// Deployment itself is nowhere in the pod.
fn deployment(owner: &OwnerReference, hash: Option<&str>) -> Option<Owner> {
    let name = owner.name.strip_suffix(hash.filter(|hash| !hash.is_empty())?)?.strip_suffix('-')?;
    (owner.kind == "ReplicaSet" && !name.is_empty())
        .then(|| Owner { kind: "Deployment".to_owned(), name: cut(name) })
}

/// A CronJob's Job is called after it, with the minute it was scheduled for at the end, counted
/// from 1970 (kubernetes pkg/controller/cronjob/utils.go, getJobName); the CronJob itself is
/// nowhere in the pod.
fn cron_job(owner: &OwnerReference, created: Wall) -> Option<Owner> {
    let (name, minute) = owner.name.rsplit_once('-')?;
    let minute =
        minute.bytes().all(|byte| byte.is_ascii_digit()).then(|| minute.parse::<u32>().ok())??;
    let waited = created - Wall::from_secs(i64::from(minute) * 60);
    let is_one = owner.kind == "Job"
        && !name.is_empty()
        && waited >= -CLOCKS_APART
        && waited <= LONGEST_BEHIND;
    is_one.then(|| Owner { kind: "CronJob".to_owned(), name: cut(name) })
}

impl Spec {
    fn mounting_projected(&self) -> Vec<Container> {
        let all =
            self.init_containers.iter().chain(&self.containers).chain(&self.ephemeral_containers);
        all.map(|container| self.seen(container))
            .filter(|container| !container.volumes.is_empty())
            .take(MOST_KEPT)
            .collect()
    }

    fn seen(&self, container: &ContainerSpec) -> Container {
        let is_projected = |name: &str| {
            self.volumes.iter().any(|volume| volume.projected.is_some() && volume.name == name)
        };
        let mut volumes: Vec<String> = container
            .volume_mounts
            .iter()
            .filter(|mount| is_projected(&mount.name))
            .map(|mount| cut(&mount.name))
            .collect();
        volumes.sort();
        volumes.dedup();
        volumes.truncate(MOST_KEPT);
        Container {
            name: cut(&container.name),
            image: cut(container.image.as_deref().unwrap_or_default()),
            volumes,
        }
    }
}

fn wall(rfc3339: &str) -> Option<Wall> {
    let time = DateTime::parse_from_rfc3339(rfc3339).ok()?;
    time.timestamp_nanos_opt().map(Wall::from_nanos)
}

/// No longer than anything that Kubernetes allows.
fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default().to_owned()
}

fn pods<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pod>, D::Error> {
    let each: fn(Object) -> Option<Pod> = Object::pod;
    from.deserialize_option(Bounded { most: MOST_PODS, each })
}

fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let each: fn(T) -> Option<T> = Some;
    from.deserialize_option(Bounded { most: MOST_PARTS, each })
}

/// A list of which no more than `most` are kept, each as soon as it is read; or `null`.
struct Bounded<T, U> {
    most: usize,
    each: fn(T) -> Option<U>,
}

impl<'de, T: Deserialize<'de>, U> Visitor<'de> for Bounded<T, U> {
    type Value = Vec<U>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < self.most {
            let Some(one) = list.next_element::<T>()? else { return Ok(kept) };
            kept.extend((self.each)(one));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(kept)
    }
}

#[cfg(test)]
#[path = "slim_tests.rs"]
mod tests;
