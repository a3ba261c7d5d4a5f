"""From settings to a driver: endpoints, rules, names."""

from typing import Any

import pytest

from callfleet_operator.model.settings import NumberClaim, ProxySettings
from callfleet_operator.ports.proxy import ProxyDatabaseUnavailable
from callfleet_operator.proxies import opening
from callfleet_operator.proxies.endpoints import fixed, headless
from callfleet_operator.proxies.errors import RpcError
from callfleet_operator.proxies.migrations import TABLE_VERSIONS, grants, steps


def settings(**more: Any) -> ProxySettings:
    given = {
        "name": "default",
        "driver": "kamailio",
        "endpoints": ["http://127.0.0.1:5066/RPC"],
        "databaseUrlFile": "/nowhere/url",
        "sipAddress": "127.0.0.1:5060",
    }
    return ProxySettings.model_validate(given | more)


@pytest.mark.parametrize(
    ("namespace", "number", "may"),
    [
        ("bank", "+4930", True),
        ("bank", "+15550100", True),
        ("guest", "+15550100", True),
        ("guest", "+4930", False),
    ],
)
def test_who_may_claim_what(namespace: str, number: str, may: bool) -> None:
    claims = [
        NumberClaim(namespaces=("bank",), prefixes=("",)),
        NumberClaim(namespaces=("*",), prefixes=("+1555", "+1556")),
    ]

    assert opening.allowed(claims, namespace, number) is may


async def test_a_driver_opens_without_anything_there() -> None:
    proxy = opening.open_proxy(settings(), installation="test")

    assert proxy.name == "default"
    with pytest.raises(ProxyDatabaseUnavailable, match="FileNotFoundError"):
        await proxy.observe()
    await proxy.close()


async def test_fixed_endpoints() -> None:
    assert await fixed(["http://a"])() == ("http://a",)


async def test_every_address_of_a_name_is_an_instance() -> None:
    found = await headless("localhost", 8888, "/mi")()

    assert "http://127.0.0.1:8888/mi" in found or "http://[::1]:8888/mi" in found


async def test_a_name_without_an_address_is_an_error_and_not_an_empty_list() -> None:
    with pytest.raises(RpcError, match="no address"):
        await headless("nobody.invalid", 8888, "/mi")()


async def test_a_service_that_cannot_be_found_confirms_nothing(tmp_path: Any) -> None:
    service = {"name": "proxy", "namespace": "nobody", "port": 5066}
    proxy = opening.open_proxy(settings(endpoints=[], service=service), installation="test")

    lost = await proxy._look()

    assert lost == {"endpoints": "the service has no address"}
    await proxy.close()


def test_system_clock() -> None:
    clock = opening.SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert clock.wall() > 1.7e9


async def test_system_clock_sleeps() -> None:
    await opening.SystemClock().sleep(0)


def test_steps_are_numbered_without_a_gap() -> None:
    assert [number for number, _ in steps()] == list(range(1, len(steps()) + 1))


def test_the_dialects_know_the_versions_that_migrations_make() -> None:
    for name, make in opening.DIALECTS.items():
        assert make().name == name
        assert make().table_versions == TABLE_VERSIONS[name]


def test_grants_quote_the_roles() -> None:
    statements = grants('ope"rator', "proxy")

    assert all('"ope""rator"' in s or '"proxy"' in s for s in statements)
    assert not any("CREATE" in s or "ALL" in s for s in statements)
