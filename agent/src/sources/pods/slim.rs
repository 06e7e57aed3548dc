//! Pods as the API sends them, reduced while parsing to the fields that findings need, and bounded
//! in number and size.

use std::fmt;

use chrono::DateTime;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::cluster::{Container, Owner, Pod};

/// Pods kept of a list: more than the core keeps.
const MAX_PODS: usize = 4_096;
/// Containers, volumes and mounts read of a pod. The rest is ignored.
const MAX_PARTS: usize = 128;
/// Containers kept of a pod, and projected volumes of a container. Without this bound, one pod with
/// the longest names takes 4 MB, and the core keeps 2,200 pods.
const MAX_KEPT: usize = 16;
/// Longest time from the minute in a Job's name to the creation of its pod: the Job may have
/// retried or been suspended.
const MAX_JOB_DELAY: Delta = Delta::from_secs(7 * 86_400);
/// How far the controller's clock may be ahead of the API server's.
const MAX_CLOCK_SKEW: Delta = Delta::from_secs(300);
/// Bytes kept of a name, image or UID. Names in Kubernetes have at most 253 characters, and images
/// and UIDs are not longer than this either.
const MAX_TEXT: usize = 512;

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) metadata: PageMeta,
    #[serde(default, deserialize_with = "pods")]
    pub(super) items: Vec<Pod>,
}

/// Metadata of a page (`metav1.ListMeta`).
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

/// A pod, or the object of a bookmark.
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
    #[serde(deserialize_with = "bounded")]
    owner_references: Vec<OwnerReference>,
}

/// The Deployment controller sets this label on its ReplicaSets' pods, and appends its value to the
/// ReplicaSets' names.
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
    #[serde(deserialize_with = "bounded")]
    volumes: Vec<Volume>,
    #[serde(deserialize_with = "bounded")]
    containers: Vec<ContainerSpec>,
    #[serde(deserialize_with = "bounded")]
    init_containers: Vec<ContainerSpec>,
    #[serde(deserialize_with = "bounded")]
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
    #[serde(deserialize_with = "bounded")]
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
    /// Its resource version.
    pub(super) fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }

    /// The pod for the core; none for an object without name, namespace or UID.
    pub(super) fn pod(self) -> Option<Pod> {
        let (meta, spec) = (self.metadata, self.spec);
        meta.is_complete().then(|| Pod {
            uid: cut(meta.uid()),
            owner: meta.owner(),
            deletion: meta.deletion_timestamp.as_deref().and_then(wall),
            service_account: spec.service_account(),
            containers: spec.mounting_projected(),
            phase: self.status.phase.and_then(|phase| phase.parse().ok()).unwrap_or_default(),
            host_network: spec.host_network.unwrap_or_default(),
            is_static: meta.mirror().is_some(),
            namespace: cut(&meta.namespace),
            name: cut(&meta.name),
        })
    }
}

impl Meta {
    /// The UID of the static pod that this pod mirrors. Kubelet's directory has that UID.
    fn mirror(&self) -> Option<&str> {
        self.annotations.as_ref()?.mirror.as_deref().filter(|uid| !uid.is_empty())
    }

    /// As in the names of kubelet's directories.
    fn uid(&self) -> &str {
        self.mirror().unwrap_or(&self.uid)
    }

    fn is_complete(&self) -> bool {
        ![self.uid(), &self.name, &self.namespace].into_iter().any(str::is_empty)
    }

    fn owner(&self) -> Option<Owner> {
        let owner = self.owner_references.iter().find(|owner| owner.controller == Some(true))?;
        let hash = self.labels.as_ref().and_then(|labels| labels.template_hash.as_deref());
        let created = self.creation_timestamp.as_deref().and_then(wall);
        let above = deployment(owner, hash).or_else(|| cron_job(owner, created?));
        Some(above.unwrap_or_else(|| Owner { kind: cut(&owner.kind), name: cut(&owner.name) }))
    }
}

/// The Deployment of a ReplicaSet, from its name: the Deployment's name and the template's hash.
/// The pod does not refer to the Deployment itself.
fn deployment(owner: &OwnerReference, hash: Option<&str>) -> Option<Owner> {
    let name = owner.name.strip_suffix(hash.filter(|hash| !hash.is_empty())?)?.strip_suffix('-')?;
    (owner.kind == "ReplicaSet" && !name.is_empty())
        .then(|| Owner { kind: "Deployment".to_owned(), name: cut(name) })
}

/// The CronJob of a Job, from its name: the CronJob's name and the scheduled minute, counted from
/// 1970 (kubernetes pkg/controller/cronjob/utils.go, getJobName). The pod does not refer to the
/// CronJob itself.
fn cron_job(owner: &OwnerReference, created: Wall) -> Option<Owner> {
    let (name, minute) = owner.name.rsplit_once('-')?;
    let minute =
        minute.bytes().all(|byte| byte.is_ascii_digit()).then(|| minute.parse::<u32>().ok())??;
    let delay = created - Wall::from_secs(i64::from(minute) * 60);
    let is_cron_job = owner.kind == "Job"
        && !name.is_empty()
        && delay >= -MAX_CLOCK_SKEW
        && delay <= MAX_JOB_DELAY;
    is_cron_job.then(|| Owner { kind: "CronJob".to_owned(), name: cut(name) })
}

impl Spec {
    fn mounting_projected(&self) -> Vec<Container> {
        let all =
            self.init_containers.iter().chain(&self.containers).chain(&self.ephemeral_containers);
        all.map(|container| self.reduced(container))
            .filter(|container| !container.volumes.is_empty())
            .take(MAX_KEPT)
            .collect()
    }

    fn service_account(&self) -> Option<String> {
        self.service_account_name.as_deref().filter(|name| !name.is_empty()).map(cut)
    }

    fn reduced(&self, container: &ContainerSpec) -> Container {
        let mounts = container.volume_mounts.iter().filter(|mount| self.is_projected(&mount.name));
        let mut volumes: Vec<String> = mounts.map(|mount| cut(&mount.name)).collect();
        volumes.sort();
        volumes.dedup();
        volumes.truncate(MAX_KEPT);
        let image = cut(container.image.as_deref().unwrap_or_default());
        Container { name: cut(&container.name), image, volumes }
    }

    fn is_projected(&self, name: &str) -> bool {
        self.volumes.iter().any(|volume| volume.projected.is_some() && volume.name == name)
    }
}

fn wall(rfc3339: &str) -> Option<Wall> {
    let time = DateTime::parse_from_rfc3339(rfc3339).ok()?;
    time.timestamp_nanos_opt().map(Wall::from_nanos)
}

/// At most [`MAX_TEXT`] bytes of it.
fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default().to_owned()
}

fn pods<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pod>, D::Error> {
    let each: fn(Object) -> Option<Pod> = Object::pod;
    from.deserialize_option(Bounded { max: MAX_PODS, each })
}

fn bounded<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let each: fn(T) -> Option<T> = Some;
    from.deserialize_option(Bounded { max: MAX_PARTS, each })
}

/// A list of which at most `max` elements are kept, each converted as soon as it is read; or
/// `null`.
struct Bounded<T, U> {
    max: usize,
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
        while kept.len() < self.max {
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
