"""What every kind that scales has in common."""

from .schema import Rule

REPLICAS_IN_ORDER = Rule(
    cel="self.minReplicas <= self.maxReplicas",
    message="must not be above maxReplicas; lower it or raise maxReplicas",
    field_path=".minReplicas",
    holds=lambda s: s.min_replicas <= s.max_replicas,
)
