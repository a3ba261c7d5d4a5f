{{/*
The language model and the providers of llm and ai-voice-connector: which it is ("", "model" or "chains"), the chains as
`callfleet serve --providers` reads them, and the Secrets with their keys.
*/}}
{{- define "callfleet.answersBy" -}}
{{- $chains := .Values.platform.providers -}}
{{- $roles := .Values.platform.roles -}}
{{- $chained := or $chains.llm $chains.asr $chains.tts -}}
{{- if and .Values.platform.enabled (or .Values.platform.llm.url $chained) -}}
{{- if and .Values.platform.llm.url $chained -}}
{{- fail "platform.llm.url: and platform.providers exclude each other; name the model in platform.providers.llm" -}}
{{- end -}}
{{- if not (or $roles.llm.enabled $roles.aiVoiceConnector.enabled) -}}
{{- fail "platform.llm.url: nobody asks it (nor platform.providers); enable platform.roles.llm or aiVoiceConnector" -}}
{{- end -}}
{{- if and (or $chains.asr $chains.tts) (not $roles.aiVoiceConnector.enabled) -}}
{{- fail "platform.providers: asr and tts are for platform.roles.aiVoiceConnector, which is not enabled" -}}
{{- end -}}
{{- ternary "chains" "model" (not (empty $chained)) -}}
{{- else if and .Values.platform.enabled .Values.platform.llm.keySecret -}}
{{- fail "platform.llm.keySecret: needs platform.llm.url" -}}
{{- end -}}
{{- end }}

{{/* Call with (dict "root" $ "revision" 3). */}}
{{- define "callfleet.providers" -}}
{{- $live := dict "generation" .revision -}}
{{- range $stage := list "llm" "asr" "tts" -}}
{{- $members := list -}}
{{- $seen := list -}}
{{- range $place, $given := index $.root.Values.platform.providers $stage -}}
{{- $field := printf "platform.providers.%s[%d]" $stage $place -}}
{{- if has $given.name $seen -}}
{{- fail (printf "%s.name: %s is in the chain already" $field $given.name) -}}
{{- end -}}
{{- $seen = append $seen $given.name -}}
{{- $embedded := has $given.engine (list "sphinx" "espeak" "rules") -}}
{{- if and $embedded (or $given.endpoints $given.keySecret $given.caSecretName) -}}
{{- fail (printf "%s: %s runs inside the service: it has no endpoints, key or CA" $field $given.engine) -}}
{{- else if not (or $embedded $given.endpoints) -}}
{{- fail (printf "%s.endpoints: %s needs at least one" $field $given.engine) -}}
{{- end -}}
{{- $limits := dict "connectMs" 500 "firstByteMs" (ternary 2000 1500 (eq $stage "llm")) "gapMs" 1500 "totalMs" 10000 -}}
{{- $limits = merge dict ($given.limits | default dict) $limits -}}
{{- $member := merge (dict "pool" $given.name "hosting" (ternary "embedded" "external" $embedded) "limits" $limits) (omit $given "name" "keySecret" "caSecretName" "limits") -}}
{{- if $given.keySecret -}}
{{- $_ := set $member "keyFile" (printf "/etc/callfleet/providers/%s.%s" $stage $given.name) -}}
{{- end -}}
{{- if $given.caSecretName -}}
{{- $_ := set $member "caFile" (printf "/etc/callfleet/providers/%s.%s.ca.crt" $stage $given.name) -}}
{{- end -}}
{{- $members = append $members $member -}}
{{- end -}}
{{- $_ := set $live $stage $members -}}
{{- end -}}
{{- $live | toPrettyJson -}}
{{- end }}

{{/* Sources of the volume with their keys and CAs, as a list in JSON. */}}
{{- define "callfleet.providerSecrets" -}}
{{- $sources := list -}}
{{- with .Values.platform.llm.keySecret -}}
{{- $sources = append $sources (dict "secret" (dict "name" .name "items" (list (dict "key" .key "path" "llm")))) -}}
{{- end -}}
{{- range $stage := list "llm" "asr" "tts" -}}
{{- range index $.Values.platform.providers $stage -}}
{{- $file := printf "%s.%s" $stage .name -}}
{{- with .keySecret -}}
{{- $sources = append $sources (dict "secret" (dict "name" .name "items" (list (dict "key" .key "path" $file)))) -}}
{{- end -}}
{{- with .caSecretName -}}
{{- $items := list (dict "key" "ca.crt" "path" (printf "%s.ca.crt" $file)) -}}
{{- $sources = append $sources (dict "secret" (dict "name" . "items" $items)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $sources | toJson -}}
{{- end }}
