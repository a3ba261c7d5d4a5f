"""The protocol between connector and worker: one stream for each call. Pure codec and states.

The wire is described in docs/design/20261123.link-protocol.md.
"""

from callfleet_agent.link.connection import LinkConnection, Side
from callfleet_agent.link.errors import (
    LinkError,
    LinkLost,
    LocalProtocolError,
    RemoteProtocolError,
)
from callfleet_agent.link.messages import (
    CREDIT_SAMPLES,
    MAX_AUDIO_SAMPLES,
    MAX_CONTEXT_BYTES,
    PROTOCOL,
    Audio,
    Caller,
    Context,
    Dtmf,
    Earlier,
    EndOfSpeech,
    Event,
    Hangup,
    Hello,
    Interrupt,
    Interrupted,
    Message,
    Ping,
    Pong,
    Ready,
    Tick,
)
from callfleet_agent.link.state import ConnectorState, WorkerState

__all__ = [
    "CREDIT_SAMPLES",
    "MAX_AUDIO_SAMPLES",
    "MAX_CONTEXT_BYTES",
    "PROTOCOL",
    "Audio",
    "Caller",
    "ConnectorState",
    "Context",
    "Dtmf",
    "Earlier",
    "EndOfSpeech",
    "Event",
    "Hangup",
    "Hello",
    "Interrupt",
    "Interrupted",
    "LinkConnection",
    "LinkError",
    "LinkLost",
    "LocalProtocolError",
    "Message",
    "Ping",
    "Pong",
    "Ready",
    "RemoteProtocolError",
    "Side",
    "Tick",
    "WorkerState",
]
