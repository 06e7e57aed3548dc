//! Codes about the agent itself.

use super::Entry;

pub(super) const AGENT_BLIND: Entry = Entry {
    meaning: "kubelet has volumes, or a whole root directory, that this agent cannot see into, or \
            a read of them does not return, or a pod has more files that look like tokens, or \
            more volumes, directories with tokens, containers or mounts, than its share of what an \
            agent follows. The agent does not watch the tokens there; of volumes beyond the other \
            shares it reads and judges the tokens, and does not see who opens them, or whether \
            every container has the current ones.",
    found_by: "For ten seconds, the agent cannot see into a pod's projected volume, or cannot \
            list the pods of a kubelet root. Either the volume is empty for the agent although \
            kubelet has set it up, or the agent may not enter it. Or a read has not returned for \
            30 s: then the agent reports nothing new about the tokens, because kubelet may have \
            replaced them. Or the files that look like tokens are more than 2,048, or fewer large \
            ones: the agent leaves out those of the pod that has most, so that no other pod loses \
            any. In the same way it leaves out volumes where their directories need more than \
            8,192 inotify watches, or 16,384 marks of fanotify. Of one pod it looks at 64 \
            containers, and at some 100 mounts of tmpfs in these. A watch that the kernel refuses \
            accuses no pod.",
    severity: "warning",
    action: "Mount the kubelet directory into the agent with mountPropagation: HostToContainer. \
            Give the agent CAP_DAC_READ_SEARCH. If kubelet's directory is in an unusual place, \
            name it with --root. If a read does not return, look for a file system that hangs \
            (`dmesg`, processes in state D). If a pod has more tokens or directories than its \
            share, look at what it projects.",
};

pub(super) const DELIVERY_DELAYED: Entry = Entry {
    meaning: "Alerts wait on this node because no collector accepts them. The agent keeps them in \
            memory (alerts.memory) and sends them when a collector accepts them. When the memory \
            is full, the agent drops alerts of the pod that has most: reminders first, then info \
            findings, then the oldest. It reports again what is still active when nothing waits.",
    found_by: "The oldest undelivered alert has waited longer than the limit \
            (alerts.delivery_limit, default 60 s).",
    severity: "warning",
    action: "Check the OTLP endpoint, its certificate and the health of the collector. The \
            evidence contains the last error.",
};
