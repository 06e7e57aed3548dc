//! The privileges that the chart grants at each rung of `privilege`, and no others.

use serde_json::{Value, json};

use crate::EVERYTHING;
use crate::helm::{helm, kind, list, render};

fn pod(objects: &[Value]) -> &Value {
    &kind(objects, "DaemonSet")["spec"]["template"]["spec"]
}

#[test]
fn each_rung_has_what_it_needs_and_no_more() {
    let Some(helm) = helm() else { return };
    let table = [
        ("files", json!(null), json!(["DAC_READ_SEARCH"])),
        ("hostPID", json!(true), json!(["DAC_READ_SEARCH"])),
        ("fanotify", json!(true), json!(["DAC_READ_SEARCH", "SYS_ADMIN"])),
    ];
    for (rung, host_pid, capabilities) in table {
        let objects = render(helm, &["--set", &format!("privilege={rung}")]).unwrap();
        let pod = pod(&objects);
        assert_eq!(
            (&pod["hostPID"], &pod["hostIPC"], &pod["hostNetwork"]),
            (&host_pid, &json!(null), &json!(null)),
            "{rung}"
        );
        assert_eq!(
            pod["securityContext"],
            json!({"seccompProfile": {"type": "RuntimeDefault"}}),
            "{rung}"
        );
        let expected = json!({
            "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "privileged": false,
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"], "add": capabilities},
        });
        assert_eq!(pod["containers"][0]["securityContext"], expected, "{rung}");
        assert_eq!(list(&pod["containers"]).len(), 1);
    }
}

/// What the agent watches of readers is a setting, and needs nothing more of the pod.
#[test]
fn readers_are_watched_at_every_rung_unless_switched_off() {
    let Some(helm) = helm() else { return };
    let rendered = |values: &str| {
        let objects = render(helm, &["--set", values]).unwrap();
        let config = kind(&objects, "ConfigMap")["data"]["tokenwatch.yaml"].clone();
        (config.as_str().unwrap().to_owned(), pod(&objects).clone())
    };
    for rung in ["files", "hostPID", "fanotify"] {
        let (on, with) = rendered(&format!("privilege={rung}"));
        assert!(on.contains("readers:\n  enabled: true\n"), "{rung}: {on}");
        let (off, without) = rendered(&format!("privilege={rung},readers.enabled=false"));
        assert!(off.contains("readers:\n  enabled: false\n"), "{rung}: {off}");
        assert_eq!(with, without, "{rung}");
    }
    let (config, _) = rendered("privilege=hostPID,readers.verifiers={10.0.0.7:8200}");
    assert!(config.contains("  verifiers:\n  - 10.0.0.7:8200\n"), "{config}");
}

/// The kubeconfigs of CNI plugins are credentials: nothing of them is mounted unless asked for.
#[test]
fn copies_are_mounted_only_on_request_and_read_only() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--set", "copies.enabled=true"]).unwrap();
    let pod = pod(&objects);
    let volume = json!({
        "name": "copies-0", "hostPath": {"path": "/etc/cni/net.d", "type": "Directory"},
    });
    let mount = json!({"name": "copies-0", "mountPath": "/host/etc/cni/net.d", "readOnly": true});
    assert!(list(&pod["volumes"]).contains(&volume), "{}", pod["volumes"]);
    let mounts = &pod["containers"][0]["volumeMounts"];
    assert!(list(mounts).contains(&mount), "{mounts}");
    let config = |objects: &[Value]| {
        kind(objects, "ConfigMap")["data"]["tokenwatch.yaml"].as_str().unwrap().to_owned()
    };
    assert!(config(&objects).contains("copies:\n  enabled: true"), "{}", config(&objects));
    let without = render(helm, &[]).unwrap();
    assert!(config(&without).contains("copies:\n  enabled: false"), "{}", config(&without));
}

/// Two host directories: the one with the pods' volumes, read-only, and the agent's own state
/// directory.
#[test]
fn only_needed_host_directories_are_mounted() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &[]).unwrap();
    let pod = pod(&objects);
    let paths: Vec<&Value> = list(&pod["volumes"])
        .iter()
        .map(|volume| &volume["hostPath"]["path"])
        .filter(|path| path.is_string())
        .collect();
    assert_eq!(paths, [&json!("/var/lib/kubelet/pods"), &json!("/var/lib/tokenwatch")]);
    let expected = json!({
        "name": "pods-0", "mountPath": "/host/var/lib/kubelet/pods", "readOnly": true,
        "mountPropagation": "HostToContainer",
    });
    let mounts = list(&pod["containers"][0]["volumeMounts"]);
    assert!(mounts.contains(&expected), "{mounts:#?}");
    let writable: Vec<_> = mounts
        .iter()
        .filter(|mount| mount["readOnly"] != true)
        .map(|mount| mount["name"].as_str())
        .collect();
    assert_eq!(writable, [Some("state")]);
}

