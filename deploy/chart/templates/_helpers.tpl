{{- define "tokenwatch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "tokenwatch.fullname" -}}
{{- $name := include "tokenwatch.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Two releases with the same name in different namespaces need different names for their cluster-wide objects. */ -}}
{{- define "tokenwatch.clusterName" -}}
{{- $fullname := include "tokenwatch.fullname" . }}
{{- ternary $fullname (printf "%s-%s" .Release.Namespace $fullname) (eq .Release.Namespace $fullname) }}
{{- end }}

{{- define "tokenwatch.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tokenwatch.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tokenwatch.labels" -}}
{{ include "tokenwatch.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tokenwatch.serviceAccountName" -}}
{{- default (ternary (include "tokenwatch.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "tokenwatch.image" -}}
{{- $registry := default .Values.global.imageRegistry .Values.image.registry }}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{- /* kubelet makes many token files readable only by the pod's user, and its own directory only by root. So every privilege level has this capability.
       Without privilege escalation, only root can use it. */ -}}
{{- define "tokenwatch.capabilities" -}}
{{- $add := list "DAC_READ_SEARCH" }}
{{- if eq .Values.privilege "fanotify" }}{{ $add = append $add "SYS_ADMIN" }}{{ end }}
{{- toYaml $add }}
{{- end }}

{{- /* What Pod Security refuses of the pods, by the names that the API server uses in its warnings. */ -}}
{{- define "tokenwatch.violations" }}
  hostPath volumes
  non-default capabilities ({{ include "tokenwatch.capabilities" . | fromYamlArray | join ", " }})
{{- $namespaces := list }}
{{- if .Values.hostNetwork }}{{ $namespaces = append $namespaces "hostNetwork=true" }}{{ end }}
{{- if include "tokenwatch.seesProcesses" . }}{{ $namespaces = append $namespaces "hostPID=true" }}{{ end }}
{{- with $namespaces }}
  host namespaces ({{ join ", " . }})
{{- end }}
{{- if and .Values.hostNetwork .Values.http.enabled }}
  hostPort ({{ .Values.http.port }})
{{- end }}
{{- with .Values.seLinuxOptions }}
{{- if or .user .role (not (has (default "" .type) (list "" "container_t" "container_init_t" "container_kvm_t" "container_engine_t"))) }}
  seLinuxOptions ({{ range $at, $name := keys . | sortAlpha }}{{ if $at }}, {{ end }}{{ $name }}={{ get $.Values.seLinuxOptions $name }}{{ end }})
{{- end }}
{{- end }}
and restricted also: unrestricted capabilities, restricted volume types, runAsNonRoot != true, runAsUser=0
{{- end }}

{{- define "tokenwatch.seesProcesses" -}}
{{- if ne .Values.privilege "files" }}true{{ end }}
{{- end }}

{{- /* The affinity of the pods. With a DaemonSet of their own, the control-plane nodes are left out of the other one: two agents would share the state
       directory. The terms of a node selector are alternatives, so each gets the requirement. */ -}}
{{- define "tokenwatch.affinity" -}}
{{- $affinity := deepCopy (default dict .root.Values.affinity) }}
{{- if .root.Values.controlPlane.enabled }}
{{- $expression := dict "key" .root.Values.controlPlane.nodeLabel "operator" (ternary "Exists" "DoesNotExist" .isControlPlane) }}
{{- $node := default dict $affinity.nodeAffinity }}
{{- $required := default dict $node.requiredDuringSchedulingIgnoredDuringExecution }}
{{- $terms := list }}
{{- range $term := default (list dict) $required.nodeSelectorTerms }}
{{- $expressions := append (default list $term.matchExpressions) $expression }}
{{- $terms = append $terms (merge (dict "matchExpressions" $expressions) $term) }}
{{- end }}
{{- $_ := set $node "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms) }}
{{- $_ := set $affinity "nodeAffinity" $node }}
{{- end }}
{{- toYaml $affinity }}
{{- end }}

{{- /* As deploy/prometheus/finding-labels.yaml. */ -}}
{{- define "tokenwatch.findingLabels" -}}
{{- $labels := dict "namespace" "k8s_namespace_name" "pod" "k8s_pod_name" }}
{{- $labels = merge $labels (dict "code" "tokenwatch_finding_code" "severity" "tokenwatch_finding_severity") }}
{{- range tuple "namespace" "pod" "code" "severity" }}
- sourceLabels: [__name__, {{ get $labels . }}]
  regex: tokenwatch_finding_info;(.*)
  targetLabel: {{ . }}
{{- end }}
{{- end }}

{{- /* The agent's configuration file. values.schema.json defines which settings `config` accepts. */ -}}
{{- define "tokenwatch.config" -}}
{{- $clock := dict }}
{{- with .Values.clock.servers }}{{ $_ := set $clock "servers" . }}{{ end }}
{{- $otlp := dict }}
{{- with .Values.otlp.endpoint }}{{ $_ := set $otlp "endpoint" . }}{{ $_ := set $otlp "protocol" $.Values.otlp.protocol }}{{ end }}
{{- if .Values.otlp.tls.secret }}{{ $_ := set $otlp "ca_file" "/etc/tokenwatch/tls/ca.crt" }}{{ end }}
{{- if and .Values.otlp.tls.secret .Values.otlp.tls.client }}
{{- $_ := set $otlp "client_cert_file" "/etc/tokenwatch/tls/tls.crt" }}
{{- $_ := set $otlp "client_key_file" "/etc/tokenwatch/tls/tls.key" }}
{{- end }}
{{- $config := dict
  "host_prefix" "/host"
  "roots" .Values.kubelet.rootDirs
  "kubernetes" (dict "enabled" .Values.kubernetes.enabled "events" .Values.kubernetes.events "account_watch" .Values.kubernetes.accountWatch "controller_lease" .Values.kubernetes.controllerLease "pod_events" .Values.kubernetes.podEvents)
  "kubelet" (dict "journal" .Values.kubelet.journal "metrics" .Values.kubelet.metrics)
  "copies" (dict "enabled" .Values.copies.enabled)
  "readers" (dict "enabled" .Values.readers.enabled)
  "http" (dict "enabled" .Values.http.enabled "port" (int .Values.http.port))
  "log" (dict "level" .Values.log.level "format" .Values.log.format) }}
{{- with .Values.readers.verifiers }}{{ $_ := set $config.readers "verifiers" . }}{{ end }}
{{- with .Values.kubelet.logs }}{{ $_ := set $config.kubelet "logs" . }}{{ end }}
{{- if .Values.kubelet.metrics }}
{{- with .Values.kubelet.metricsCertificate }}{{ $_ := set $config.kubelet "metrics_certificate" . }}{{ end }}
{{- with .Values.kubelet.metricsCa }}{{ $_ := set $config.kubelet "metrics_ca" . }}{{ end }}
{{- end }}
{{- with $clock }}{{ $_ := set $config "clock" . }}{{ end }}
{{- with $otlp }}{{ $_ := set $config "otlp" . }}{{ end }}
{{- if .Values.state.enabled }}{{ $_ := set $config "state" (dict "dir" "/var/lib/tokenwatch") }}{{ end }}
{{- toYaml (mustMergeOverwrite $config (deepCopy .Values.config)) }}
{{- end }}

{{- /* Converts a size in the notation of the agent or of Kubernetes (4MiB, 48Mi, 64000000) to bytes. Returns 0 for anything else. */ -}}
{{- define "tokenwatch.bytes" -}}
{{- $units := dict "" 1 "B" 1 "k" 1e3 "kB" 1e3 "KB" 1e3 "M" 1e6 "MB" 1e6 "G" 1e9 "GB" 1e9
  "Ki" 1024 "KiB" 1024 "Mi" 1048576 "MiB" 1048576 "Gi" 1073741824 "GiB" 1073741824 }}
{{- $number := regexFind "^[0-9.]+" . }}
{{- $unit := trimPrefix $number . }}
{{- if hasKey $units $unit }}{{ mulf (float64 $number) (float64 (get $units $unit)) }}{{ else }}0{{ end }}
{{- end }}

{{- /* Undelivered alerts must fit into the container's memory. The agent does not know its limit, so the kernel would kill it before it drops an alert. */ -}}
{{- define "tokenwatch.validateMemory" -}}
{{- with dig "alerts" "memory" "" .Values.config }}
{{- $alerts := include "tokenwatch.bytes" (toString .) | float64 }}
{{- /* The bounds that the agent accepts. */}}
{{- if or (lt $alerts 65536.0) (gt $alerts 1073741824.0) }}
{{- fail (printf "config.alerts.memory is %s: must be 64KiB to 1GiB" .) }}
{{- end }}
{{- $limit := include "tokenwatch.bytes" (toString (dig "limits" "memory" "" (default dict $.Values.resources))) | float64 }}
{{- /* 16 MiB: the agent's memory without alerts (12 MB) and some headroom. */}}
{{- if and (gt $limit 0.0) (gt (addf $alerts 16777216.0) $limit) }}
{{- fail (printf "config.alerts.memory is %s. With the agent's own 16MiB, this is more than resources.limits.memory, %v: the kernel would kill the agent" . $.Values.resources.limits.memory) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Mistakes in the address of the collector that would only show in the agents' logs. */ -}}
{{- define "tokenwatch.validateEndpoint" -}}
{{- $port := regexFind ":[0-9]+$" (index (splitList "/" .Values.otlp.endpoint) 2) }}
{{- if and (eq $port ":4318") (eq .Values.otlp.protocol "grpc") }}
{{- fail "otlp.endpoint has the port of OTLP/HTTP, 4318, and otlp.protocol is grpc: set otlp.protocol=http/protobuf, or use port 4317" }}
{{- end }}
{{- if and (eq $port ":4317") (eq .Values.otlp.protocol "http/protobuf") }}
{{- fail "otlp.endpoint has the port of OTLP/gRPC, 4317, and otlp.protocol is http/protobuf: set otlp.protocol=grpc, or use port 4318" }}
{{- end }}
{{- with regexFind "/v1/(traces|metrics|logs)/?$" .Values.otlp.endpoint }}
{{- fail (printf "otlp.endpoint ends in %s: write it without, because the agent appends the path of each signal" .) }}
{{- end }}
{{- end }}

{{- /* Checks that the schema cannot express: values that contradict each other. */ -}}
{{- define "tokenwatch.validate" -}}
{{- range $monitor := list "podMonitor" "serviceMonitor" }}
{{- if and (index $.Values $monitor).enabled (not $.Values.http.enabled) }}
{{- fail (printf "%s.enabled needs http.enabled: without it there is nothing to scrape" $monitor) }}
{{- end }}
{{- end }}
{{- if and .Values.otlp.tls.client (not .Values.otlp.tls.secret) }}
{{- fail "otlp.tls.client needs otlp.tls.secret: the Secret with tls.crt and tls.key" }}
{{- end }}
{{- if and .Values.otlp.headersSecret.name (not .Values.otlp.endpoint) }}
{{- fail "otlp.headersSecret.name needs otlp.endpoint: without it there is no request that has headers" }}
{{- end }}
{{- if .Values.otlp.endpoint }}{{- include "tokenwatch.validateEndpoint" . }}{{- end }}
{{- if and .Values.readers.verifiers (not (include "tokenwatch.seesProcesses" .)) }}
{{- fail "readers.verifiers needs privilege hostPID or fanotify: at the level files the agent sees no connections" }}
{{- end }}
{{- if and .Values.readers.verifiers (not .Values.readers.enabled) }}
{{- fail "readers.verifiers needs readers.enabled" }}
{{- end }}
{{- if and .Values.networkPolicy.enabled .Values.hostNetwork }}
{{- fail "networkPolicy.enabled has no effect with hostNetwork: a NetworkPolicy does not apply to pods on the node's network; http.enabled=false closes the port" }}
{{- end }}
{{- if and .Values.resourceQuota.enabled (not .Values.priorityClassName) }}
{{- fail "resourceQuota.enabled needs priorityClassName: the quota admits the pods of that class" }}
{{- end }}
{{- if and .Values.rbac.create .Values.kubernetes.enabled (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "serviceAccount.create=false needs serviceAccount.name, or rbac.create=false: otherwise every pod of the namespace without its own account would get the agent's rights" }}
{{- end }}
{{- if eq (toString .Values.enabled) "false" }}
{{- fail "enabled is for a parent chart that has this chart as a dependency with condition: tokenwatch.enabled; use helm uninstall to remove the release" }}
{{- end }}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{- if hasKey (default dict $.Values.commonLabels) $label }}
{{- fail (printf "commonLabels: the chart itself sets %s" $label) }}
{{- end }}
{{- end }}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" }}
{{- if hasKey (default dict $.Values.podLabels) $label }}
{{- fail (printf "podLabels: the DaemonSet selects its pods by %s" $label) }}
{{- end }}
{{- end }}
{{- range $labels := list "commonLabels" "podLabels" }}
{{- if and $.Values.controlPlane.enabled (hasKey (default dict (index $.Values $labels)) "app.kubernetes.io/component") }}
{{- fail (printf "%s: with controlPlane.enabled the chart itself sets app.kubernetes.io/component" $labels) }}
{{- end }}
{{- end }}
{{- if and .Values.kubernetes.podEvents (not .Values.kubernetes.enabled) }}
{{- fail "kubernetes.podEvents needs kubernetes.enabled" }}
{{- end }}
{{- if and .Values.kubelet.metrics (not .Values.kubernetes.enabled) }}
{{- fail "kubelet.metrics needs kubernetes.enabled: the agent shows kubelet the token of its service account" }}
{{- end }}
{{- if and .Values.kubelet.metrics (not .Values.kubelet.metricsCertificate) (not .Values.kubelet.metricsCa) }}
{{- fail "kubelet.metrics needs kubelet.metricsCertificate or kubelet.metricsCa: without them no certificate of kubelet is verified" }}
{{- end }}
{{- if and .Values.kubelet.logs (not .Values.kubelet.logHostPaths) }}
{{- fail "kubelet.logs needs kubelet.logHostPaths: the directories or files that are mounted" }}
{{- end }}
{{- if and .Values.controlPlane.enabled (not .Values.controlPlane.logs) (not .Values.controlPlane.journal) }}
{{- fail "controlPlane.enabled needs controlPlane.logs: the files with the log or the audit log of the API server; or controlPlane.journal" }}
{{- end }}
{{- include "tokenwatch.validateMemory" . }}
{{- end }}
