"""Everything that shall exist for an agent."""

import base64
from typing import Any

import pytest

from callfleet_operator.model import (
    ProviderPool,
    VoiceAgent,
    load_provider_pool,
    load_settings,
    load_voice_agent,
)
from callfleet_operator.policies.scaling import FleetPlan, RevisionPlan
from callfleet_operator.resources import names
from callfleet_operator.resources.apply import HASH_ANNOTATION, manifest_hash
from callfleet_operator.resources.desired import desired
from callfleet_operator.resources.facts import Facts, OperatorFacts, operator_facts
from callfleet_operator.resources.revision import controller_revision, rendered, revision_of
from callfleet_operator.resources.settings import live_of
from vectors.manifests.table import SMALLEST, merged

OPERATOR = OperatorFacts("callfleet-system", "agent:1")


def agent(**spec: Any) -> VoiceAgent:
    change = {"metadata": {"name": "card-line", "namespace": "bank", "uid": "u-1"}, "spec": spec}
    return load_voice_agent(merged(SMALLEST["VoiceAgent"], change))


def pool(**spec: Any) -> ProviderPool:
    return load_provider_pool(merged(SMALLEST["ProviderPool"], {"spec": spec}))


def plan(**replicas: int) -> FleetPlan:
    return FleetPlan(
        {
            revision: RevisionPlan("", "", wanted=number, replicas=number)
            for revision, number in replicas.items()
        }
    )


def facts(subject: VoiceAgent, replicas: int = 2, **more: Any) -> Facts:
    return Facts(**{"operator": OPERATOR, "plan": plan(**{revision_of(subject): replicas}), **more})


def built(
    subject: VoiceAgent, kind: str, pools: dict[str, ProviderPool] | None = None, **more: Any
) -> dict[str, Any]:
    return next(
        manifest
        for manifest in desired(subject, pools or {}, facts(subject, **more))
        if manifest["kind"] == kind and not manifest.get("immutable")
    )


def test_what_there_is_and_in_which_order() -> None:
    kinds = [manifest["kind"] for manifest in desired(agent(), {}, facts(agent()))]
    assert kinds == [
        "ServiceAccount",
        "NetworkPolicy",
        "Service",
        "PodDisruptionBudget",
        "ConfigMap",
        "ControllerRevision",
        "ConfigMap",
        "Deployment",
    ]


def test_everything_is_labelled_owned_and_hashed() -> None:
    for manifest in desired(agent(), {}, facts(agent(), provider_keys={"a": "k"})):
        metadata = manifest["metadata"]
        assert metadata["namespace"] == "bank"
        assert metadata["labels"]["callfleet.io/agent"] == "card-line"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "callfleet-operator"
        assert metadata["ownerReferences"][0]["uid"] == "u-1"
        assert metadata["ownerReferences"][0]["controller"] is True
        assert metadata["annotations"][HASH_ANNOTATION] == manifest_hash(manifest)


def test_the_same_arguments_give_the_same_objects() -> None:
    assert desired(agent(), {}, facts(agent())) == desired(agent(), {}, facts(agent()))


def test_a_deployment_for_each_revision() -> None:
    old = agent(dialog={"bankName": "Old Bank"})
    revision, former = revision_of(agent()), revision_of(old)
    content = rendered(old, former, {}, OPERATOR)
    assert content is not None
    kept = {former: controller_revision(old, former, content)}
    both = facts(agent(), plan=plan(**{revision: 1, former: 3}), revisions=kept)
    found = {
        manifest["metadata"]["name"]: manifest["spec"]["replicas"]
        for manifest in desired(agent(), {}, both)
        if manifest["kind"] == "Deployment"
    }
    assert found == {f"card-line-{revision}": 1, f"card-line-{former}": 3}


