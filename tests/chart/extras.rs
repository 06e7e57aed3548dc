//! What some clusters want beside the agent: dashboards, OpenShift's constraints, objects of their
//! own; and what the notes after an installation name.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::helm::{helm, kind, list, render, root, yaml};
use crate::{EVERYTHING, HOST_NETWORK};

#[test]
fn nothing_of_it_is_there_by_default() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &[]).unwrap();
    let names = objects.iter().map(|object| object["metadata"]["name"].as_str().unwrap());
    assert!(names.clone().all(|name| name == "tokenwatch"), "{:?}", names.collect::<Vec<_>>());
}

/// Grafana's sidecar finds each dashboard, and reads the file of deploy/grafana.
#[test]
fn the_dashboards_are_those_of_the_repository() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--values", EVERYTHING]).unwrap();
    for name in ["fleet", "node"] {
        let object = objects
            .iter()
            .find(|it| it["metadata"]["name"] == format!("token-watcher-dashboard-{name}"))
            .unwrap();
        assert_eq!(object["metadata"]["labels"]["dashboard"], "yes");
        assert_eq!(object["metadata"]["namespace"], "observability");
        assert_eq!(object["metadata"]["annotations"]["grafana_folder"], "tokenwatch");
        let text = object["data"][format!("tokenwatch-{name}.json")].as_str().unwrap();
        let file = root().join(format!("deploy/grafana/{name}.json"));
        let kept: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), kept, "{name}");
    }
}

#[test]
fn an_object_of_the_user_is_rendered() {
    let Some(helm) = helm() else { return };
    let objects = render(helm, &["--values", EVERYTHING]).unwrap();
    assert_eq!(kind(&objects, "Secret")["stringData"]["namespace"], "tokenwatch");
    let text = objects.iter().find(|object| object["metadata"]["name"] == "as-text").unwrap();
    assert_eq!(text["data"]["name"], "{{ $labels.pod }}");
}

/// The constraints allow what the pods ask for at each level, and nothing that they do not.
#[test]
fn the_constraints_of_openshift_fit_the_pods() {
    let Some(helm) = helm() else { return };
    for level in ["files", "hostPID", "fanotify"] {
        for network in [false, true] {
            let values = format!("openshift.scc=true,privilege={level},hostNetwork={network}");
            let objects = render(helm, &["--set", &values]).unwrap();
            let scc = kind(&objects, "SecurityContextConstraints");
            let pod = &kind(&objects, "DaemonSet")["spec"]["template"]["spec"];
            let container = &pod["containers"][0]["securityContext"];
            assert_eq!(scc["allowedCapabilities"], container["capabilities"]["add"], "{values}");
            assert_eq!(scc["allowHostPID"], pod["hostPID"].as_bool().unwrap_or(false), "{values}");
            assert_eq!(scc["allowHostNetwork"], network, "{values}");
            assert_eq!(scc["allowPrivilegedContainer"], container["privileged"]);
            assert_eq!(scc["allowPrivilegeEscalation"], container["allowPrivilegeEscalation"]);
            let users = json!(["system:serviceaccount:tokenwatch:tokenwatch"]);
            assert_eq!(scc["users"], users);
            for volume in list(&pod["volumes"]) {
                let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
                for used in kinds {
                    assert!(list(&scc["volumes"]).contains(&json!(used)), "{values}: {used}");
                }
            }
        }
    }
    let pods = render(helm, &["--values", HOST_NETWORK]).unwrap();
    assert_eq!(kind(&pods, "SecurityContextConstraints")["allowHostPorts"], true);
}

/// NOTES.txt as Helm shows it: without a cluster Helm renders it only as a part of an object.
fn notes(helm: &Path, values: &str) -> String {
    let copy = tempfile::tempdir().unwrap();
    let mut copying = Command::new("cp");
    copying.arg("-r").arg(root().join("deploy/chart/.")).arg(copy.path());
    assert!(copying.status().unwrap().success());
    let templates = copy.path().join("templates");
    let text = fs::read_to_string(templates.join("NOTES.txt")).unwrap();
    fs::write(
        templates.join("_notes.tpl"),
        format!("{{{{ define \"notes\" }}}}{text}{{{{ end }}}}"),
    )
    .unwrap();
    let object = "kind: Notes\ntext: |\n  {{- include \"notes\" . | nindent 2 }}\n";
    fs::write(templates.join("notes.yaml"), object).unwrap();
    let mut command = Command::new(helm);
    command.args(["template", "tokenwatch", ".", "--show-only", "templates/notes.yaml"]);
    let output = command.args(["--set", values]).current_dir(copy.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    yaml(&String::from_utf8(output.stdout).unwrap())["text"].as_str().unwrap().to_owned()
}

/// The violations by the names that the API server uses (`k8s.io/pod-security-admission`).
#[test]
fn the_notes_name_every_violation_of_pod_security() {
    let Some(helm) = helm() else { return };
    let notes = |values: &str| notes(helm, values);
    let files = notes("privilege=files");
    assert!(files.contains("hostPath volumes\n"), "{files}");
    assert!(files.contains("non-default capabilities (DAC_READ_SEARCH)\n"), "{files}");
    assert!(!files.contains("host namespaces") && !files.contains("hostPort"), "{files}");
    assert!(
        files.contains("restricted volume types, runAsNonRoot != true, runAsUser=0"),
        "{files}"
    );
    let most = notes("privilege=fanotify,hostNetwork=true,seLinuxOptions.type=spc_t");
    for part in [
        "non-default capabilities (DAC_READ_SEARCH, SYS_ADMIN)\n",
        "host namespaces (hostNetwork=true, hostPID=true)\n",
        "hostPort (9723)\n",
        "seLinuxOptions (type=spc_t)\n",
    ] {
        assert!(most.contains(part), "{part}: {most}");
    }
    assert!(!notes("seLinuxOptions.type=container_t").contains("seLinuxOptions ("));
}
