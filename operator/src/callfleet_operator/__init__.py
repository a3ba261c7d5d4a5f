"""Callfleet's Kubernetes operator."""
