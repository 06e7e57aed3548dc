//! Codes about tokens and their copies.

use super::Entry;

pub(super) const ROTATION_LATE: Entry = Entry {
    meaning: "kubelet should have replaced this token by now. The token still works. kubelet may \
            be busy, restarting, or unable to reach the API server.",
    found_by: "The file still holds the same generation min(120 s, 80 % of the slack) after its \
            due time, by the node's clock. The due time is iat + min(80 % of the lifetime, 24 h). \
            The slack is the time from the due time to the effective deadline. Where tokens of \
            other owners are late soon after it, so that kubelet.stalled would take its place, it \
            waits for those, at most until the token is stalled.",
    severity: "info; warning if less than two minutes are left until the effective deadline",
    action: "No action yet. If the finding becomes token.rotation_stalled, check kubelet and its \
            connection to the API server.",
};

pub(super) const ROTATION_STALLED: Entry = Entry {
    meaning: "kubelet tried several times to replace this token, or should have, and the file did \
            not change. Or kubelet does not sync the volume any more, so that it will not replace \
            the token when that is due: the finding then comes before. After the \
            effective deadline, verifiers reject requests with this token. An extended token still \
            works then, but only because of the extension.",
    found_by: "The file still holds the same generation min(300 s, 92 % of the slack) after its \
            due time, by the node's clock. Or kubelet has not opened the volume for 5/3 of the \
            longest time that it needs on this node (some 160 s with its default settings), while \
            it synced the volumes of other pods. The evidence then has unsynced_since. Where the \
            settings name kubelet's log, the evidence has the last error of kubelet about the \
            token that is newer than it (kubelet_error), and what rules out other causes.",
    severity: "warning; critical in the last third of the slack, and after the effective deadline \
            of a token without extension. For a volume that is not synced: info at first, because \
            an image that is pulled for the pod may hold up kubelet; warning after 15 min, from \
            late on, and at once where kubelet syncs another volume of the same pod",
    action: "In kubelet's log on this node, look for \"Couldn't update token\" and \
            MountVolume.SetUp errors. On the pod, look for FailedMount events. Check that kubelet \
            reaches the API server. Check that the service account and every source of the volume \
            (kube-root-ca.crt, Secrets, ConfigMaps) exist.",
};

pub(super) const EXPIRED: Entry = Entry {
    meaning: "The API server answers 401 to every request with this token, once its leeway (60 s) \
            and its cache (up to 10 s) have run out.",
    found_by: "The node's clock is past exp, and the file still holds this generation.",
    severity: "critical",
    action: "Repair kubelet's connection to the API server, or the failing source of the volume, \
            so that kubelet writes a new token. If the file does not change within two sync \
            periods, delete the pod.",
};

pub(super) const NOT_YET_VALID: Entry = Entry {
    meaning: "The API server rejects the token (\"not valid yet\") until its own clock reaches nbf \
            - 60 s. kubelet does not replace the token, because by kubelet's rule it is fresh.",
    found_by: "The node's clock has not reached nbf - 60 s.",
    severity: "critical",
    action: "Compare the clocks of the API server hosts and the node. When they agree, restart \
            kubelet or delete the pod: kubelet does not replace a token that looks new.",
};

pub(super) const FUTURE_DATED: Entry = Entry {
    meaning: "The clock that signed the token was ahead of this node's clock, or this node's clock \
            is behind. kubelet will rotate the token late by the same amount. If the API server's \
            clock is set back, the token becomes not valid yet.",
    found_by: "The token's iat is ahead of the node's clock by more than 10 s plus the error bound \
            of the clock.",
    severity: "info up to 60 s, warning above",
    action: "Run `tokenwatch clock` on the node. If the node's clock is right, the API server's \
            clock is ahead.",
};

