//! The pages of docs/runbooks.

use tokenwatch_core::findings::{Code, Runbook, Step};

const HEAD: &str = "# Runbooks

One page for each finding. `tokenwatch findings CODE` prints the same text. \
     `docs/runbooks/generate` writes these pages.

";

const HOW: &str = "
## Before you start

- The alert names the values for NAMESPACE, POD, NODE, UID (of the pod) and VOLUME in the \
     commands. In a log record they are `k8s.namespace.name`, `k8s.pod.name`, `k8s.node.name`, \
     `k8s.pod.uid` and `k8s.volume.name`. A Prometheus alert has the labels `k8s_node_name`, and \
     for a pod `namespace` and `pod`: run `tokenwatch check` on the node to get the rest.
- `tokenwatch …` runs in the agent's pod on that node, where the host's files are under `/host`. \
     The first command below prints the name of that pod: use it for AGENT. `-n tokenwatch` is the \
     namespace from the README; yours may differ.

      kubectl get pod -n tokenwatch -l app.kubernetes.io/name=tokenwatch --field-selector \
     spec.nodeName=NODE -o name
      kubectl exec -n tokenwatch AGENT -- tokenwatch check

  If tokenwatch is installed on the node itself, leave out `kubectl exec … --` and `/host`.

- `journalctl`, `systemctl`, `chronyc` and `ls /var/lib/kubelet` run on the node. Without ssh, use \
     `kubectl debug node/NODE -it --image=IMAGE` and `chroot /host`.
- The same finding on many nodes at once has one cause, and the cause is not on the nodes. Check \
     the API server, its authorization of nodes, and the clocks of its hosts.

## TokenwatchNodeSilent

Prometheus has received no metrics from a node's agent for ten minutes. Either nothing watches the \
     tokens of this node, or the agent's metrics do not arrive.

      kubectl get node NODE
      kubectl get pod -A -l app.kubernetes.io/name=tokenwatch --field-selector spec.nodeName=NODE
      kubectl logs -n tokenwatch AGENT --since=15m | tail -n 30

- The node was removed: do nothing. The alert resolves within the hour. With kube-state-metrics it \
     does not fire at all.
- The agent's pod is missing or does not run: `kubectl describe pod` shows why.
- The agent runs: its log names what it cannot deliver, and where. Check the collector and the \
     network path to it ([agent.delivery_delayed](agent.delivery_delayed.md)).
