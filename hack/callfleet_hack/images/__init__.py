"""Callfleet's container images, built by Docker or buildah from the same Dockerfiles."""