pub(super) const MALFORMED: Entry = Entry {
    meaning: "The pod presents bytes that no API server accepts.",
    found_by: "The file does not decode as a service-account token, although it is the token of a \
            kube-api-access-* volume, the same path held a token before (also before a restart of \
            the agent), the pod's spec has a serviceAccountToken there (needs access to the \
            Kubernetes API), or the content starts like a token. Or the path leads out of the \
            volume, to no file, or to another file than the one that kubelet wrote. Or \
            the signature does not fit the key that the token names, which the API server \
            publishes (needs access to the Kubernetes API).",
    severity: "warning",
    action: "Find out what writes the file. If the file is in kubelet's projected volume, delete \
            the pod: kubelet then writes a new file.",
};

pub(super) const UNREADABLE: Entry = Entry {
    meaning: "The agent cannot judge this token.",
    found_by: "The agent fails to open or read the file, for longer than a replacement of the file \
            takes. One finding names the volume's token; other files are no tokens. Or the \
            volume's ..data link leads out of the volume, or nowhere.",
    severity: "warning",
    action: "Give the agent CAP_DAC_READ_SEARCH, or run it as root. Mount the kubelet directory \
            into it, read-only and with HostToContainer propagation.",
};

pub(super) const MISSING: Entry = Entry {
    meaning: "A pod should have this token, and the file is not on the node. A container that \
            starts now fails or waits. A container that runs keeps its mount of the volume, and \
            kubelet no longer renews the token in it.",
    found_by: "A volume has files and not the token that belongs in it: that of kubelet's own \
            volume (kube-api-access-*), or one that it held before. Or a volume that held a token \
            is empty. Or the spec of a pod has a serviceAccountToken source, and the agent finds \
            no token at its path (needs access to the Kubernetes API). The agent waits at least \
            ten seconds, ten minutes while the pod starts, and five minutes after the machine \
            started. Without access to the API, one finding about the node lists volumes that \
            were empty from the start.",
    severity: "critical for a pod that runs; warning if the container with the token waits, or if \
            the agent does not know whether the pod runs; info for volumes that may be leftovers",
    action: "Look for MountVolume.SetUp errors in kubelet's log and for FailedMount events of the \
            pod. If kubelet is well, delete the pod: its controller starts a new one, and kubelet \
            sets up new volumes. Find out what unmounted or emptied the volume.",
};

pub(super) const READER_STALE: Entry = Entry {
    meaning: "A container keeps a token that kubelet has replaced. It read an earlier one, and has \
            not read the file since. The file is fresh, so the token in it looks healthy. From the \
            finding's deadline on, the API server refuses the old token, and the container's \
            requests get 401.",
    found_by: "kubelet replaced the token, and the container has not read the new one: the agent \
            sees who opens the file. It also needs evidence of use: a connection to the API \
            server, a read of the replaced token, or how the container behaved in earlier \
            generations. Without that, the finding is info, and comes only if a client that reads \
            again would have done so by then. The evidence has each kind with its strength, and \
            docs/reader-evidence.md explains them. How much the agent sees depends on its \
            privilege level. With apiserver.logs, the audit log also shows requests with a \
            replaced token, and clients on other nodes that use an extended one or, at level \
            Request, one that kubelet replaced twelve minutes before (one finding about the \
            node).",
    severity: "info without evidence of use, and for clients on other nodes; warning with it; \
            critical in the last third of the time from the rotation to the refusal, at most 10 \
            minutes before, and from then on",
    action: "Restart the container before the deadline: it reads the current token when it starts. \
            Then make the client read the file again at least once a minute (KEP-1205). If the \
            finding names a client library, update it to the version that reads the token again. \
            Else give the client the path of the token, not the token.",
};

pub(super) const MOUNT_FROZEN: Entry = Entry {
    meaning: "kubelet has mounted the volume again, and the running container still has the old \
            mount. kubelet writes new tokens only into the new one. Whatever the container reads, \
            it gets the last token of the old mount. From the finding's deadline on, the API \
            server refuses that token, and the container's requests get 401.",
    found_by: "In the container's mount table, the volume is on another file system than on the \
            node. The agent needs the privilege level hostPID for this. The finding comes at once, \
            while both mounts may still hold the same token.",
    severity: "warning; critical in the last third of the time to the refusal of the token in the \
            old mount, at most 10 minutes before, and from then on",
    action: "Restart the pod: a new pod gets the new mount. A restart of the container alone is \
            enough, too, because kubelet mounts the volume into it again. Then find out what \
            unmounted the volume on the node.",
};