- Every node is silent at once: see [TokenwatchNobodyHeard](#tokenwatchnobodyheard).

## TokenwatchSharedCause

Findings on several nodes have one cause. `tokenwatch_cause_id` names it, and \
     `tokenwatch_finding_code` names the finding, which has its own runbook.

      tokenwatch check --output json | jq '.findings[] | select(.cause) | {cause, code, summary}'

- `workload:NAMESPACE/KIND/NAME`: all pods of it have the same client or the same volume. Repair \
     its template once; `kubectl rollout restart` helps the pods that run.
- `service_account:NAMESPACE/NAME`: the account was deleted or created again. See \
     [token.subject_replaced](token.subject_replaced.md).
- `signing_key:ID`, `issuer:URL` and `api_server`: repair the API servers, not the nodes.
- `file:PATH`: the plugin that writes this file on each node. See [copy.stale](copy.stale.md).
- `time_server:NAME`, `controller_manager`, `collector`: what the nodes have in common.

## TokenwatchNobodyHeard

Prometheus has no metrics from any agent. Until metrics arrive, Prometheus cannot alert on any \
     token.

      kubectl get daemonset,pod -A -l app.kubernetes.io/name=tokenwatch
      kubectl logs -n tokenwatch -l app.kubernetes.io/name=tokenwatch --prefix --since=15m --tail=5

- No agent runs: nobody installed it, or somebody removed it. The events of the DaemonSet \
     (`kubectl describe`) show why.
- Agents run, and their logs report failed deliveries: check the collector and the network path to \
     it ([agent.delivery_delayed](agent.delivery_delayed.md)).
- Agents run and deliver: check the collector's remote write to Prometheus, or the scrape. Query \
     `tokenwatch_sources_up` in Prometheus. If it has data, either `target_info` with the same \
     `job` and `instance` is missing, or Prometheus does not evaluate the rules (Status, Rules).

## TokenwatchAgentMissing

kube-state-metrics reports the node, and other nodes of the cluster send metrics. This node has \
     sent none for an hour, or never did.

      kubectl get pod -A -l app.kubernetes.io/name=tokenwatch --field-selector spec.nodeName=NODE
      kubectl describe daemonset -n tokenwatch tokenwatch | tail -n 20

- The node has no agent pod. Either the values `nodeSelector`, `affinity` or `tolerations` exclude \
     the node, or the cluster refuses the pod (a quota, Pod Security, a webhook). The events of \
     the DaemonSet show which.
- The pod does not run: the node cannot pull its image, or a directory does not exist \
     (`kubelet.rootDirs`). `kubectl describe pod` shows which.
- The pod runs: its metrics do not arrive. See [TokenwatchNodeSilent](#tokenwatchnodesilent).
- You want no agent on such nodes: exclude them in the rule. It already excludes Windows, Fargate \
     and virtual kubelets.

## TokenwatchAgentRestarts

kubelet restarted the agent's container at least three times within an hour. The alert names the \
     pod.

      kubectl describe -n tokenwatch AGENT | grep -A8 'Last State'
      kubectl logs -n tokenwatch AGENT --previous | tail -n 30

- `OOMKilled`: the agent needs more than `resources.limits.memory`. `process_memory_usage_bytes` \
     shows how much it used. `alerts.memory` limits how much of that undelivered alerts may take.
- Exit code 2: the configuration is wrong. The last lines of the log show where.
- `Unhealthy` in the events: the liveness probe failed for a minute. This happens on a node \
     without spare CPU time.

## TokenwatchSourceDegraded

The agent on the node works without one of its sources: `tokenwatch.sources.up` is 0 for it. The \
     agent's log names the source, the reason and the fallback.

      kubectl logs -n tokenwatch AGENT | grep -i degraded

- `watch`: the agent gets no file events, and finds changes only at its full rescan \
     (`files.rescan`, default 60 s). The cause is nearly always an inotify limit: `sysctl \
     fs.inotify.max_user_watches fs.inotify.max_user_instances`. Or pods have more than 64 \
     projected volumes: `agent.blind` names them.
- `readers`: the agent does not see who opens the tokens of some pods, or has lost events of \
     them. It reports their readers as unknown, and finds no stale one by their reads. The cause \
     is nearly always an inotify limit: `sysctl fs.inotify.max_user_watches \
     fs.inotify.max_user_instances fs.inotify.max_queued_events`.
- `ntp`: no time server answers: see [clock.unknown](clock.unknown.md).
- `files`: the agent may not read kubelet's directory: see [agent.blind](agent.blind.md).
- `kernel`: adjtimex(2) fails. The agent judges the clock without the kernel's clock state. It \
     still detects steps.
- `apiserver`: the agent gets no updates of pods. Findings do not name the pods' owners, and the \
     agent writes no Events. There are three causes: the service account may not list and watch \
     pods, the agent cannot reach the API server, or the API server has no pod on the node that \
     the agent takes for its own (`NODE_NAME`). See \
     [TokenwatchClusterUnheard](#tokenwatchclusterunheard).
- `serviceaccounts`: the agent may not get the service accounts of this node's tokens. It then \
     does not notice that one was deleted, and blames kubelet for a late token. Its ClusterRole \
     lacks `get` on `serviceaccounts`: apply the manifests of the agent's version, or upgrade the \
     chart.
- `serverlogs`: the agent cannot read a log of the API server that `apiserver.logs` names, or \
     does not find it. It then does not see which requests the API server refuses. Compare the \
     path with `--audit-log-path`, and with the mounts (`controlPlane.hostPaths` of the chart).
- `serverjournal`: the same for the journal of systemd (`apiserver.journal`). Compare the mounts \
     (`kubelet.journalDirs` of the chart).
- `podaddresses`: the agent cannot list the pods with the address of refused requests. It then \
     does not name those of other nodes. `kubectl auth can-i list pods` with its service account.
- `kubeletlog`, `journal`: the agent cannot read kubelet's log (`kubelet.logs`) or the journal of \
     systemd (`kubelet.journal`), or does not find it. It then does not see why kubelet does not \
     replace a token. Compare the path with the mounts (`kubelet.logHostPaths` and \
     `kubelet.journalDirs` of the chart).
- `podevents`: `kubernetes.pod_events` is set, and the agent may not list and watch events. The \
     chart's `kubernetes.podEvents` sets the switch and grants the rights.
- `kubeletmetrics`: `kubelet.metrics` is set, and the agent cannot read kubelet's metrics. Its \
     certificate is not verified, the agent may not get `nodes/metrics`, or kubelet does not \
     reach the API server to ask about the agent's token. The reason says which; without a \
     verified certificate the agent sends no request.
- `accountwatch`: `kubernetes.account_watch` is set, and the agent may not list and watch service \
     accounts. It then notices a deleted account within 20 minutes, not within seconds. The \
     chart's `kubernetes.accountWatch` sets the switch and grants the rights.
- `controllerlease`: `kubernetes.controller_lease` is set, and the agent may not get the lease of \
     kube-controller-manager. The chart's `kubernetes.controllerLease` sets the switch and grants \
     the right.

## TokenwatchClusterUnheard

The agent has received nothing from the API server for 15 minutes. In a quiet cluster it receives \
     something every minute or two. The agent still judges tokens as before.

      kubectl auth can-i watch pods --as system:serviceaccount:tokenwatch:tokenwatch
      kubectl logs -n tokenwatch AGENT --since=15m | tail -n 30

- On one node: the node cannot reach the API server. kubelet needs the same connection to rotate \
     tokens, so findings about its tokens will follow.
- On every node: the API server is down, or the agent's service account lost its permissions.
";

/// The README of docs/runbooks.
pub(super) fn index() -> String {
    format!(
        "{HEAD}| finding | severity | summary |\n|---|---|---|\n{}{HOW}",
        Code::ALL.iter().map(|code| row(*code)).collect::<String>()
    )
}

fn row(code: Code) -> String {
    let info = code.info();
    let note =
        if code.is_reserved() { " (reserved: the agent does not detect it yet)" } else { "" };
    format!("| [`{code}`]({code}.md) | {} | {}{note} |\n", cell(info.severity), cell(info.title))
}

/// A bar ends a table cell, so it is escaped.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The page of one code.
pub(super) fn page(code: Code) -> String {
    let info = code.info();
    let of_runbook =
        |render: fn(&Runbook) -> String| code.runbook().map(render).unwrap_or_default();
    [
        head(code),
        section("Meaning", info.meaning),
        of_runbook(|runbook| section("Impact", runbook.impact)),
        section("Severity", info.severity),
        section("Detection", info.found_by),
        of_runbook(|runbook| format!("\n## Diagnosis\n{}", steps(runbook.diagnosis))),
        section("Mitigation", info.action),
        of_runbook(|runbook| steps(runbook.mitigation)),
        of_runbook(|runbook| section("Resolved when", runbook.resolved_when)),
        of_runbook(|runbook| section("False positives", runbook.false_positives)),
        "\n[All findings, and the placeholders in the commands](README.md)\n".to_owned(),
    ]
    .concat()
}

fn head(code: Code) -> String {
    let reserved = "\n> Reserved: no agent reports this yet. The name is listed so that its \
                    meaning is fixed.\n";
    let note = if code.is_reserved() { reserved } else { "" };
    format!("# {code}\n\n{}.\n{note}", capital(code.info().title))
}

fn section(title: &str, text: &str) -> String {
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("\n## {title}\n\n{}{stop}\n", capital(text))
}

fn steps(steps: &[Step]) -> String {
    steps
        .iter()
        .map(|step| format!("\n{}:\n\n    {}\n", step.what, step.command))
        .collect::<Vec<_>>()
        .concat()
}

/// Names of programs and claims: they stay lower-case at the beginning of a sentence.
const NAMES: [&str; 6] = ["adjtimex", "exp", "iat", "kubelet", "nbf", "timedatectl"];

/// `text` with a capital letter at the beginning, unless it begins with a name.
fn capital(text: &str) -> String {
    let is_name = text.split([' ', '.', '(']).next().is_some_and(|word| NAMES.contains(&word));
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !is_name => first.to_uppercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}
