//! Pods as the API sends them, reduced while parsing to the fields that findings need, and bounded
//! in number and size.

use chrono::DateTime;
use serde::{Deserialize, Deserializer};
use tokenwatch_core::base::time::{Delta, Wall};
use tokenwatch_core::world::cluster::{Container, Isolation, Owner, Pod, Sandbox, TokenMount};

use super::bounds::{Bounded, bounded, cut};
use super::conventions::{self, NamedFile, Variable};
use super::mounts::{self, Mount, Volume};

/// Pods kept of a list: more than the core keeps.
const MAX_PODS: usize = 4_096;
/// Containers kept of a pod, and projected volumes of a container. Without this bound, one pod with
/// the longest names takes 4 MB, and the core keeps 2,200 pods.
const MAX_KEPT: usize = 16;
/// Token mounts kept of a pod, for the same reason.
const MAX_TOKENS: usize = 32;
/// Longest time from the minute in a Job's name to the creation of its pod: the Job may have
/// retried or been suspended.
const MAX_JOB_DELAY: Delta = Delta::from_secs(7 * 86_400);
/// How far the controller's clock may be ahead of the API server's.
const MAX_CLOCK_SKEW: Delta = Delta::from_secs(300);

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
    #[serde(rename = "vault.hashicorp.com/agent-inject")]
    vault_inject: Option<String>,
    #[serde(rename = "vault.hashicorp.com/auth-type")]
    vault_auth: Option<String>,
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
    runtime_class_name: Option<String>,
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
#[serde(default, rename_all = "camelCase")]
struct ContainerSpec {
    name: String,
    image: Option<String>,
    /// `Always` of an init container: it runs as long as the pod (KEP-753).
    restart_policy: Option<String>,
    #[serde(deserialize_with = "bounded")]
    volume_mounts: Vec<Mount>,
    /// Those that name the file of a token.
    #[serde(deserialize_with = "variables")]
    env: Vec<NamedFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    #[serde(deserialize_with = "bounded")]
    container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "bounded")]
    init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "bounded")]
    ephemeral_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    state: Option<ContainerState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    running: Option<RunningState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RunningState {
    started_at: Option<String>,
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
            containers: meta.with_vault(spec.mounting_projected(&self.status)),
            phase: self.status.phase.and_then(|phase| phase.parse().ok()).unwrap_or_default(),
            isolation: spec.isolation(),
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

    /// The containers, after what the annotations show of Vault.
    fn with_vault(&self, containers: Vec<Container>) -> Vec<Container> {
        let annotations = self.annotations.as_ref();
        let of = annotations
            .and_then(|of| Some((of.vault_inject.as_deref()?, of.vault_auth.as_deref())));
        match of {
            Some((inject, auth)) if conventions::injects_vault(inject, auth) => {
                containers.into_iter().map(conventions::of_vault).collect()
            }
            Some(_) | None => containers,
        }
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
    fn isolation(&self) -> Isolation {
        let class = self.runtime_class_name.as_deref();
        Isolation {
            host_network: self.host_network.unwrap_or_default(),
            sandbox: class.and_then(Sandbox::of_class),
        }
    }

    fn mounting_projected(&self, status: &Status) -> Vec<Container> {
        let lasting = self.containers.iter().chain(&self.ephemeral_containers);
        let all = self.init_containers.iter().map(|init| (init, init.restarts()));
        let mut room = MAX_TOKENS;
        all.chain(lasting.map(|container| (container, true)))
            .map(|(container, lasts)| (self.reduced(container, status), container, lasts))
            .filter(|(container, ..)| !container.volumes.is_empty())
            .take(MAX_KEPT)
            .map(|(container, spec, lasts)| self.with_tokens(container, spec, lasts, &mut room))
            .collect()
    }

    /// The container with the tokens that it mounts, if it lasts as long as the pod.
    fn with_tokens(
        &self,
        container: Container,
        spec: &ContainerSpec,
        lasts: bool,
        room: &mut usize,
    ) -> Container {
        let mounts = spec.volume_mounts.iter().filter(|_| lasts);
        let tokens: Vec<TokenMount> = mounts
            .flat_map(|mount| {
                let volume = self.volumes.iter().find(|volume| volume.name == mount.name);
                volume.map(|volume| mounts::tokens(volume, mount, &spec.env)).unwrap_or_default()
            })
            .take(*room)
            .collect();
        *room -= tokens.len();
        Container { tokens, ..container }
    }

    fn service_account(&self) -> Option<String> {
        self.service_account_name.as_deref().filter(|name| !name.is_empty()).map(cut)
    }

    fn reduced(&self, container: &ContainerSpec, status: &Status) -> Container {
        let mounts = container.volume_mounts.iter().filter(|mount| self.is_projected(&mount.name));
        let mut volumes: Vec<String> = mounts.map(|mount| cut(&mount.name)).collect();
        volumes.sort();
        volumes.dedup();
        volumes.truncate(MAX_KEPT);
        let image = cut(container.image.as_deref().unwrap_or_default());
        let started = status.started(&container.name);
        let id = status.id(&container.name);
        Container { name: cut(&container.name), id, image, volumes, started, tokens: Vec::new() }
    }

    fn is_projected(&self, name: &str) -> bool {
        self.volumes.iter().any(|volume| volume.projected.is_some() && volume.name == name)
    }
}

impl ContainerSpec {
    /// Whether it is an init container that runs as long as the pod.
    fn restarts(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

impl Status {
    /// When the container was last started, if it runs.
    fn started(&self, container: &str) -> Option<Wall> {
        let running = self.of(container)?.state.as_ref()?.running.as_ref();
        running?.started_at.as_deref().and_then(wall)
    }

    /// The id of the container, without the runtime before it (`containerd://`).
    fn id(&self, container: &str) -> Option<String> {
        let (_, id) = self.of(container)?.container_id.as_deref()?.split_once("://")?;
        (!id.is_empty()).then(|| cut(id))
    }

    /// Names are unique within a pod.
    fn of(&self, container: &str) -> Option<&ContainerStatus> {
        let statuses = [
            &self.container_statuses,
            &self.init_container_statuses,
            &self.ephemeral_container_statuses,
        ];
        let mut all = statuses.into_iter().flatten();
        all.find(|status| status.name == container)
    }
}

fn wall(rfc3339: &str) -> Option<Wall> {
    let time = DateTime::parse_from_rfc3339(rfc3339).ok()?;
    time.timestamp_nanos_opt().map(Wall::from_nanos)
}

fn variables<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<NamedFile>, D::Error> {
    let each: fn(Variable) -> Option<NamedFile> = |variable| variable.0;
    from.deserialize_option(Bounded { max: MAX_KEPT, each })
}

fn pods<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Pod>, D::Error> {
    let each: fn(Object) -> Option<Pod> = Object::pod;
    from.deserialize_option(Bounded { max: MAX_PODS, each })
}

#[cfg(test)]
#[path = "slim_tests.rs"]
mod tests;