pub(super) const SUBPATH: Entry = Entry {
    meaning: "kubelet mounts the file of the current generation into the container when it starts, \
            and never replaces it there. The container keeps the token of its start until it \
            expires. If subPath names a directory, the token disappears with the first rotation.",
    found_by: "In the pod's spec, a container mounts a serviceAccountToken by subPath or \
            subPathExpr. The agent needs access to the Kubernetes API for this. Without it, at the \
            privilege level hostPID, the mounts of the container's process show the same. The end \
            comes from the container's start and the token's lifetime.",
    severity: "info for a token whose expiry is extended (it works for a year); warning for \
            others; critical once the container's token has certainly expired or disappeared",
    action: "Mount the whole volume in a directory of its own, without subPath, and give the \
            application the path of the token in it. Until then, restart the container before its \
            token expires.",
};

pub(super) const POD_TERMINATING: Entry = Entry {
    meaning: "kubelet does not replace the tokens of a pod that comes to its end. While the pod is \
            terminating, its containers may run until the grace period ends. Requests with this \
            token fail before that. If the grace period has ended and the pod's files are still on \
            the node, its containers probably still run, and the API server refuses the token.",
    found_by: "The API server reports that the pod is being deleted, and the token's effective \
            deadline is before the end of the pod (deletionTimestamp, which includes the grace \
            period). Or that time has passed by more than the API server's leeway, or the API \
            server does not know the pod, or its containers have ended, and the token file is \
            still there. The agent needs access to the Kubernetes API for this.",
    severity: "warning; critical after the effective deadline of a token without extension, and if \
            the API server refuses the token of a pod that should have ended; for a pod that the \
            API server does not know: info, and warning if the agent knew it and its files are \
            still there after two minutes; info for a pod whose containers have ended",
    action: "Let the pod end before its token does. Shorten terminationGracePeriodSeconds, or the \
            work that the container does on SIGTERM. Or give the token a longer expirationSeconds. \
            To end the pod now, delete it again with a shorter --grace-period.",
};

pub(super) const KEY_UNKNOWN: Entry = Entry {
    meaning: "The API server does not have the key that signed these tokens. It answers 401 to \
            every request with them, although they have not expired. A signing key was replaced, \
            and the old public key was not kept. One finding stands for all tokens of the node.",
    found_by: "The agent compares the key id (kid) of each token with the keys that the API server \
            publishes (/openid/v1/jwks): three times in a row, every half hour, when the API \
            server answers again after an interruption, and within a minute where a token has a \
            new key. Tokens of a signer outside of the API server are left out, because it may \
            keep good keys to itself (KEP-740), and so are files that the pod's spec does not have \
            as a serviceAccountToken. Where the API server refuses the agent's own token, the \
            agent cannot see the keys: the state is then own_token_refused, for tokens with the \
            same key. The agent needs access to the Kubernetes API for this.",
    severity: "warning after the first round of answers, and critical two minutes later; warning \
            if only some API servers lack the key, and if the refusal of the agent's own token \
            is the only evidence",
    action: "Give the API servers the old public key again, until every token is replaced: \
            --service-account-key-file can be given several times. Or restart kubelet on each \
            node: it then requests every token again. Then restart the containers that do not \
            read their token again.",
};

pub(super) const ISSUER_MISMATCH: Entry = Entry {
    meaning: "These tokens name another issuer than the tokens that the API server issues now. It \
            accepts them only while the old issuer is still one of its \
            --service-account-issuer. Verifiers outside of the cluster trust one issuer: they \
            refuse the tokens with the other one.",
    found_by: "The issuer in the token differs from the one that the API server publishes \
            (/.well-known/openid-configuration), and the API server has the token's key. The \
            agent cannot see which other issuers it accepts. It needs access to the Kubernetes API \
            for this.",
    severity: "info",
    action: "Keep the old issuer as a second --service-account-issuer until all tokens are \
            replaced, and tell the verifiers outside of the cluster about the new one.",
};

