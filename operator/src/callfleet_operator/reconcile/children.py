"""The objects that an agent owns: which there shall be, and which are left over."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from callfleet_operator.identity.names import AGENT_SCOPES, agent_subject
from callfleet_operator.model import OperatorSettings
from callfleet_operator.ports.certificates import LeafIssuer, TokenIssuer
from callfleet_operator.ports.errors import NotFoundError
from callfleet_operator.ports.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    NETWORK_POLICY,
    POD,
    POD_DISRUPTION_BUDGET,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Manifest,
    kind_of,
    name_of,
)
from callfleet_operator.ports.kube import Ref
from callfleet_operator.reconcile.applied import Applied
from callfleet_operator.reconcile.facts import AgentFacts
from callfleet_operator.reconcile.pool_keys import PoolKeys
from callfleet_operator.reconcile.pools import pools_of, sharers
from callfleet_operator.reconcile.secrets import SecretShelf, owned_by
from callfleet_operator.reconcile.views import REVISION_LABEL, rfc3339, speaks_plain, timestamp
from callfleet_operator.resources.apply import with_hash
from callfleet_operator.resources.chains import LiveFacts
from callfleet_operator.resources.desired import desired
from callfleet_operator.resources.facts import Facts, operator_facts
from callfleet_operator.resources.names import (
    keys_secret_name,
    live_name,
    metadata,
    tls_secret_name,
    tokens_secret_name,
)
from callfleet_operator.resources.settings import live_of

# The order in which they go: pods must lose their Deployment first and their NetworkPolicy last.
OWNED: tuple[Kind, ...] = (
    DEPLOYMENT,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    CONFIG_MAP,
    CONTROLLER_REVISION,
    SERVICE_ACCOUNT,
    NETWORK_POLICY,
)
KEPT_REVISIONS = 5
LIVE_CHANGED = "callfleet.io/live-changed"


@dataclass
class Children:
    applied: Applied
    settings: OperatorSettings
    keys: PoolKeys
    issuer: LeafIssuer
    tokens: TokenIssuer
    secrets: SecretShelf

    def desired(self, facts: AgentFacts) -> list[Manifest]:
        """What shall be there, in the order in which it is applied."""
        agent = facts.agent
        pools = pools_of(agent, self.applied.store)
        return desired(
            agent,
            pools,
            Facts(
                operator=operator_facts(self.settings, agent.spec.sip.proxy),
                plan=facts.plan,
                revisions=self._stored(facts),
                provider_keys=self.keys.of(facts.ref.namespace, pools),
                refused=facts.refused,
                live=LiveFacts(
                    previous=live_of(self._live(facts)),
                    sharers=sharers(self.applied.store, facts.ref.namespace, pools),
                    plaintext=any(
                        map(
                            speaks_plain,
                            self.applied.of_agent(POD, facts.ref.namespace, facts.ref.name),
                        )
                    ),
                ),
            ),
        )

    async def apply(self, facts: AgentFacts) -> None:
        """Raises ChildrenError for what was refused, and what says that the server is away."""
        await self._certify(facts)
        before = self._live(facts)
        wanted = self.desired(facts)
        fresh = False
        for secret in [item for item in wanted if item["kind"] == SECRET.kind]:
            fresh |= await self.secrets.apply(secret)
        wanted = [item for item in wanted if item["kind"] != SECRET.kind]
        await self.applied.apply_all(wanted)
        names = {(manifest["kind"], name_of(manifest)) for manifest in wanted}
        for leftover in self._leftovers(facts, names):
            await self.applied.delete(leftover)
        after = self._live(facts)
        if before is not None and (fresh or after is None or before["data"] != after["data"]):
            await self._hurry(facts)

    async def _hurry(self, facts: AgentFacts) -> None:
        """A kubelet looks at a pod that changed at once, and at its volumes with it; by itself it
        looks every minute or so. A pod that is missed here is only later.
        """
        annotations = {LIVE_CHANGED: rfc3339(facts.now)}
        for pod in self.applied.of_agent(POD, facts.ref.namespace, facts.ref.name):
            if not pod["metadata"].get("deletionTimestamp"):
                ref = Ref(POD, facts.ref.namespace, name_of(pod))
                with suppress(NotFoundError):
                    await self.applied.patch(ref, {"metadata": {"annotations": annotations}})

    def _live(self, facts: AgentFacts) -> Manifest | None:
        return self.applied.get(CONFIG_MAP, facts.ref.namespace, live_name(facts.agent))

    def existing(self, facts: AgentFacts, kind: Kind) -> list[Manifest]:
        """Children of a kind: labelled, and owned by this very agent."""
        found = self.applied.of_agent(kind, facts.ref.namespace, facts.ref.name)
        return [item for item in found if owned_by(item, facts.uid)]

    def _stored(self, facts: AgentFacts) -> dict[str, Manifest]:
        revisions = self.existing(facts, CONTROLLER_REVISION)
        return {revision: item for item in revisions if (revision := revision_label(item))}

    async def remove_secrets(self, facts: AgentFacts) -> bool:
        """Whether there were any: Secrets, and what asks another to make one."""
        agent = facts.agent
        named = (
            (self.issuer.kind, tls_secret_name(agent)),
            (SECRET, tls_secret_name(agent)),
            (SECRET, tokens_secret_name(agent)),
            (SECRET, keys_secret_name(agent)),
        )
        removed = [
            await self.secrets.remove(facts.ref.namespace, name, facts.uid, kind)
            for kind, name in dict.fromkeys(named)
        ]
        return any(removed)

    async def _certify(self, facts: AgentFacts) -> None:
        """The certificate of the agent's pods and their tokens, made anew where what is there is
        not good."""
        namespace = facts.ref.namespace
        subject = agent_subject(namespace, facts.ref.name)
        name = tls_secret_name(facts.agent)
        live = await self.secrets.look(namespace, name, self.issuer.kind)
        await self._own(facts, self.issuer.issue(namespace, name, subject, live))
        if self.settings.platform is not None:
            name = tokens_secret_name(facts.agent)
            live = await self.secrets.look(namespace, name)
            made = self.tokens.tokens(namespace, name, subject, AGENT_SCOPES, live)
            await self._own(facts, made)

    async def _own(self, facts: AgentFacts, made: Manifest | None) -> None:
        if made is None:
            return
        ours = metadata(facts.agent, name_of(made))
        ours["annotations"] = made["metadata"].get("annotations") or {}
        await self.secrets.apply(with_hash(made | {"metadata": ours}))

    def _leftovers(self, facts: AgentFacts, names: set[tuple[str, str]]) -> Iterator[Manifest]:
        """Empty Deployments of former revisions, and revisions beyond those kept for rollback."""
        in_use = set(facts.plan.revisions) | {pod.revision for pod in facts.pods}
        kept = in_use | set(self._newest(facts))
        for kind in (DEPLOYMENT, CONTROLLER_REVISION, CONFIG_MAP):
            for item in self.existing(facts, kind):
                revision = revision_label(item)
                if not revision or (kind_of(item).kind, name_of(item)) in names:
                    continue
                if revision not in (in_use if kind == DEPLOYMENT else kept):
                    yield item

    def _newest(self, facts: AgentFacts) -> list[str]:
        stored = self._stored(facts)
        ages = {
            revision: timestamp(item["metadata"].get("creationTimestamp")) or 0.0
            for revision, item in stored.items()
        }
        return sorted(ages, key=lambda revision: -ages[revision])[:KEPT_REVISIONS]


def revision_label(manifest: Manifest) -> str:
    return str((manifest["metadata"].get("labels") or {}).get(REVISION_LABEL, ""))
