{{/* The Secret with tls.crt, tls.key and ca.crt of the chart's own PostgreSQL and Redis; empty without TLS. */}}
{{- define "callfleet.storesSecret" -}}
{{- if and .Values.stores.tls.enabled (or .Values.postgresql.enabled .Values.redis.enabled) -}}
{{ .Values.stores.tls.secretName | default (printf "%s-stores-tls" .Release.Name) }}
{{- end -}}
{{- end }}

{{/* The CAs that verify the stores, as sources of one volume at /etc/callfleet/stores: ca.crt of the chart's own ones and
     own-ca.crt of yours; empty when there is none. */}}
{{- define "callfleet.storesCas" -}}
{{- with include "callfleet.storesSecret" . }}
- secret: {name: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- with .Values.stores.caSecretName }}
- secret: {name: {{ . }}, items: [{key: ca.crt, path: own-ca.crt}]}
{{- end }}
{{- end }}

{{- define "callfleet.storesMount" -}}
{{- if include "callfleet.storesCas" . }}
- {name: stores, mountPath: /etc/callfleet/stores, readOnly: true}
{{- end }}
{{- end }}

{{- define "callfleet.storesVolume" -}}
{{- with include "callfleet.storesCas" . }}
- name: stores
  projected:
    defaultMode: 0444
    sources: {{- . | nindent 6 }}
{{- end }}
{{- end }}

{{/* libpq's words, which asyncpg, Kamailio and OpenSIPS know too. Call with (dict "root" $ "own" bool): whether the
     database is one of your own. What a URL says is stronger. */}}
{{- define "callfleet.databaseEnv" -}}
{{- if .own }}
{{- with .root.Values.postgresql.external.sslMode }}
- {name: PGSSLMODE, value: {{ . }}}
{{- end }}
{{- if .root.Values.stores.caSecretName }}
- {name: PGSSLROOTCERT, value: /etc/callfleet/stores/own-ca.crt}
{{- end }}
{{- else if include "callfleet.storesSecret" .root }}
- {name: PGSSLMODE, value: verify-full}
- {name: PGSSLROOTCERT, value: /etc/callfleet/stores/ca.crt}
{{- end }}
{{- end }}