pub(super) const AUDIENCE_UNKNOWN: Entry = Entry {
    meaning: "A client gives this token to a verifier that expects another audience. Unless the \
            verifier was configured for this audience, it refuses every request with the token, \
            from the pod's start on.",
    found_by: "A convention shows who reads the token: a variable of the container \
            (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, \
            AZURE_FEDERATED_TOKEN_FILE), the volumes istio-token and linkerd-identity-token, or \
            the directory in which clients of the API server look. The token's audience is not \
            the one that this verifier usually has. For the API server, the tokens in the volumes \
            kube-api-access-… of the node show its audiences. The agent needs access to the \
            Kubernetes API for this. It cannot see how a verifier is configured.",
    severity: "warning if the verifier accepts another audience alone, or if the audience looks \
            like the usual one with a mistake in it; else info",
    action: "Compare audience in the pod's volume with what the verifier accepts: the identity \
            provider's audiences in AWS IAM, the federated credential in Microsoft Entra, \
            --api-audiences of the API server. Correct the pod's template or the annotation that \
            sets it, and start the pod again.",
};

pub(super) const SUBJECT_REPLACED: Entry = Entry {
    meaning: "The API server rejects every request with this token, although the token has not \
            expired: it looks up the service account on each request and compares the UID. kubelet \
            does not notice. It keeps the token until it is due for replacement.",
    found_by: "The agent requests each service account that tokens on the node use, one after the \
            other: soon after its start, then within 20 minutes for up to 20 accounts, and at once \
            when a token is late. The account does not exist, or its UID is not the one in the \
            token. The evidence is service_account_state: missing or replaced. The agent needs \
            access to the Kubernetes API for this.",
    severity: "critical",
    action: "Create the service account again if it is missing. Then restart the pods that use it: \
            a token belongs to one UID, so the old tokens stay rejected.",
};

pub(super) const EXTENDED_ONLY: Entry = Entry {
    meaning: "A client holds a token for longer than it was requested for. The API server accepts \
            it only because it extends the expiry of such tokens to a year. On the day the \
            extension ends (an upgrade, a hardening profile, \
            --service-account-extend-token-expiration=false), the client gets 401 an hour after \
            its start. One finding stands for all such tokens of the node.",
    found_by: "A reader keeps a token that kubelet has replaced (token.reader_stale, on more than \
            a hint), or a container mounts one by subPath, and warnafter of that token and the \
            leeway of 60 s have passed.",
    severity: "info",
    action: "Make the clients read the file again: use a client library that does, or restart the \
            pods. `tokenwatch report upgrade` on the node names each workload, its owner and the \
            evidence.",
};

pub(super) const LEGACY: Entry = Entry {
    meaning: "A pod mounts a Secret-based token. It has no expiry, and is bound to no pod: whoever \
            has a copy can use it until the Secret or the service account is deleted. kubelet does \
            not renew it. One finding stands for all such tokens of the node.",
    found_by: "A Secret volume with the files token, ca.crt and namespace, or a file of a \
            projected volume, holds a token of the issuer kubernetes/serviceaccount. The agent \
            looks for new ones with each full rescan (files.rescan).",
    severity: "info",
    action: "Give the pod a projected token instead (serviceAccountToken), and make sure that its \
            client reads the file again. Then delete the Secret. The label \
            kubernetes.io/legacy-token-last-used of the Secret has the day of its last use.",
};

pub(super) const LIFETIME_LONG: Entry = Entry {
    meaning: "Tokens on the node were requested for more than two days. Whoever has a copy of one \
            can use it for so long, as long as its pod exists. The pod has no use for it: kubelet \
            replaces each token after a day at the latest. One finding stands for all such tokens \
            of the node.",
    found_by: "exp less iat of the token in the file is more than 48 h, and the API server did not \
            extend it (no warnafter).",
    severity: "info",
    action: "Set a shorter expirationSeconds in the pod's volume: an hour for clients that read \
            the file again, and no more than a day for those of a cloud.",
};
