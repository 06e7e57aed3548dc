//! The chart: what it renders, which values it refuses, and that all files generated from it are up
//! to date.

#![allow(unreachable_pub)] // a separate binary: only its own modules use them
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a failed test panics
#![allow(clippy::disallowed_methods)] // a test starts programs, measures time and makes folders

mod extras;
mod helm;
mod release;
mod rungs;
mod values;

use std::fs;
use std::process::Command;

use helm::{helm, kind, lint, list, render, root, yaml};
use serde_json::{Value, json};

const EVERYTHING: &str = "tests/chart/everything.yaml";
const HOST_NETWORK: &str = "tests/chart/host-network.yaml";

#[test]
fn generated_files_are_up_to_date() {
    let Some(helm) = helm() else { return };
    let generated = tempfile::tempdir().unwrap();
    let output = Command::new(root().join("deploy/generate"))
        .arg(generated.path())
        .env("HELM", helm)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in [
        "deploy/manifests/agent.yaml",
        "docs/chart-values.md",
        "deploy/chart/README.md",
        "deploy/chart/files/tokenwatch.rules.yaml",
        "deploy/chart/files/fleet.json",
        "deploy/chart/files/node.json",
    ] {
        let [generated, kept] = [generated.path().join(file), root().join(file)]
            .map(|path| fs::read_to_string(path).unwrap_or_default());
        assert!(generated == kept, "{file} differs from the output of deploy/generate: run it");
    }
}

