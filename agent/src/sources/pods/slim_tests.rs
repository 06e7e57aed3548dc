use tokenwatch_core::world::cluster::{MountedPart, Phase};

use super::*;
use crate::sources::pods::bounds::MAX_TEXT;

fn pod(json: &str) -> Option<Pod> {
    serde_json::from_str::<Object>(json).unwrap().pod()
}

const CART: &str = r#"{
    "kind": "Pod", "apiVersion": "v1",
    "metadata": {"name": "cart-5c9f7-abcde", "namespace": "shop", "uid": "u1",
        "resourceVersion": "7", "deletionTimestamp": "2027-01-15T08:00:30Z",
        "labels": {"app": "cart", "pod-template-hash": "5c9f7"}, "annotations": {"x": "y"},
        "managedFields": [{"f:metadata": {}}],
        "ownerReferences": [{"kind": "Other", "name": "no"},
            {"kind": "ReplicaSet", "name": "cart-5c9f7", "controller": true}]},
    "spec": {"serviceAccountName": "cart", "hostNetwork": true, "nodeName": "n1",
        "runtimeClassName": "gvisor",
        "volumes": [
            {"name": "tokens",
                "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
            {"name": "data", "emptyDir": {}}],
        "initContainers": [{"name": "init", "image": "i:1",
            "volumeMounts": [{"name": "tokens", "mountPath": "/t"}]},
            {"name": "proxy", "image": "p:1", "restartPolicy": "Always",
            "volumeMounts": [{"name": "tokens", "mountPath": "/s"}]}],
        "containers": [
            {"name": "app", "image": "a:1",
                "volumeMounts": [{"name": "tokens", "mountPath": "/run/t", "subPath": "token"},
                    {"name": "data"}, {"name": "tokens", "mountPath": "/t"}]},
            {"name": "sidecar", "image": "s:1", "volumeMounts": [{"name": "data"}]}]},
    "status": {"phase": "Running", "conditions": [{"type": "Ready"}],
        "initContainerStatuses": [
            {"name": "init", "state": {"terminated": {"startedAt": "2027-01-15T08:00:00Z"}}},
            {"name": "proxy", "state": {"running": {"startedAt": "2027-01-15T08:00:01Z"}}}],
        "containerStatuses": [
            {"name": "app", "containerID": "containerd://id-of-app",
             "state": {"running": {"startedAt": "2027-01-15T08:00:05Z"}}},
            {"name": "sidecar", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}}"#;

#[test]
fn a_pod_is_reduced_to_the_fields_that_findings_need() {
    let mount = |mount_path: &str, part| TokenMount {
        volume: "tokens".into(),
        path: "token".into(),
        mount_path: mount_path.into(),
        part,
        convention: None,
    };
    let container = |name: &str, image: &str, started: i64, tokens| Container {
        name: name.into(),
        id: (name == "app").then(|| "id-of-app".into()),
        image: image.into(),
        volumes: vec!["tokens".into()],
        started: (started > 0).then(|| Wall::from_secs(started)),
        tokens,
    };
    let expected = Pod {
        uid: "u1".into(),
        namespace: "shop".into(),
        name: "cart-5c9f7-abcde".into(),
        owner: Some(Owner { kind: "Deployment".into(), name: "cart".into() }),
        service_account: Some("cart".into()),
        containers: vec![
            container("init", "i:1", 0, vec![]),
            container("proxy", "p:1", 1_800_000_001, vec![mount("/s", MountedPart::Whole)]),
            container(
                "app",
                "a:1",
                1_800_000_005,
                vec![mount("/run/t", MountedPart::File), mount("/t", MountedPart::Whole)],
            ),
        ],
        phase: Phase::Running,
        isolation: Isolation { host_network: true, sandbox: Some(Sandbox::Gvisor) },
        is_static: false,
        deletion: Some(Wall::from_secs(1_800_000_030)),
    };
    assert_eq!(pod(CART), Some(expected));
}

#[test]
fn a_mirror_pod_has_the_uid_that_kubelet_uses() {
    let mirror = pod(r#"{"metadata": {"name": "etcd-n1", "namespace": "kube-system", "uid": "api",
        "annotations": {"kubernetes.io/config.mirror": "file"},
        "ownerReferences": [{"kind": "Node", "name": "n1", "controller": true}]}}"#);
    let mirror = mirror.unwrap();
    assert_eq!(
        (mirror.uid.as_str(), mirror.is_static, mirror.phase),
        ("file", true, Phase::Unknown)
    );
    assert_eq!(mirror.owner.unwrap().to_string(), "Node n1");
}

#[test]
fn only_a_replica_set_with_the_templates_hash_belongs_to_a_deployment() {
    let owned = |kind: &str, name: &str, hash: &str| {
        let json = format!(
            r#"{{"metadata": {{"name": "p", "namespace": "n", "uid": "u",
        "labels": {{"pod-template-hash": "{hash}"}},
                "ownerReferences": [{{"kind": "{kind}", "name": "{name}",
        "controller": true}}]}}}}"#
        );
        pod(&json).unwrap().owner.unwrap().to_string()
    };
    assert_eq!(owned("ReplicaSet", "a-b-77", "77"), "Deployment a-b");
    for (kind, name, hash) in [
        ("ReplicaSet", "a-b", "77"),
        ("ReplicaSet", "a-77", ""),
        ("ReplicaSet", "-77", "77"),
        ("Rollout", "a-77", "77"),
    ] {
        assert_eq!(owned(kind, name, hash), format!("{kind} {name}"));
    }
}