def test_a_deployment_selects_the_pods_of_its_revision_only() -> None:
    found = built(agent(), "Deployment")
    labels = found["spec"]["template"]["metadata"]["labels"]
    selector = found["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert selector["callfleet.io/revision"] == revision_of(agent())
    assert found["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_a_former_revision_that_cannot_be_rendered_is_left_alone() -> None:
    both = facts(agent(), plan=plan(**{revision_of(agent()): 1, "0123456789": 2}))
    names_ = [manifest["metadata"]["name"] for manifest in desired(agent(), {}, both)]
    assert not any("0123456789" in name for name in names_)


def test_settings_never_change_under_their_name() -> None:
    found = next(m for m in desired(agent(), {}, facts(agent())) if m.get("immutable"))
    assert found["metadata"]["name"] == names.settings_name(agent(), revision_of(agent()))
    assert load_voice_agent(found["data"]["agent.yaml"]).spec.capacity.calls_per_pod == 20


def test_live_settings_are_the_chains() -> None:
    found = built(agent(providers={"asr": [{"pool": "bad"}]}), "ConfigMap", {"bad": pool()})
    live = live_of(found)
    assert live is not None
    assert (live.generation, [member.pool for member in live.asr]) == (1, ["bad"])
    assert live_of(None) is None
    assert live_of({"data": {"providers.yaml": "asr: 5"}}) is None


def test_keys_of_providers_are_in_a_secret_and_nowhere_else() -> None:
    given = facts(agent(), provider_keys={"service": "top secret"})
    assert "top secret" not in repr(given)
    secret, *others = sorted(
        desired(agent(), {}, given), key=lambda manifest: manifest["kind"] != "Secret"
    )
    assert base64.b64decode(secret["data"]["service"]).decode() == "top secret"
    assert "top secret" not in str(others)
    assert not any(manifest["kind"] == "Secret" for manifest in others)


@pytest.mark.parametrize(("replicas", "minimum"), [(0, 0), (1, 0), (2, 1), (5, 4)])
def test_one_pod_may_always_be_evicted(replicas: int, minimum: int) -> None:
    found = built(agent(replicas=replicas), "PodDisruptionBudget")["spec"]
    assert found["minAvailable"] == minimum
    assert found["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_an_agent_that_is_refused_has_no_pods_to_keep() -> None:
    found = built(agent(replicas=5), "PodDisruptionBudget", refused=True)["spec"]
    assert found["minAvailable"] == 0


def test_pods_have_names_before_they_are_ready() -> None:
    found = built(agent(sip={"transports": ["UDP"]}), "Service")["spec"]
    assert (found["clusterIP"], found["publishNotReadyAddresses"]) == ("None", True)
    assert [port["name"] for port in found["ports"]] == ["sip-udp", "control", "http"]


def test_the_service_account_has_no_token() -> None:
    assert built(agent(), "ServiceAccount")["automountServiceAccountToken"] is False


class TestNetworkPolicy:
    NETWORKS = OperatorFacts(
        "callfleet-system",
        "agent:1",
        sip_cidrs=("10.1.0.0/16",),
        relay_cidrs=("10.2.0.0/16",),
        metrics_cidrs=("10.3.0.0/16",),
    )

    def rules(self, operator: OperatorFacts, **sip: Any) -> dict[int, Any]:
        found = built(agent(sip=sip), "NetworkPolicy", operator=operator)["spec"]
        assert found["policyTypes"] == ["Ingress"]
        return {rule["ports"][0]["port"]: rule.get("from") for rule in found["ingress"]}

    def test_sip_comes_from_the_proxy_only(self) -> None:
        assert self.rules(self.NETWORKS)[5060] == [{"ipBlock": {"cidr": "10.1.0.0/16"}}]

    def test_direct_audio_comes_from_anywhere(self) -> None:
        assert self.rules(self.NETWORKS, media="direct")[20000] is None

    def test_relayed_audio_comes_from_the_relay_only(self) -> None:
        found = self.rules(self.NETWORKS, media="relay")[20000]
        assert found == [{"ipBlock": {"cidr": "10.2.0.0/16"}}]

    def test_orders_come_from_the_operator_only(self) -> None:
        (peer,) = self.rules(self.NETWORKS)[7443]
        assert peer["namespaceSelector"]["matchLabels"] == {
            "kubernetes.io/metadata.name": "callfleet-system"
        }

    def test_metrics_are_for_the_cluster_and_named_networks(self) -> None:
        assert self.rules(self.NETWORKS)[8080] == [
            {"namespaceSelector": {}},
            {"ipBlock": {"cidr": "10.3.0.0/16"}},
        ]

    def test_without_known_networks_everybody_is_let_in(self) -> None:
        rules = self.rules(OPERATOR, media="relay")
        assert (rules[5060], rules[20000]) == (None, None)


def test_what_the_settings_of_the_operator_say() -> None:
    settings = load_settings(
        {
            "namespace": "voice",
            "agentImage": "agent:1",
            "metricsCidrs": ["10.3.0.0/16"],
            "proxies": [
                {
                    "driver": "kamailio",
                    "endpoints": ["http://10.0.0.1:5066/RPC"],
                    "databaseUrlFile": "/etc/callfleet/url",
                    "sipAddress": "10.0.0.1:5060",
                    "sourceCidrs": ["10.1.0.0/16"],
                    "relayCidrs": ["10.2.0.0/16"],
                }
            ],
        }
    )
    assert operator_facts(settings, "default") == OperatorFacts(
        "voice",
        "agent:1",
        "IfNotPresent",
        ("10.1.0.0/16",),
        ("10.2.0.0/16",),
        ("10.3.0.0/16",),
        sip_address="10.0.0.1:5060",
        restrict_egress=True,
    )
    unknown = operator_facts(settings, "other")
    assert (unknown.sip_cidrs, unknown.relay_cidrs, unknown.trusted_cidrs) == ((), (), ())
    proxy = settings.proxies[0].model_copy(update={"trusted_caller_id": True})
    vouching = settings.model_copy(update={"proxies": (proxy,)})
    assert operator_facts(vouching, "default").trusted_cidrs == ("10.1.0.0/16",)


def test_names() -> None:
    subject = agent()
    assert names.tls_secret_name(subject) == "card-line-tls"
    assert names.selector_text(subject) == (
        "app.kubernetes.io/name=voiceagent,callfleet.io/agent=card-line"
    )
