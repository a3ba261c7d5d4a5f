"""What is known and decided about one agent at one moment: gathered from caches, decided by policies.

Used by an agent's reconcile and by the rounds of its proxy, so that both always decide the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from callfleet_operator.model import VoiceAgent
from callfleet_operator.policies.address import sip_uri
from callfleet_operator.policies.rollout import shares
from callfleet_operator.policies.rows import Row, guard, wanted_rows
from callfleet_operator.policies.scaling import FleetPlan, plan_fleet
from callfleet_operator.policies.views import PodView, ReportView, Seen
from callfleet_operator.ports.clock import Clock
from callfleet_operator.ports.kinds import (
    DEPLOYMENT,
    NODE,
    POD,
    VOICE_AGENT,
    Manifest,
    name_of,
    namespace_of,
)
from callfleet_operator.ports.kube import Ref
from callfleet_operator.ports.pods import PodLink
from callfleet_operator.ports.proxy import AgentRows, RowState, WantedRow
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.dispatcher import ProxyMemory, RowMemory
from callfleet_operator.reconcile.errors import UnreadableError
from callfleet_operator.reconcile.keys import cordoned, proxy_of
from callfleet_operator.reconcile.views import pod_view, report_view, seen_views, timestamp
from callfleet_operator.resources.revision import revision_of
