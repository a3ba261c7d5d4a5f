"""AIVoiceConnectorService as one replica serves it: alone, or with the others at hand."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from callfleet_agent.app.errors import SettingsError
from callfleet_agent.identity import TlsFiles
from callfleet_agent.services.connector import ConnectorService, StreamCalls
from callfleet_agent.services.ownership import own_host
from callfleet_agent.services.peers import Peers
from callfleet_agent.services.relaying import Recorded, RelayingConnector
from callfleet_agent.session.commands import SessionCommands
from callfleet_agent.session.queries import SessionQueries

if TYPE_CHECKING:
    from callfleet_agent.app.platform import Stores
    from callfleet_agent.app.platform_settings import PlatformSettings


def among_replicas(
    calls: StreamCalls,
    settings: "PlatformSettings",
    stores: "Stores | None",
    stack: AsyncExitStack,
) -> ConnectorService | RelayingConnector:
    """The service on these calls; connections to others are closed with the stack.

    Raises:
        SettingsError: other replicas cannot be told from anybody else.
    """
    from callfleet_agent.app.platform import new_id, utc_now

    here = ConnectorService(calls)
    if not settings.peers:
        return here
    files = TlsFiles.in_folder(settings.tls)
    name = own_host(files)
    if not name:
        raise SettingsError("--peers: the certificate of --tls has no DNS name to know them by")
    peers = Peers(settings.peers, files, name)
    stack.push_async_callback(peers.close)
    recorded: Recorded | None = None
    if stores is not None:
        sessions = stores.sessions()
        recorded = Recorded(
            SessionQueries(sessions, utc_now), SessionCommands(sessions, utc_now, new_id)
        )
    return RelayingConnector(here, calls, peers, recorded)
