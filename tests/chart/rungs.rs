//! What each rung of the privilege ladder is given, and that no rung is given more.

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
            "runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "privileged": false, "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"], "add": capabilities},
        });
        assert_eq!(pod["containers"][0]["securityContext"], expected, "{rung}");
        assert_eq!(list(&pod["containers"]).len(), 1);
    }
}

/// Of the host: the directory with the pods' volumes, which cannot be written through, and one of
/// its own.
#[test]
fn of_the_host_only_what_is_needed_is_mounted() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &[]).unwrap();
    let pod = pod(&objects);
    let paths: Vec<&Value> = list(&pod["volumes"])
        .iter()
        .map(|volume| &volume["hostPath"]["path"])
        .filter(|path| path.is_string())
        .collect();
    assert_eq!(paths, [&json!("/var/lib/kubelet/pods"), &json!("/var/lib/tokenwatch")]);
    let expected = json!({"name": "pods-0", "mountPath": "/host/var/lib/kubelet/pods", "readOnly": true, "mountPropagation": "HostToContainer"});
    let mounts = list(&pod["containers"][0]["volumeMounts"]);
    assert!(mounts.contains(&expected), "{mounts:#?}");
    let writable: Vec<_> = mounts
        .iter()
        .filter(|mount| mount["readOnly"] != true)
        .map(|mount| mount["name"].as_str())
        .collect();
    assert_eq!(writable, [Some("state")]);
}

/// A Secret can be read by nobody here, whatever the values.
#[test]
fn what_it_may_ask_the_api_server_for() {
    let Some(helm) = helm() else { return };
    let pods = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]});
    let accounts = json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"]});
    let events = json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]});
    let rules = |arguments: &[&str]| {
        kind(&render(helm, arguments).unwrap(), "ClusterRole")["rules"].clone()
    };
    assert_eq!(rules(&[]), json!([pods, accounts, events]));
    assert_eq!(rules(&["--set", "kubernetes.events=false"]), json!([pods, accounts]));
    assert_eq!(rules(&["--values", EVERYTHING]), json!([pods, accounts]));
}

#[test]
fn a_token_of_its_own_is_there_only_where_it_is_used() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--set", "kubernetes.enabled=false"]).unwrap();
    assert_eq!(pod(&objects)["automountServiceAccountToken"], false);
    assert!(
        objects.iter().all(|object| !object["kind"].as_str().unwrap().starts_with("ClusterRole")),
        "RBAC that nobody needs"
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

/// Where SELinux is enforced; the rest of what the pod is given stays as it is.
#[test]
fn selinux_options_are_given_to_the_pod() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--set", "seLinuxOptions.type=spc_t"]).unwrap();
    assert_eq!(
        pod(&objects)["securityContext"],
        json!({"seccompProfile": {"type": "RuntimeDefault"}, "seLinuxOptions": {"type": "spc_t"}})
    );
}

/// Fargate's nodes and virtual kubelets have no kubelet directory, and a pod that is pending there
/// for ever.
#[test]
fn it_keeps_off_what_is_no_node() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &[]).unwrap();
    let required = &pod(&objects)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let expected = json!([
        {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]},
        {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]},
    ]);
    assert_eq!(required["nodeSelectorTerms"], json!([{"matchExpressions": expected}]));
}

/// The next agents are replaced when these have been seen to stay.
#[test]
fn a_rollout_waits_for_agents_that_stay() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &[]).unwrap();
    let spec = &kind(&objects, "DaemonSet")["spec"];
    let probe = spec["template"]["spec"]["containers"][0]["readinessProbe"]["periodSeconds"]
        .as_u64()
        .unwrap();
    assert!(spec["minReadySeconds"].as_u64().unwrap() >= 2 * probe);
}

#[test]
fn on_the_nodes_network_only_if_asked() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--values", crate::HOST_NETWORK]).unwrap();
    assert_eq!(
        (&pod(&objects)["hostNetwork"], &pod(&objects)["dnsPolicy"]),
        (&json!(true), &json!("ClusterFirstWithHostNet"))
    );
}

#[test]
fn it_runs_on_every_node_and_is_the_last_to_go() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &[]).unwrap();
    let pod = pod(&objects);
    assert_eq!(
        (&pod["tolerations"], &pod["priorityClassName"]),
        (&json!([{"operator": "Exists"}]), &json!("system-node-critical"))
    );
    // Variables that Kubernetes makes of Services begin as the agent's own do, which refuses those
    // it does not know.
    assert_eq!(pod["enableServiceLinks"], false);
}
