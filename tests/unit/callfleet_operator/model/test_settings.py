"""The operator's settings file."""

from pathlib import Path
from typing import Any

import pytest

from callfleet_operator.model import ManifestError, load_settings, read_settings
from vectors.manifests.table import merged

SETTINGS = """
installation: callfleet
namespace: callfleet-system
agentImage: localhost/callfleet/agent:dev
proxies:
- name: default
  driver: kamailio
  endpoints: ["http://10.89.0.1:5066/RPC"]
  databaseUrlFile: /etc/callfleet/proxy-database/url
  sourceCidrs: ["10.89.0.1/32"]
  sipAddress: "10.89.0.1:5060"
  setIds: {first: 1000, last: 1999}
  numberClaims: [{namespaces: ["*"], prefixes: [""]}]
lease: {name: callfleet-operator, durationSeconds: 15, renewSeconds: 4}
"""
PROXY = {
    "driver": "opensips",
    "endpoints": ["http://10.0.0.1:8888/mi"],
    "databaseUrlFile": "/etc/callfleet/url",
    "sipAddress": "10.0.0.1:5060",
}


def test_settings_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS)
    settings = read_settings(path)
    proxy = settings.proxy("default")
    assert proxy is not None
    assert (proxy.driver, proxy.endpoints) == ("kamailio", ("http://10.89.0.1:5066/RPC",))
    assert settings.lease.renew_seconds == 4
    assert settings.proxy("other") is None


def test_one_thing_must_be_said() -> None:
    settings = load_settings({"agentImage": "agent:1"})
    assert (settings.namespace, settings.proxies) == ("callfleet-system", ())
    with pytest.raises(ManifestError, match="agentImage: is required; add it"):
        load_settings({})


BANKING = "callfleet-banking.callfleet-system.svc:7443"


@pytest.mark.parametrize(
    ("platform", "refuses"),
    [
        (None, False),
        ({}, False),
        ({"banking": BANKING}, False),
        ({"banking": BANKING, "ownBanks": "allow"}, False),
        ({"banking": BANKING, "ownBanks": "refuse"}, True),
        ({"ownBanks": "refuse"}, False),  # nobody keeps an audit log that could be complete
    ],
)
def test_banks_of_agents_own_are_refused_where_a_service_asks_one_for_them(
    platform: dict[str, str] | None, refuses: bool
) -> None:
    settings = load_settings({"agentImage": "agent:1", "platform": platform})
    assert settings.refuses_own_banks is refuses


def proxy(**change: Any) -> dict[str, Any]:
    return {"agentImage": "agent:1", "proxies": [merged(PROXY, change)]}


SERVICE = {"name": "sip", "namespace": "voice", "port": 5066}


def test_instances_of_a_proxy_can_be_a_service() -> None:
    settings = load_settings(proxy(endpoints=None, service=SERVICE))
    assert settings.proxies[0].service is not None
    assert settings.proxies[0].service.path == ""


@pytest.mark.parametrize(
    ("settings", "field", "advice"),
    [
        (
            {
                "agentImage": "agent:1",
                "identities": {"leafSeconds": 3599, "certManager": {"name": "ca"}},
            },
            "identities.leafSeconds",
            "must be 3600 or more with certManager",
        ),
        (
            {"agentImage": "agent:1", "agentEgress": {"cidrs": ["10.0.0.1/8"]}},
            "agentEgress.cidrs[0]",
            "no bits set",
        ),
        (proxy(driver="asterisk"), "proxies[0].driver", "must be 'kamailio' or 'opensips'"),
        (proxy(endpoints=[]), "proxies[0].endpoints", "either endpoints or service"),
        (proxy(service=SERVICE), "proxies[0].endpoints", "either endpoints or service"),
        (
            proxy(endpoints=["http://a.example", "http://a.example"]),
            "proxies[0].endpoints[1]",
            "is there twice",
        ),
        (proxy(sourceCidrs=["10.0.0.1/8"]), "proxies[0].sourceCidrs[0]", "a network like"),
        (
            proxy(sourceCidrs=[], trustedCallerId=True),
            "proxies[0].trustedCallerId",
            "needs sourceCidrs",
        ),
        (proxy(sourceCidrs=["somewhere"]), "proxies[0].sourceCidrs[0]", "a network like"),
        (proxy(setIds={"first": 9, "last": 8}), "proxies[0].setIds.first", "not be above last"),
        (proxy(databaseUrlFile="url"), "proxies[0].databaseUrlFile", "must match"),
        (proxy(sipAddress="10.0.0.1"), "proxies[0].sipAddress", "must match"),
        (
            {"agentImage": "agent:1", "proxies": [PROXY, PROXY]},
            "proxies[1]",
            "is there twice",
        ),
        (
            {"agentImage": "a", "lease": {"durationSeconds": 8, "renewSeconds": 4}},
            "lease.renewSeconds",
            "less than half of durationSeconds",
        ),
        ({"agentImage": "a", "agentimage": "b"}, "agentimage", "is agentImage meant?"),
    ],
)
def test_bad_settings_are_refused_with_their_field(
    settings: dict[str, Any], field: str, advice: str
) -> None:
    with pytest.raises(ManifestError) as refusal:
        load_settings(settings)
    found = {problem.path: problem.advice for problem in refusal.value.problems}
    assert advice in found[field]


def test_networks_are_canonical() -> None:
    settings = load_settings(proxy(sourceCidrs=["fd00:0::/64", "10.0.0.1"]))
    assert settings.proxies[0].source_cidrs == ("fd00::/64", "10.0.0.1/32")
