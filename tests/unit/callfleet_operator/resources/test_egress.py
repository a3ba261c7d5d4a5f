"""Whom an agent's pods may reach."""

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
from callfleet_operator.resources.desired import desired
from callfleet_operator.resources.facts import (
    Facts,
    OperatorFacts,
    PlatformAddresses,
    operator_facts,
)
from callfleet_operator.resources.revision import controller_revision, rendered, revision_of
from vectors.manifests.table import SMALLEST, good_manifests, merged

PROXY = {"ipBlock": {"cidr": "10.1.0.1/32"}}
RELAY = {"ipBlock": {"cidr": "10.2.0.1/32"}}
DNS = {
    "ports": [
        {"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53},
        {"protocol": "UDP", "port": 5353}, {"protocol": "TCP", "port": 5353},
    ]
}  # fmt: skip
TCP = [{"protocol": "TCP", "port": 1, "endPort": 65535}]
UDP = [{"protocol": "UDP", "port": 1024, "endPort": 65535}]


def operator(**more: Any) -> OperatorFacts:
    known: dict[str, Any] = {
        "namespace": "callfleet-system",
        "agent_image": "agent:1",
        "sip_cidrs": ("10.1.0.1/32",),
        "relay_cidrs": ("10.2.0.1/32",),
        "sip_address": "10.1.0.1:5060",
        "restrict_egress": True,
    }
    return OperatorFacts(**{**known, **more})


def agent(bank: str | None = "http://192.0.2.7:8080", **spec: Any) -> VoiceAgent:
    spec = {"sip": {"media": "relay"}, "banking": {"url": bank}, **spec}
    change = {"metadata": {"name": "card-line", "namespace": "bank", "uid": "u-1"}, "spec": spec}
    return load_voice_agent(merged(SMALLEST["VoiceAgent"], change))


def plan(*revisions: str) -> FleetPlan:
    return FleetPlan({each: RevisionPlan("", "", wanted=1, replicas=1) for each in revisions})


def policy(
    subject: VoiceAgent,
    settings: OperatorFacts | None = None,
    pools: dict[str, ProviderPool] | None = None,
    **more: Any,
) -> dict[str, Any]:
    told = {"operator": settings or operator(), "plan": plan(revision_of(subject)), **more}
    manifests = desired(subject, pools or {}, Facts(**told))
    (found,) = [item for item in manifests if item["kind"] == "NetworkPolicy"]
    spec: dict[str, Any] = found["spec"]
    return spec


def rules(subject: VoiceAgent, settings: OperatorFacts | None = None, **more: Any) -> list[Any]:
    """Without DNS, which is always first."""
    first, *rest = policy(subject, settings, **more)["egress"]
    assert first == DNS
    return list(rest)


def at(port: int, *peers: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"ports": [{"protocol": "TCP", "port": port}]}
    return {**rule, "to": list(peers)} if peers else rule


def inside(namespace: str) -> dict[str, Any]:
    labels = {"kubernetes.io/metadata.name": namespace}
    return {"ports": TCP, "to": [{"namespaceSelector": {"matchLabels": labels}}]}


BANK = at(8080, {"ipBlock": {"cidr": "192.0.2.7/32"}})


def test_the_proxy_the_relay_and_the_bank_and_nobody_else() -> None:
    assert rules(agent()) == [{"to": [PROXY]}, {"ports": UDP, "to": [RELAY]}, BANK]
    assert policy(agent())["policyTypes"] == ["Ingress", "Egress"]


def test_what_is_not_restricted_has_no_rules() -> None:
    spec = policy(agent(), operator(restrict_egress=False))
    assert spec["policyTypes"] == ["Ingress"]
    assert "egress" not in spec


def test_direct_audio_goes_to_callers_anywhere() -> None:
    assert rules(agent(sip={"media": "direct"}))[1] == {"ports": UDP}


def test_audio_goes_anywhere_while_nobody_knows_the_relay() -> None:
    assert rules(agent(), operator(relay_cidrs=()))[1] == {"ports": UDP}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.1.0.1:5060", [{"to": [PROXY]}]),
        ("192.0.2.1:5060", [{"to": [PROXY, {"ipBlock": {"cidr": "192.0.2.1/32"}}]}]),
        ("[fd00::1]:5060", [{"to": [PROXY, {"ipBlock": {"cidr": "fd00::1/128"}}]}]),
        (
            "sip.example:5070",
            [
                {"to": [PROXY]},
                {"ports": [{"protocol": "UDP", "port": 5070}, {"protocol": "TCP", "port": 5070}]},
            ],
        ),
        ("", [{"to": [PROXY]}]),
    ],
)
def test_the_proxy_is_reached_where_it_sends_from_and_where_it_says_it_is(
    address: str, found: list[Any]
) -> None:
    assert rules(agent(), operator(sip_address=address))[: len(found)] == found


