"""The Kubernetes adapter: client, reflectors and caches, lease, events, certificates.

Speaks raw JSON objects as dicts: models of the API cost four times the CPU and gain nothing here.
"""