#[test]
fn only_a_job_named_after_a_recent_minute_belongs_to_a_cron_job() {
    let owned = |kind: &str, name: &str| {
        let json = format!(
            r#"{{"metadata": {{"name": "p", "namespace": "n", "uid": "u",
        "creationTimestamp": "2027-01-15T08:00:07Z",
                "ownerReferences": [{{"kind": "{kind}", "name": "{name}",
        "controller": true}}]}}}}"#
        );
        pod(&json).unwrap().owner.unwrap().to_string()
    };
    // 2027-01-15T08:00:00Z is minute 30,000,000
    for name in ["report-30000000", "report-29999990", "a-report-30000001"] {
        let (cron_job, _) = name.rsplit_once('-').unwrap();
        assert_eq!(owned("Job", name), format!("CronJob {cron_job}"));
    }
    let others = [
        "report",
        "report-7",
        "report-29980000",
        "report-30000100",
        "report-3000000x",
        "-30000000",
        "report-",
        "report-99999999999999",
    ];
    for name in others {
        assert_eq!(owned("Job", name), format!("Job {name}"));
    }
    assert_eq!(owned("Workflow", "report-30000000"), "Workflow report-30000000");
}

#[test]
fn missing_fields_are_empty_and_an_object_without_name_is_no_pod() {
    let bare = r#"{"metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": null,
        "ownerReferences": null}, "spec": {"volumes": null}, "status": {}}"#;
    assert!(pod(bare).is_some());
    for nameless in [
        "{}",
        r#"{"metadata": {"name": "p", "namespace": "n"}}"#,
        r#"{"metadata": {"name": "p", "uid": "u"}}"#,
    ] {
        assert_eq!(pod(nameless), None);
    }
    let undated = r#"{"metadata": {"name": "p", "namespace": "n", "uid": "u",
        "deletionTimestamp": "9999999-01-01"}}"#;
    assert_eq!(pod(undated).unwrap().deletion, None);
}

