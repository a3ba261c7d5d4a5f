"""The objects that an agent consists of, as pure functions of its spec and of facts.

This package owns names, labels and every field that the operator applies: spec in, manifests out,
no client and no clock. What is built is canonical, so that applying it, reading it back and asking
`is_subset` gives true; a test does that with each builder on a real API server.
"""

from typing import Any

Manifest = dict[str, Any]
"""One Kubernetes object as it is on the wire."""
