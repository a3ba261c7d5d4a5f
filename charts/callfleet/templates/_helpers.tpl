{{/* Labels of every object. Call with (dict "root" $ "component" "operator"). */}}
{{- define "callfleet.labels" -}}
{{ include "callfleet.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: callfleet
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "callfleet.selector" -}}
app.kubernetes.io/name: {{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}

{{- define "callfleet.image" -}}
{{ .repository }}:{{ .tag }}
{{- end }}

{{- define "callfleet.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What restricted pod security asks of a pod and of a container. */}}
{{- define "callfleet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "callfleet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The Secret with the three ways into the proxy's database. */}}
{{- define "callfleet.databaseSecret" -}}
{{- if .Values.postgresql.enabled -}}
{{ .Release.Name }}-proxy-database
{{- else -}}
{{ required "postgresql.external.urlSecretName: name a Secret with owner-url, operator-url and proxy-url, or set postgresql.enabled" .Values.postgresql.external.urlSecretName }}
{{- end -}}
{{- end }}

{{- define "callfleet.proxyAddress" -}}
{{ required "proxy.address: give the address of a node on which callers reach the SIP proxy, for example --set proxy.address=10.0.0.5" .Values.proxy.address }}
{{- end }}

{{- define "callfleet.rpcPath" -}}
{{ eq .Values.proxy.driver "kamailio" | ternary "RPC" "mi" }}
{{- end }}

{{/* Image by engine: ours for the engines that `callfleet serve` has, unless another is named. */}}
{{- define "callfleet.poolImages" -}}
{{- $ours := include "callfleet.image" .Values.pools.engines.image -}}
{{- mergeOverwrite (dict "whisper" $ours "vosk" $ours "piper" $ours) .Values.pools.images | toJson -}}
{{- end }}

{{/* The operator's settings file. */}}
{{- define "callfleet.operatorSettings" -}}
installation: {{ .Values.installation }}
namespace: {{ .Release.Namespace }}
watchNamespaces: {{ .Values.operator.watchNamespaces | toJson }}
agentImage: {{ include "callfleet.image" .Values.agent.image }}
agentImagePullPolicy: {{ .Values.agent.image.pullPolicy }}
agentEgress: {{ .Values.agent.egress | toJson }}
metricsCidrs: {{ .Values.monitoring.metricsCidrs | toJson }}
pools:
  images: {{ include "callfleet.poolImages" . }}
  profiles: {{ .Values.pools.profiles | toJson }}
  # Mounting images is on by default from Kubernetes 1.35 on.
  imageVolumes: {{ ternary .Values.pools.imageVolumes (semverCompare ">=1.35.0-0" .Capabilities.KubeVersion.Version) (kindIs "bool" .Values.pools.imageVolumes) }}
  modelHostPaths: {{ .Values.pools.modelHostPaths | toJson }}
  {{- with .Values.pools.prometheusUrl }}
  prometheusUrl: {{ . | quote }}
  {{- end }}
logLevel: {{ .Values.operator.logLevel | upper }}
{{- with .Values.monitoring.traces.endpoint }}
tracesEndpoint: {{ . | quote }}
{{- end }}
{{- if .Values.platform.enabled }}
platform:
  {{- $services := list }}
  {{- range include "callfleet.platformRoles" . | fromJsonArray }}
  {{- if has .key (list "sessionManager" "contextStore" "banking") }}
  {{ .key }}: {{ .address | quote }}
  {{- end }}
  {{- $services = append $services (dict "role" .role "service" .name) }}
  {{- end }}
  ownBanks: {{ .Values.platform.ownBanks }}
  services: {{ $services | toJson }}
  clients: {{ .Values.platform.clients | toJson }}
{{- end }}
identities: {{ .Values.identities | toJson }}
lease: {name: {{ .Release.Name }}-operator, durationSeconds: 15, renewSeconds: 4}
proxies:
  - name: {{ .Values.proxy.name }}
    driver: {{ .Values.proxy.driver }}
    databaseUrlFile: /etc/callfleet/proxy-database/url
    {{- if .Values.proxy.enabled }}
    {{- $address := include "callfleet.proxyAddress" . }}
    endpoints: [{{ printf "http://%s:%v/%s" $address .Values.proxy.rpcPort (include "callfleet.rpcPath" .) | quote }}]
    sourceCidrs: [{{ printf "%s/32" $address | quote }}]
    sipAddress: {{ printf "%s:%v" $address .Values.proxy.sipPort | quote }}
    {{- else }}
    endpoints: {{ required "proxy.external.endpoints: give the RPC endpoints of your SIP proxy, or set proxy.enabled" .Values.proxy.external.endpoints | toJson }}
    sourceCidrs: {{ required "proxy.external.sourceCidrs: give the networks that your SIP proxy calls from" .Values.proxy.external.sourceCidrs | toJson }}
    trustedCallerId: {{ .Values.proxy.external.trustedCallerId }}
    sipAddress: {{ printf "%s:%v" (include "callfleet.proxyAddress" .) .Values.proxy.sipPort | quote }}
    {{- end }}
    {{- if .Values.rtpengine.enabled }}
    relayCidrs: [{{ printf "%s/32" (.Values.rtpengine.address | default (include "callfleet.proxyAddress" .)) | quote }}]
    {{- end }}
    setIds: {first: {{ .Values.proxy.setIds.first }}, last: {{ .Values.proxy.setIds.last }}}
    numberClaims: {{ .Values.proxy.numberClaims | toJson }}
    probeIntervalSeconds: {{ .Values.proxy.probeIntervalSeconds }}
{{- end }}
