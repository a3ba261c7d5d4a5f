"""One real Kubernetes node on this machine, without Docker.

Everything it makes is under one folder of the cache, on two bridges, and in chains, cgroups and
folders with known names, so that `down` can take all of it away again.
"""