#[test]
fn helm_lint_accepts_the_chart() {
    let Some(helm) = helm() else { return };
    for values in [&[][..], &["--values", EVERYTHING], &["--values", HOST_NETWORK]] {
        let output = lint(helm, values);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Helm refuses a mistake before it changes the cluster, and the message names the value and the
/// mistake.
#[test]
fn mistakes_are_refused() {
    let Some(helm) = helm() else { return };
    let table = [
        ("privilege=root", "'/privilege': value must be one of 'files', 'hostPID', 'fanotify'"),
        ("privilige=files", "additional properties 'privilige' not allowed"),
        (
            "otlp.endpoint=collector:4317",
            "'/otlp/endpoint': 'collector:4317' does not match pattern '^(https?:",
        ),
        ("otlp.protocol=http", "'/otlp/protocol': value must be one of 'grpc', 'http/protobuf'"),
        ("http.port=0", "'/http/port': minimum: got 0, want 1"),
        ("kubelet.rootDirs={var/lib/kubelet}", "'/kubelet/rootDirs/0'"),
        ("kubelet.rootDirs=null", "'/kubelet': missing property 'rootDirs'"),
        ("clock.servers=ntp.example", "'/clock/servers': got string, want array"),
        ("image.digest=latest", "'/image/digest'"),
        (
            "config.clock.servers={ntp.example}",
            "'/config/clock': additional properties 'servers' not allowed",
        ),
        ("config.alerts.remind_every=4", "'/config/alerts/remind_every'"),
        ("http.enabled=false,podMonitor.enabled=true", "podMonitor.enabled needs http.enabled"),
        (
            "http.enabled=false,serviceMonitor.enabled=true",
            "serviceMonitor.enabled needs http.enabled",
        ),
        (
            "otlp.endpoint=http://collector:4318",
            "otlp.endpoint has the port of OTLP/HTTP, 4318, and otlp.protocol is grpc: set \
             otlp.protocol=http/protobuf",
        ),
        (
            "otlp.endpoint=http://collector:4318/otlp",
            "otlp.endpoint has the port of OTLP/HTTP, 4318, and otlp.protocol is grpc",
        ),
        (
            "otlp.endpoint=http://collector:4317,otlp.protocol=http/protobuf",
            "otlp.endpoint has the port of OTLP/gRPC, 4317, and otlp.protocol is http/protobuf",
        ),
        (
            "otlp.endpoint=http://collector:4318/v1/logs,otlp.protocol=http/protobuf",
            "otlp.endpoint ends in /v1/logs: write it without",
        ),
        ("otlp.tls.client=true", "otlp.tls.client needs otlp.tls.secret"),
        ("otlp.headersSecret.name=vendor", "otlp.headersSecret.name needs otlp.endpoint"),
        ("image.registry=https://registry.example", "'/image/registry'"),
        ("seLinuxOptions.typ=spc_t", "'/seLinuxOptions': additional properties 'typ' not allowed"),
        ("minReadySeconds=-1", "'/minReadySeconds'"),
        (
            "updateStrategy.rollingUpdate.maxSurge=1",
            "'/updateStrategy/rollingUpdate/maxSurge': value must be one of 0, '0%'",
        ),
        ("readers.verifiers={10.0.0.7}", "readers.verifiers needs privilege hostPID or fanotify"),
        (
            "privilege=hostPID,readers.verifiers={10.0.0.7},readers.enabled=false",
            "readers.verifiers needs readers.enabled",
        ),
        ("privilege=hostPID,readers.verifiers={vault.example}", "'/readers/verifiers/0'"),
        (
            "networkPolicy.enabled=true,hostNetwork=true",
            "networkPolicy.enabled has no effect with hostNetwork",
        ),
        (
            "resourceQuota.enabled=true,priorityClassName=",
            "resourceQuota.enabled needs priorityClassName",
        ),
        ("controlPlane.enabled=true,controlPlane.logs=null", "controlPlane.enabled needs"),
        ("controlPlane.logs={var/log/a}", "'/controlPlane/logs/0'"),
        ("kubelet.logs={/var/log/kubelet.log}", "kubelet.logs needs kubelet.logHostPaths"),
        (
            "kubernetes.podEvents=true,kubernetes.enabled=false",
            "kubernetes.podEvents needs kubernetes.enabled",
        ),
        ("serviceAccount.create=false", "serviceAccount.create=false needs serviceAccount.name"),
        ("enabled=false", "enabled is for a parent chart that has this chart as a dependency"),
        (
            r"commonLabels.app\.kubernetes\.io/name=other",
            "commonLabels: the chart itself sets app.kubernetes.io/name",
        ),
        (
            r"podLabels.app\.kubernetes\.io/instance=other",
            "podLabels: the DaemonSet selects its pods by app.kubernetes.io/instance",
        ),
        (
            "config.alerts.memory=2GiB,resources.limits.memory=4Gi",
            "config.alerts.memory is 2GiB: must be 64KiB to 1GiB",
        ),
        ("config.alerts.memory=63KiB", "config.alerts.memory is 63KiB: must be 64KiB to 1GiB"),
        (
            "config.alerts.memory=40MiB",
            "more than resources.limits.memory, 48Mi: the kernel would kill the agent",
        ),
        (
            "config.alerts.memory=64MiB,resources.limits.memory=64M",
            "more than resources.limits.memory, 64M: the kernel would kill the agent",
        ),
    ];
    for (values, expected) in table {
        let error = render(helm, &["--set", values]).expect_err(values);
        assert!(error.contains(expected), "{values}: {error}");
    }
}

/// Values that resemble these mistakes, and are valid.
#[test]
fn valid_values_are_accepted() {
    let Some(helm) = helm() else { return };
    let table = [
        "enabled=true",
        "serviceAccount.create=false,serviceAccount.name=another",
        "serviceAccount.create=false,rbac.create=false",
        "serviceAccount.create=false,kubernetes.enabled=false",
        "updateStrategy.rollingUpdate.maxSurge=0%",
        "config.alerts.memory=32MiB",
        "config.alerts.memory=1GiB,resources.limits.memory=1.5Gi",
        "config.alerts.memory=1GiB,resources.limits.memory=null",
        "config.alerts.memory=1GiB,resources=null",
        "affinity=null",
        "privilege=fanotify,readers.verifiers={10.0.0.7}",
    ];
    for values in table {
        assert!(
            render(helm, &["--set", values]).is_ok(),
            "{values}: {:?}",
            render(helm, &["--set", values])
        );
    }
}

#[test]
fn the_image_is_the_one_in_the_values() {
    let Some(helm) = helm() else { return };
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let by_digest = format!("image.digest={digest}");
    let table = [
        ("image.tag=", format!("tokenwatch:{}", version())),
        ("image.tag=v7", "tokenwatch:v7".to_owned()),
        ("image.registry=a.example:5000", format!("a.example:5000/tokenwatch:{}", version())),
        ("image.registry=a.example/mirror/", format!("a.example/mirror/tokenwatch:{}", version())),
        ("global.imageRegistry=b.example", format!("b.example/tokenwatch:{}", version())),
        (
            "image.registry=a.example,global.imageRegistry=b.example,image.tag=v7",
            "a.example/tokenwatch:v7".to_owned(),
        ),
        (&by_digest, format!("tokenwatch@{digest}")),
    ];
    for (values, expected) in table {
        let objects = render(helm, &["--set", values]).unwrap();
        assert_eq!(
            kind(&objects, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["image"],
            expected.as_str(),
            "{values}"
        );
    }
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[test]
fn chart_image_and_agent_have_one_version() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let chart = helm::yaml(&read("deploy/chart/Chart.yaml"));
    assert_eq!(
        (chart["version"].as_str(), chart["appVersion"].as_str()),
        (Some(version()), Some(version()))
    );
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains(&format!("\nARG VERSION={}\n", version())));
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = "))
        .unwrap()
        .trim_matches('"');
    assert!(
        dockerfile.contains(&format!("docker.io/library/rust:{channel}-")),
        "the image must use the Rust of rust-toolchain.toml"
    );
}

/// Every object has the release's label: with it people find all objects, and a test sees that none
/// is left.
#[test]
fn every_object_is_labelled() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--values", EVERYTHING]).unwrap();
    let kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    let expected = [
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "DaemonSet",
        "NetworkPolicy",
        "PodMonitor",
        "PrometheusRule",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Service",
    ];
    assert!(expected.iter().all(|kind| kinds.contains(kind)) && kinds.len() == 18, "{kinds:?}");
    for object in objects {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/instance"], "tokenwatch", "{object}");
        assert_eq!(labels["team"], "platform", "{object}");
    }
}

/// The monitors of the operator relabel as the file for a plain Prometheus does, and then as the
/// user wants.
#[test]
fn findings_that_are_scraped_have_the_labels_of_their_pods() {
    let Some(helm) = helm() else { return };
    let plain = fs::read_to_string(root().join("deploy/prometheus/finding-labels.yaml"));
    let plain: Value = yaml(&plain.unwrap().replace("source_l", "sourceL").replace("t_l", "tL"));
    let mut expected = plain["metric_relabel_configs"].as_array().unwrap().clone();
    assert_eq!(expected.len(), 4);
    expected.push(json!({"action": "labeldrop", "regex": "source"}));
    let objects = render(helm, &["--values", EVERYTHING]).unwrap();
    let monitors = objects.iter().filter_map(|object| match object["kind"].as_str()? {
        "PodMonitor" => Some(&object["spec"]["podMetricsEndpoints"][0]),
        "ServiceMonitor" => Some(&object["spec"]["endpoints"][0]),
        _ => None,
    });
    let monitors: Vec<&Value> = monitors.collect();
    assert_eq!(monitors.len(), 2);
    for monitor in monitors {
        assert_eq!(monitor["metricRelabelings"], Value::Array(expected.clone()), "{monitor}");
    }
}

/// Control-plane nodes have a DaemonSet of their own, and no node has two agents.
#[test]
fn an_agent_of_a_control_plane_node_reads_the_logs_of_the_api_server() {
    let Some(helm) = helm() else { return };
    for arguments in [&["--set", "controlPlane.enabled=true"], &["--values", EVERYTHING]] {
        let objects = render(helm, arguments).unwrap();
        let sets: Vec<&Value> =
            objects.iter().filter(|object| object["kind"] == "DaemonSet").collect();
        assert_eq!(sets.len(), 2);
        for (set, operator) in sets.iter().zip(["DoesNotExist", "Exists"]) {
            let pod = &set["spec"]["template"]["spec"];
            let required = "requiredDuringSchedulingIgnoredDuringExecution";
            let terms = &pod["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"];
            for term in list(terms) {
                let last = list(&term["matchExpressions"]).last().unwrap();
                assert_eq!(last["operator"], operator, "{terms}");
            }
            let text = pod.to_string();
            let is_control_plane = operator == "Exists";
            assert_eq!(text.contains("TOKENWATCH_APISERVER_LOGS"), is_control_plane);
            assert_eq!(text.contains("/host/var/log/pods"), is_control_plane);
            let labels = &set["spec"]["template"]["metadata"]["labels"];
            for (label, value) in set["spec"]["selector"]["matchLabels"].as_object().unwrap() {
                assert_eq!(&labels[label], value, "{label}");
            }
        }
        assert_ne!(sets[0]["metadata"]["name"], sets[1]["metadata"]["name"]);
    }
}

/// Off, there is neither a mount nor a right for it.
#[test]
fn the_log_of_kubelet_is_mounted_where_it_is_asked_for() {
    let Some(helm) = helm() else { return };
    let of = |set: &str| {
        let objects = render(helm, &["--set", set]).unwrap();
        let pod = kind(&objects, "DaemonSet")["spec"]["template"]["spec"].to_string();
        let role = kind(&objects, "ClusterRole")["rules"].to_string();
        (pod, role)
    };
    let watch = r#"{"apiGroups":[""],"resources":["events"],"verbs":["list","watch"]}"#;
    let (pod, role) = of("http.enabled=true");
    assert!(!pod.contains("journal") && !pod.contains("kubelet-log"), "{pod}");
    assert!(!role.contains(watch), "{role}");
    assert!(of("kubelet.journal=true").0.contains("/host/var/log/journal"));
    let path = "/var/lib/rancher/rke2/agent/logs";
    let set = format!(
        "kubelet.logs={{{path}/kubelet.log}},kubelet.logHostPaths[0].path={path},\
         kubelet.logHostPaths[0].type=Directory"
    );
    assert!(of(&set).0.contains(&format!("/host{path}")));
    assert!(of("kubernetes.podEvents=true").1.contains(watch));
}

/// The right and the mount come together, and the key of kubelet is never mounted.
#[test]
fn the_metrics_of_kubelet_take_a_right_and_one_file_where_they_are_asked_for() {
    let Some(helm) = helm() else { return };
    let of = |set: &str| {
        let objects = render(helm, &["--set", set]).unwrap();
        let set = kind(&objects, "DaemonSet")["spec"]["template"]["spec"].clone();
        let role = kind(&objects, "ClusterRole")["rules"].to_string();
        let config = kind(&objects, "ConfigMap")["data"]["tokenwatch.yaml"].to_string();
        (set, role, config)
    };
    let right = r#"{"apiGroups":[""],"resources":["nodes/metrics"],"verbs":["get"]}"#;
    let (off, role, config) = of("http.enabled=true");
    assert!(!off.to_string().contains("pki") && !role.contains("nodes/metrics"), "{off} {role}");
    assert!(config.contains("metrics: false") && !config.contains("metrics_"), "{config}");
    let (on, role, config) = of("kubelet.metrics=true");
    assert!(role.contains(right), "{role}");
    let volumes = on["volumes"].as_array().unwrap().iter();
    let paths: Vec<&str> = volumes.filter_map(|of| of["hostPath"]["path"].as_str()).collect();
    assert!(paths.contains(&"/var/lib/kubelet/pki/kubelet.crt"), "{paths:?}");
    assert!(!paths.iter().any(|path| path.ends_with("/pki") || path.contains(".key")), "{paths:?}");
    let mounts = on["containers"][0]["volumeMounts"].as_array().unwrap();
    let mount = mounts.iter().find(|of| of["name"] == "kubelet-certificate").unwrap();
    assert_eq!(mount["mountPath"], "/host/var/lib/kubelet/pki/kubelet.crt");
    assert_eq!(mount["readOnly"], true);
    assert!(on.to_string().contains("status.hostIP"));
    assert!(config.contains("metrics_ca: /var/run/secrets/kubernetes.io"), "{config}");
    for (set, expected) in [
        ("kubernetes.enabled=false", "needs kubernetes.enabled"),
        ("kubelet.metricsCertificate=,kubelet.metricsCa=", "or kubelet.metricsCa"),
    ] {
        let set = format!("kubelet.metrics=true,{set}");
        let error = render(helm, &["--set", &set]).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let (bootstrapped, ..) = of("kubelet.metrics=true,kubelet.metricsCertificate=");
    assert!(!bootstrapped.to_string().contains("kubelet-certificate"));
}

/// Only the control-plane nodes get the mount for it, and once where kubelet's errors are read too.
#[test]
fn the_journal_is_mounted_where_the_api_server_logs_to_it() {
    let Some(helm) = helm() else { return };
    let mounts = |set: &str| -> Vec<usize> {
        let set = format!("controlPlane.enabled=true,{set}");
        let objects = render(helm, &["--set", &set]).unwrap();
        let sets = objects.iter().filter(|object| object["kind"] == "DaemonSet");
        let pods = sets.map(|set| set["spec"]["template"]["spec"].to_string());
        pods.map(|pod| pod.matches("/host/var/log/journal").count()).collect()
    };
    assert_eq!(mounts("controlPlane.journal=false"), [0, 0]);
    assert_eq!(mounts("controlPlane.journal=true"), [0, 1]);
    assert_eq!(mounts("controlPlane.journal=true,kubelet.journal=true"), [1, 1]);
    let of_k3s = "controlPlane.enabled=true,controlPlane.journal=true,controlPlane.logs=null,\
                  controlPlane.hostPaths=null";
    let objects = render(helm, &["--set", of_k3s]).unwrap();
    let pods = Value::from(objects).to_string();
    assert!(pods.contains("TOKENWATCH_APISERVER_JOURNAL"), "{pods}");
    assert!(!pods.contains("TOKENWATCH_APISERVER_LOGS") && !pods.contains("/host/var/log/pods"));
}

/// GKE admits `system-node-critical` outside kube-system only with such a quota.
#[test]
fn a_quota_admits_the_priority_class() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--set", "resourceQuota.enabled=true"]).unwrap();
    let scope =
        json!({"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]});
    assert_eq!(
        kind(&objects, "ResourceQuota")["spec"],
        json!({"hard": {"pods": "1G"}, "scopeSelector": {"matchExpressions": [scope]}})
    );
    assert!(
        render(helm, &[]).unwrap().iter().all(|object| object["kind"] != "ResourceQuota"),
        "a quota without resourceQuota.enabled"
    );
}

#[test]
fn two_releases_do_not_share_cluster_wide_objects() {
    let Some(helm) = helm() else { return };
    let name = |namespace: &str| {
        let objects = render(helm, &["--namespace", namespace]).unwrap();
        kind(&objects, "ClusterRole")["metadata"]["name"].clone()
    };
    assert_eq!(name("tokenwatch"), "tokenwatch");
    assert_ne!(name("other"), name("tokenwatch"));
}

#[test]
fn the_rules_link_to_the_configured_runbooks() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--values", EVERYTHING]).unwrap();
    let rules = kind(&objects, "PrometheusRule")["spec"].to_string();
    assert!(rules.contains("https://wiki.example/runbooks/token.expired.md"));
    assert!(!rules.contains("tokenwatch.example"));
}

/// The chart's home, if it has one, leads to the runbooks of its version.
#[test]
fn without_an_address_no_rule_links_to_a_page_that_does_not_exist() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--set", "prometheusRule.enabled=true"]).unwrap();
    let rules = kind(&objects, "PrometheusRule")["spec"].to_string();
    assert_eq!(rules.matches("runbook_url").count(), 0);
    assert!(rules.contains("remedy") && !rules.contains("tokenwatch.example"));
}

#[test]
fn the_network_policy_opens_one_port() {
    let Some(helm) = helm() else { return };
    let spec = |values: &str| {
        let objects =
            render(helm, &["--set", &format!("networkPolicy.enabled=true,{values}")]).unwrap();
        kind(&objects, "NetworkPolicy")["spec"].clone()
    };
    let open = spec("http.port=9723");
    assert_eq!(
        (list(&open["ingress"]).len(), &open["ingress"][0]["ports"][0]["port"]),
        (1, &Value::from(9723))
    );
    assert_eq!(open["policyTypes"], json!(["Ingress"]));
    assert_eq!(spec("http.enabled=false")["ingress"], json!([]));
}