/// No value grants access to Secrets.
#[test]
fn rbac_grants_only_the_needed_rights() {
    let Some(helm) = helm() else { return };
    let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]});
    let accounts = json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"]});
    let events = json!({
        "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"],
    });
    let rules = |arguments: &[&str]| {
        kind(&render(helm, arguments).unwrap(), "ClusterRole")["rules"].clone()
    };
    assert_eq!(rules(&[]), json!([pods, accounts, events]));
    assert_eq!(rules(&["--set", "kubernetes.events=false"]), json!([pods, accounts]));
    let reviews = json!({
        "apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"],
        "verbs": ["create"],
    });
    let with_reviews = rules(&["--set", "kubernetes.tokenReview=true"]);
    assert_eq!(with_reviews, json!([pods, accounts, reviews, events]));
    // With everything: a watch of accounts, reviews, Events of pods, and kubelet's metrics.
    let watched = json!({
        "apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get", "list", "watch"],
    });
    let mounts = json!({"apiGroups": [""], "resources": ["events"], "verbs": ["list", "watch"]});
    let metrics = json!({"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]});
    let all = json!([pods, watched, reviews, mounts, metrics]);
    assert_eq!(rules(&["--values", EVERYTHING]), all);
}

/// Of kube-system, the agent may read one lease, and only on request.
#[test]
fn one_lease_may_be_read_on_request() {
    let Some(helm) = helm() else { return };
    let roles = |arguments: &[&str]| -> Vec<_> {
        let objects = render(helm, arguments).unwrap();
        let of_kind = objects.into_iter().filter(|object| object["kind"] == "Role");
        of_kind.map(|role| (role["metadata"]["namespace"].clone(), role["rules"].clone())).collect()
    };
    assert_eq!(roles(&[]), []);
    let lease = json!([{
        "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
        "resourceNames": ["kube-controller-manager"], "verbs": ["get"],
    }]);
    let expected = [(json!("kube-system"), lease)];
    assert_eq!(roles(&["--set", "kubernetes.controllerLease=true"]), expected);
}

#[test]
fn the_agent_has_a_token_only_if_it_uses_it() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--set", "kubernetes.enabled=false"]).unwrap();
    assert_eq!(pod(&objects)["automountServiceAccountToken"], false);
    assert!(
        objects.iter().all(|object| !object["kind"].as_str().unwrap().starts_with("ClusterRole")),
        "RBAC without Kubernetes API access"
    );
    let objects = render(helm, &[]).unwrap();
    assert_eq!(
        (
            &pod(&objects)["automountServiceAccountToken"],
            &kind(&objects, "ServiceAccount")["automountServiceAccountToken"]
        ),
        (&json!(true), &json!(false))
    );
}

/// For nodes that enforce SELinux. The rest of the security context stays the same.
#[test]
fn selinux_options_are_given_to_the_pod() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--set", "seLinuxOptions.type=spc_t"]).unwrap();
    assert_eq!(
        pod(&objects)["securityContext"],
        json!({"seccompProfile": {"type": "RuntimeDefault"}, "seLinuxOptions": {"type": "spc_t"}})
    );
}

/// Fargate's nodes and virtual kubelets have no kubelet directory, and a pod would stay pending
/// there.
#[test]
fn virtual_nodes_are_excluded() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &[]).unwrap();
    let affinity = &pod(&objects)["affinity"]["nodeAffinity"];
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    let expected = json!([
        {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]},
        {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]},
    ]);
    assert_eq!(required["nodeSelectorTerms"], json!([{"matchExpressions": expected}]));
}

/// A rollout continues only after the new agents have stayed ready for two probes.
#[test]
fn a_rollout_waits_for_stable_agents() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &[]).unwrap();
    let spec = &kind(&objects, "DaemonSet")["spec"];
    let probe = spec["template"]["spec"]["containers"][0]["readinessProbe"]["periodSeconds"]
        .as_u64()
        .unwrap();
    assert!(spec["minReadySeconds"].as_u64().unwrap() >= 2 * probe);
}

#[test]
fn host_network_is_opt_in() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--values", crate::HOST_NETWORK]).unwrap();
    assert_eq!(
        (&pod(&objects)["hostNetwork"], &pod(&objects)["dnsPolicy"]),
        (&json!(true), &json!("ClusterFirstWithHostNet"))
    );
}

#[test]
fn the_agent_runs_on_every_node_with_a_critical_priority() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &[]).unwrap();
    let pod = pod(&objects);
    assert_eq!(
        (&pod["tolerations"], &pod["priorityClassName"]),
        (&json!([{"operator": "Exists"}]), &json!("system-node-critical"))
    );
    // Kubernetes' variables for a Service named tokenwatch have the prefix of the agent's own, and
    // the agent refuses unknown ones.
    assert_eq!(pod["enableServiceLinks"], false);
}
