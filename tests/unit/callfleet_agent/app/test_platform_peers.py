"""How a process is told of the other replicas of its service."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from callfleet_agent.app.errors import SettingsError
from callfleet_agent.app.platform_settings import PlatformSettings
from callfleet_agent.app.replicas import among_replicas
from callfleet_agent.services.connector import ConnectorService
from callfleet_agent.services.ownership import own_host
from callfleet_agent.services.relaying import RelayingConnector
from identities import HOST, SERVICE, Authority


def told(folder: Path, **options: Any) -> PlatformSettings:
    given = {"roles": ("ai-voice-connector",), **options}
    return PlatformSettings(
        tls=folder, token_keys=Path("/jwks"), token_issuer="x", bank_url="https://bank.example",
        **given,
    )  # fmt: skip


@pytest.mark.parametrize(
    "peer", ["", "peers", ":7443", "peers:", "peers:grpc", "peers:0", "a:65536"]
)
def test_a_peer_is_a_host_and_a_port(tmp_path: Path, peer: str) -> None:
    with pytest.raises(SettingsError, match=r"--peers: .* is no HOST:PORT"):
        told(tmp_path, peers=(peer,))


def test_peers_are_those_of_the_connector(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--peers is for ai-voice-connector"):
        told(tmp_path, roles=("vad",), peers=("peers:7443",))


async def test_with_peers_what_is_asked_is_relayed(tmp_path: Path) -> None:
    files, calls, peers = Authority().issue(tmp_path, SERVICE), Any, ("peers:7443", "[::1]:7443")
    async with AsyncExitStack() as stack:
        alone = among_replicas(calls, told(tmp_path), None, stack)  # type: ignore[arg-type]
        with_them = among_replicas(calls, told(tmp_path, peers=peers), None, stack)  # type: ignore[arg-type]
    assert own_host(files) == HOST
    assert isinstance(alone, ConnectorService)
    assert isinstance(with_them, RelayingConnector)


def test_without_a_name_in_the_certificate_they_cannot_be_told_from_others(tmp_path: Path) -> None:
    settings = told(tmp_path, peers=("peers:7443",))  # there is no certificate
    with pytest.raises(SettingsError, match="--peers: the certificate of --tls has no DNS name"):
        among_replicas(Any, settings, None, AsyncExitStack())  # type: ignore[arg-type]
