{{/* The platform's services: one list of dicts (role, key, values, stored, banked) of those that are deployed. */}}
{{- define "callfleet.platformRoles" -}}
{{- $all := list
  (dict "role" "session-manager" "key" "sessionManager" "stored" true "banked" false)
  (dict "role" "context-store" "key" "contextStore" "stored" true "banked" false)
  (dict "role" "banking" "key" "banking" "stored" true "banked" true)
  (dict "role" "llm" "key" "llm" "stored" true "banked" true)
  (dict "role" "vad" "key" "vad" "stored" false "banked" false)
  (dict "role" "asr" "key" "asr" "stored" false "banked" false)
  (dict "role" "tts" "key" "tts" "stored" false "banked" false)
  (dict "role" "ai-voice-connector" "key" "aiVoiceConnector" "stored" true "banked" true "journal" true) -}}
{{- $roles := list -}}
{{- if .Values.platform.enabled -}}
{{- $bank := include "callfleet.bankUrl" . -}}
{{- range $all -}}
{{- $values := index $.Values.platform.roles .key -}}
{{- if and $values.enabled (not (and .banked (not $bank))) -}}
{{- $name := printf "%s-%s" $.Release.Name .role -}}
{{- $address := printf "%s.%s.svc:7443" $name $.Release.Namespace -}}
{{- $roles = append $roles (merge (dict "values" $values "name" $name "address" $address) .) -}}
{{- else if and $values.enabled (ne .key "banking") -}}
{{- fail (printf "platform.roles.%s needs a bank: give platform.bank.url" .key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $roles | toJson -}}
{{- end }}

{{- define "callfleet.bankUrl" -}}
{{- if .Values.platform.bank.url -}}
{{ .Values.platform.bank.url }}
{{- else if .Values.demoBank.enabled -}}
{{ printf "http://%s-demo-bank.%s.svc" .Release.Name .Release.Namespace }}
{{- end -}}
{{- end }}

{{/* The Secret with owner-url and services-url. */}}
{{- define "callfleet.storeSecret" -}}
{{ .Values.platform.database.urlSecretName | default (include "callfleet.databaseSecret" .) }}
{{- end }}

{{- define "callfleet.redisSecret" -}}
{{- if .Values.redis.enabled -}}
{{ .Release.Name }}-redis
{{- else -}}
{{ required "redis.external.urlSecretName: name a Secret with the key url, or set redis.enabled" .Values.redis.external.urlSecretName }}
{{- end -}}
{{- end }}

{{- define "callfleet.sealingSecret" -}}
{{ .Values.platform.sealingKeys.secretName | default (printf "%s-sealing-keys" .Release.Name) }}
{{- end }}

{{/* A value of a Secret that is there already, or a new one. Call with (dict "old" $secret "key" "name"). */}}
{{- define "callfleet.kept" -}}
{{- $found := dig "data" .key "" (.old | default dict) -}}
{{- if $found }}{{ $found | b64dec }}{{ else }}{{ .new | default (randAlphaNum 32) }}{{ end -}}
{{- end }}

{{/* What the tables of calls are made and kept with. Call with (dict "root" $ "name" … "args" (list …)). */}}
{{- define "callfleet.storageContainer" -}}
- name: {{ .name }}
  image: {{ include "callfleet.image" .root.Values.agent.image }}
  imagePullPolicy: {{ .root.Values.agent.image.pullPolicy }}
  args: {{ .args | toJson }}
  env:
    - name: CALLFLEET_DATABASE_URL
      valueFrom: {secretKeyRef: {name: {{ include "callfleet.storeSecret" .root }}, key: {{ .ownerKey | default "owner-url" }}}}
    {{- if .services }}
    - name: CALLFLEET_SERVICES_DATABASE_URL
      valueFrom: {secretKeyRef: {name: {{ include "callfleet.storeSecret" .root }}, key: services-url}}
    {{- end }}
    {{- $own := or .root.Values.platform.database.urlSecretName (not .root.Values.postgresql.enabled) }}
    {{- include "callfleet.databaseEnv" (dict "root" .root "own" $own) | nindent 4 }}
    {{- if .sealing }}
    - {name: CALLFLEET_SEALING_KEYS, value: /etc/callfleet/sealing}
    {{- end }}
  {{- with .readiness }}
  readinessProbe: {{- toYaml . | nindent 4 }}
  {{- end }}
  resources:
    requests: {cpu: 10m, memory: 32Mi}
    limits: {memory: 512Mi}
  securityContext: {{- include "callfleet.containerSecurity" .root | nindent 4 }}
  volumeMounts:
    - {name: {{ .tmp | default "tmp" }}, mountPath: /tmp}
    {{- include "callfleet.storesMount" .root | nindent 4 }}
    {{- if .sealing }}
    - {name: sealing, mountPath: /etc/callfleet/sealing, readOnly: true}
    {{- end }}
    {{- if .archive }}
    - {name: archive, mountPath: /archive}
    {{- end }}
{{- end }}

{{/* What proves the services to the bank and the bank to them, as sources of one volume; empty when nothing does. */}}
{{- define "callfleet.bankSecrets" -}}
{{- with .Values.platform.bank -}}
{{- if and .oauth.tokenUrl (not .credentialsSecretName) }}
{{- fail "platform.bank.oauth needs platform.bank.credentialsSecretName, whose keys get the tokens" }}
{{- end }}
{{- if and .certificateSecretName (not (hasPrefix "https://" .url)) }}
{{- fail "platform.bank.certificateSecretName is of use with https only: give an https platform.bank.url" }}
{{- end }}
{{- if .oauth.tokenUrl }}
- secret: {name: {{ .credentialsSecretName }}, items: [{key: clientId, path: clientId}]}
- secret:
    name: {{ .credentialsSecretName }}
    items: [{key: clientSecret, path: clientSecret}]
    optional: {{ ne .certificateSecretName "" }}
{{- else if .credentialsSecretName }}
- secret: {name: {{ .credentialsSecretName }}, items: [{key: token, path: token}]}
{{- end }}
{{- with .certificateSecretName }}
- secret: {name: {{ . }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
{{- end }}
{{- with .caSecretName }}
- secret: {name: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end -}}
{{- end }}