#[test]
fn lists_and_pods_are_bounded() {
    let items =
        vec![r#"{"metadata": {"name": "p", "namespace": "n", "uid": "u"}}"#; 5_000].join(",");
    let page: Page = serde_json::from_str(&format!(
        r#"{{"metadata": {{"resourceVersion": "1"}}, "items": [{items}]}}"#
    ))
    .unwrap();
    assert_eq!(page.items.len(), MAX_PODS);
    let mounts = vec![r#"{"name": "v"}"#; 500].join(",");
    let containers = vec![
        format!(
            r#"{{"name": "{}", "image": "é", "volumeMounts": [{mounts}]}}"#,
            "é".repeat(600)
        );
        500
    ]
    .join(",");
    let huge = format!(
        r#"{{"metadata": {{"name": "p", "namespace": "n", "uid": "u"}},
        "spec": {{"volumes": [{{"name": "v", "projected": {{}}}}],
        "containers": [{containers}]}}}}"#
    );
    let pod = pod(&huge).unwrap();
    assert_eq!(
        (pod.containers.len(), pod.containers[0].name.len(), pod.containers[0].volumes.len()),
        (MAX_KEPT, MAX_TEXT, 1)
    );
}

#[test]
fn the_tokens_of_a_pod_are_bounded() {
    let sources = vec![r#"{"serviceAccountToken": {"path": "token"}}"#; 100].join(",");
    let mounts = vec![r#"{"name": "v", "mountPath": "/t"}"#; 100].join(",");
    let containers = vec![format!(r#"{{"name": "c", "volumeMounts": [{mounts}]}}"#); 10].join(",");
    let huge = format!(
        r#"{{"metadata": {{"name": "p", "namespace": "n", "uid": "u"}},
        "spec": {{"volumes": [{{"name": "v", "projected": {{"sources": [{sources}]}}}}],
        "containers": [{containers}]}}}}"#
    );
    let kept = pod(&huge).unwrap().containers.iter().map(|one| one.tokens.len()).sum::<usize>();
    assert_eq!(kept, MAX_TOKENS);
}

#[test]
fn a_page_may_have_no_items() {
    let page: Page = serde_json::from_str(
        r#"{"metadata": {"resourceVersion": "1", "continue": ""}, "items": null}"#,
    )
    .unwrap();
    assert_eq!(page.items, []);
}

#[test]
fn the_annotations_of_vault_show_who_reads_the_token() {
    use tokenwatch_core::world::cluster::Convention;
    let of = |annotations: &str| {
        let mount =
            r#"[{"name": "v", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]"#;
        let json = format!(
            r#"{{"metadata": {{"name": "n", "namespace": "ns", "uid": "u",
                "annotations": {annotations}}},
            "spec": {{"volumes": [{{"name": "v", "projected": {{"sources":
                [{{"serviceAccountToken": {{"path": "token"}}}}]}}}}],
            "containers": [{{"name": "app", "volumeMounts": {mount}}},
                {{"name": "vault-agent", "volumeMounts": {mount}}}]}}}}"#
        );
        let pod = pod(&json).unwrap();
        pod.containers.iter().map(|one| one.tokens[0].convention).collect::<Vec<_>>()
    };
    let (client, vault) = (Some(Convention::InCluster), Some(Convention::VaultAgent));
    let inject = r#""vault.hashicorp.com/agent-inject": "true""#;
    let table = [
        (format!("{{{inject}}}"), vault),
        (format!(r#"{{{inject}, "vault.hashicorp.com/agent-inject-secret-a": "s"}}"#), vault),
        (format!(r#"{{{inject}, "vault.hashicorp.com/auth-type": "approle"}}"#), client),
        (r#"{"vault.hashicorp.com/agent-inject": "false"}"#.to_owned(), client),
        (r#"{"vault.hashicorp.com/agent-inject": null}"#.to_owned(), client),
        (r#"{"vault.hashicorp.com/role": "r"}"#.to_owned(), client),
        ("null".to_owned(), client),
    ];
    for (annotations, agent) in table {
        assert_eq!(of(&annotations), [client, agent], "{annotations}");
    }
}
