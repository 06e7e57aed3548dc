//! The pages of docs/runbooks.

use tokenwatch_core::findings::{Code, Runbook, Step};

const HEAD: &str = "# Runbooks

One page for each finding. All of it is printed by `tokenwatch findings CODE`; \
                    `docs/runbooks/generate` writes these pages anew.

";

const HOW: &str = "
## Before you start

- The alert names what NAMESPACE, POD, NODE, UID (the pod's) and VOLUME stand for in the commands: \
     `k8s.namespace.name`, `k8s.pod.name`, `k8s.node.name`,
  `k8s.pod.uid` and `k8s.volume.name` in a log record. An alert of Prometheus names the node \
     alone; `tokenwatch check` there names the rest.
- `tokenwatch …` runs in the agent's pod of that node, which has the host's files under `/host`. \
     AGENT in the commands stands for what the first of these prints;
  `-n tokenwatch` is the namespace of README's commands, yours may be another:

      kubectl get pod -n tokenwatch -l app.kubernetes.io/name=tokenwatch --field-selector \
     spec.nodeName=NODE -o name
      kubectl exec -n tokenwatch AGENT -- tokenwatch check

  Where it was installed on the node itself: the same without `kubectl exec … --` and without \
     `/host`.

- `journalctl`, `systemctl`, `chronyc` and `ls /var/lib/kubelet` run on the node: `kubectl debug \
     node/NODE -it --image=IMAGE` and `chroot /host` where there is no ssh.
- The same finding on many nodes at once has one cause, and it is on none of them: look at the API \
     server, its authorization of nodes, and its hosts' clocks.

## When a node says nothing

No metric of a node's agent has come for ten minutes (`TokenwatchNodeSilent`). Nobody watches its \
     tokens, or what watches them is not heard:

      kubectl get node NODE
      kubectl get pod -A -l app.kubernetes.io/name=tokenwatch --field-selector spec.nodeName=NODE
      kubectl logs -n tokenwatch AGENT --since=15m | tail -n 30

- The node is gone for good: nothing has to be done, and the alert ends within the hour. With \
     kube-state-metrics it is not told at all.
- The agent's pod is not there, or does not run: `kubectl describe pod` says why.
- It runs: its diary says what it cannot deliver and where to; the collector and the way to it are \
     next ([agent.delivery_delayed](agent.delivery_delayed.md)).
- It is silent on every node at once: [nobody is heard](#when-nobody-is-heard).

## When nobody is heard

There is not one metric of an agent (`TokenwatchNobodyHeard`). Until there is, nothing that \
     Prometheus tells of tokens means anything:

      kubectl get daemonset,pod -A -l app.kubernetes.io/name=tokenwatch
      kubectl logs -n tokenwatch -l app.kubernetes.io/name=tokenwatch --prefix --since=15m --tail=5

- No agent runs: it was never installed, or was taken away; what the DaemonSet's events say \
     (`kubectl describe`) is why.
- Agents run, and their diaries say that nothing is delivered: the collector and the way to it \
     ([agent.delivery_delayed](agent.delivery_delayed.md)).
- Agents run and deliver: the collector's way to Prometheus (remote write), or what scrapes them. \
     `tokenwatch_sources_up` in Prometheus, asked by hand, says which: if it
  is there, `target_info` with the same `job` and `instance` is missing, or the rules are not \
     evaluated (Status, Rules).

## When a node has no agent

kube-state-metrics tells of the node, other nodes of the cluster are heard, and of this one \
     nothing has come for an hour, or ever (`TokenwatchAgentMissing`):

      kubectl get pod -A -l app.kubernetes.io/name=tokenwatch --field-selector spec.nodeName=NODE
      kubectl describe daemonset -n tokenwatch tokenwatch | tail -n 20

- There is no pod: the node is not meant (the values `nodeSelector`, `affinity`, `tolerations`), \
     or pods cannot be made (a quota, Pod Security, a webhook): the DaemonSet's events say so.
- There is one that is not running: its image cannot be pulled, or a directory is not there \
     (`kubelet.rootDirs`): `kubectl describe pod` says so.
- It runs: it is not heard, [as above](#when-a-node-says-nothing).
- No agent is wanted there: leave such nodes out of the rule, beside those that it leaves out \
     already (Windows, Fargate, virtual kubelets).

## When an agent keeps restarting

kubelet started the container again three times or more within an hour \
     (`TokenwatchAgentRestarts`). The alert names the pod:

      kubectl describe -n tokenwatch AGENT | grep -A8 'Last State'
      kubectl logs -n tokenwatch AGENT --previous | tail -n 30

- `OOMKilled`: it needs more than `resources.limits.memory`; how much it held is \
     `process_memory_usage_bytes`. What undelivered alerts may take of it is `alerts.memory`.
- Exit code 2: its configuration is wrong, and its last words say where.
- `Unhealthy` among the events: its liveness probe was not answered for a minute, as on a node \
     without processor time to spare.

## When a source is degraded

The agent on a node does without something (`TokenwatchSourceDegraded`, and \
     `tokenwatch.sources.up` is 0 for it). Its diary says what, and what it does instead:

      kubectl logs -n tokenwatch AGENT | grep -i degraded

- `watch`: it is told of no changes and looks again every rescan. Nearly always inotify's limit: \
     `sysctl fs.inotify.max_user_watches fs.inotify.max_user_instances`.
- `ntp`: no time server answers: [clock.unknown](clock.unknown.md).
- `files`: it may not read kubelet's directory: [agent.blind](agent.blind.md).
- `kernel`: it is not told when the clock is set; a step is found with the next measurement.
- `apiserver`: it is not told of pods: findings do not name their owners, and no Events are \
     written. Its service account may not list and watch pods, the API server is
  not reached, or the API server knows no pod on the node that the agent takes for its own \
     (`NODE_NAME`): [below](#when-the-api-server-is-not-heard).
- `serviceaccounts`: it may not ask for the account of a token that is late, so that kubelet is \
     blamed where an account was deleted. `get` on `serviceaccounts` is missing
  from its ClusterRole: apply the manifests of its version, or upgrade the chart.

## When the API server is not heard

The agent has been told nothing for a quarter of an hour (`TokenwatchClusterUnheard`); in a quiet \
     cluster it is told something every minute or two. Tokens are judged as before.

      kubectl auth can-i watch pods --as system:serviceaccount:tokenwatch:tokenwatch
      kubectl logs -n tokenwatch AGENT --since=15m | tail -n 30

- On one node: its way to the API server, which kubelet's tokens need too; findings of its tokens \
     will follow.
- On every node: the API server, or what the agent's service account may do was taken away.
";

/// The list of them.
pub(super) fn index() -> String {
    format!(
        "{HEAD}| finding | severity | what is wrong |\n|---|---|---|\n{}{HOW}",
        Code::ALL.iter().map(|code| row(*code)).collect::<String>()
    )
}

fn row(code: Code) -> String {
    let info = code.info();
    let note = if code.is_reserved() { " (reserved: nothing looks for it yet)" } else { "" };
    format!("| [`{code}`]({code}.md) | {} | {}{note} |\n", cell(info.severity), cell(info.title))
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The page of one.
pub(super) fn page(code: Code) -> String {
    let info = code.info();
    let reserved = "\n> Reserved: nothing looks for it yet. No agent says this; the name is kept \
                    so that its meaning is fixed.\n";
    let head = format!(
        "# {code}\n\n{}.\n{}",
        capital(info.title),
        if code.is_reserved() { reserved } else { "" }
    );
    let runbook = code.runbook();
    let of_runbook = |tell: fn(&Runbook) -> String| runbook.map(tell).unwrap_or_default();
    [
        head,
        section("What it means", info.meaning),
        of_runbook(|runbook| section("Who is hurt, and when", runbook.hurts)),
        section("How bad", info.severity),
        section("How it is found", info.found_by),
        of_runbook(|runbook| format!("\n## Check by hand\n{}", steps(runbook.check))),
        section("What to do", info.action),
        of_runbook(|runbook| steps(runbook.repair)),
        of_runbook(|runbook| section("It is over when", runbook.over)),
        of_runbook(|runbook| section("It is no fault when", runbook.false_alarm)),
        "\n[All findings, and what the capital letters in the commands stand for](README.md)\n"
            .to_owned(),
    ]
    .concat()
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

/// Programs and claims are written as they are called, at the beginning of a sentence too.
const NAMES: [&str; 6] = ["adjtimex", "exp", "iat", "kubelet", "nbf", "timedatectl"];

/// As a sentence begins.
fn capital(text: &str) -> String {
    let is_name = text.split([' ', '.', '(']).next().is_some_and(|word| NAMES.contains(&word));
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !is_name => first.to_uppercase().chain(letters).collect(),
        _ => text.to_owned(),
    }
}