def test_a_proxy_without_networks_may_be_anywhere() -> None:
    anywhere = [{"protocol": "UDP", "port": 1, "endPort": 65535}, *TCP]
    assert rules(agent(), operator(sip_cidrs=()))[0] == {"ports": anywhere}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://bank.example", [inside("example"), at(443)]),
        ("https://api.bank.example", [at(443)]),
        ("http://api.bank.example/v1", [at(80)]),
        ("https://api.bank.example:8443", [at(8443)]),
        ("http://192.0.2.7", [at(80, {"ipBlock": {"cidr": "192.0.2.7/32"}})]),
        ("http://[2001:db8::7]:81", [at(81, {"ipBlock": {"cidr": "2001:db8::7/128"}})]),
        ("http://api.core.svc", [inside("core")]),
        ("http://api.core.svc.cluster.local.:8080", [inside("core")]),
        ("http://api", [{"ports": TCP, "to": [{"podSelector": {}}]}]),
    ],
)
def test_where_a_url_leads(url: str, found: list[Any]) -> None:
    assert rules(agent(bank=url))[2:] == found


def test_a_bank_that_gives_tokens_is_reached_where_it_gives_them() -> None:
    banking = {
        "url": "https://api.bank.example",
        "credentialsSecretName": "bank",
        "oauth": {"tokenUrl": "https://login.bank.example:8443/token"},
    }
    assert rules(agent(banking=banking))[2:] == [at(443), at(8443)]


def test_names_outside_lead_to_the_networks_that_are_given() -> None:
    network = {"ipBlock": {"cidr": "198.51.100.0/24"}}
    given = operator(egress_cidrs=("198.51.100.0/24",))
    assert rules(agent(bank="https://api.bank.example"), given)[2:] == [at(443, network)]
    assert rules(agent(), given)[2:] == [BANK]


def test_the_services_and_the_collector() -> None:
    services = PlatformAddresses(
        "sessions.voice.svc:7443", "contexts.voice.svc:7443", "banking.voice.svc:7443"
    )
    given = operator(services=services, traces_endpoint="http://collector.observability.svc:4317")
    found = rules(agent(bank=None), given)[2:]
    assert found == [inside("voice"), inside("observability")]


POOLS = {
    item["metadata"]["name"]: load_provider_pool(item)
    for item in good_manifests()
    if item["kind"] == "ProviderPool"
}


def chosen(hosting: str) -> ProviderPool:
    return next(pool for pool in POOLS.values() if pool.spec.hosting == hosting)


def test_a_pool_of_ours_is_reached_at_its_port() -> None:
    pool = chosen("managed")
    name, stage = pool.metadata.name, str(pool.spec.capability)
    found = rules(agent(providers={stage: [{"pool": name}]}), pools=POOLS)
    (rule,) = [item for item in found if "podSelector" in (item.get("to") or [{}])[0]]
    assert rule["to"] == [
        {
            "podSelector": {
                "matchLabels": {
                    "app.kubernetes.io/name": "providerpool",
                    "callfleet.io/pool": name,
                }
            }
        }
    ]
    assert [port["protocol"] for port in rule["ports"]] == ["TCP"]


def test_a_provider_outside_is_reached_at_its_urls_port() -> None:
    assert POOLS["service"].spec.hosting == "external"
    subject = agent(providers={"llm": [{"pool": "service"}]})
    found = [at(443), inside("example"), BANK]
    assert sorted(rules(subject, pools=POOLS)[2:], key=str) == sorted(found, key=str)


def former(spec: VoiceAgent) -> dict[str, Any]:
    revision = revision_of(spec)
    content = rendered(spec, revision, {}, operator())
    assert content is not None
    return {revision: controller_revision(spec, revision, content)}


def test_pods_of_a_former_revision_reach_what_they_were_told() -> None:
    old, new = agent(bank="http://192.0.2.9:9000", sip={"media": "direct"}), agent()
    both = plan(revision_of(new), revision_of(old))

    found = rules(new, plan=both, revisions=former(old))

    assert found == [
        {"to": [PROXY]}, {"ports": UDP}, BANK, at(9000, {"ipBlock": {"cidr": "192.0.2.9/32"}}),
    ]  # fmt: skip


def test_pods_of_which_nobody_knows_what_they_were_told_are_not_cut_off() -> None:
    both = plan(revision_of(agent()), "0123456789")
    assert "egress" not in policy(agent(), plan=both)


def test_restricting_pods_makes_no_new_revision() -> None:
    manifests = [
        desired(agent(), {}, Facts(operator(restrict_egress=on), plan(revision_of(agent()))))
        for on in (False, True)
    ]
    changed = [new["kind"] for old, new in zip(*manifests, strict=True) if old != new]
    assert changed == ["NetworkPolicy"]


def test_what_the_settings_say() -> None:
    proxy = {
        "driver": "kamailio",
        "endpoints": ["http://10.0.0.1:5066/RPC"],
        "databaseUrlFile": "/etc/callfleet/url",
        "sipAddress": "10.1.0.1:5060",
    }
    read = operator_facts(load_settings({"agentImage": "agent:1", "proxies": [proxy]}), "default")
    assert (read.restrict_egress, read.egress_cidrs) == (True, ())
    assert read.sip_address == "10.1.0.1:5060"

    given = {"restricted": False, "cidrs": ["198.51.100.0/24"]}
    read = operator_facts(load_settings({"agentImage": "agent:1", "agentEgress": given}), "x")
    assert (read.restrict_egress, read.egress_cidrs) == (False, ("198.51.100.0/24",))
    assert read.sip_address == ""
