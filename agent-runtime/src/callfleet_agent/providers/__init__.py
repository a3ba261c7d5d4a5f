"""Providers of recognition, answers and speech: an adapter for each engine behind three small
protocols, and the chains of them that a call talks to.

Which provider is asked, for how long, and who is next is decided in `callfleet_agent.chain`.
"""

from callfleet_agent.providers.errors import (
    EngineError,
    ExhaustedError,
    ProviderError,
    ResponderError,
    SynthesiserError,
    TranscriberError,
)
from callfleet_agent.providers.live import Providers
from callfleet_agent.providers.ports import Message, Prompt, Recognition
from callfleet_agent.providers.responder_chain import ResponderChain
from callfleet_agent.providers.speech import Speech, Spoken
from callfleet_agent.providers.synthesiser_chain import SynthesiserChain
from callfleet_agent.providers.transcriber_chain import ChainUtterance, TranscriberChain

__all__ = [
    "ChainUtterance", "EngineError", "ExhaustedError", "Message", "Prompt", "ProviderError",
    "Providers", "Recognition", "ResponderChain", "ResponderError", "Speech", "Spoken",
    "SynthesiserChain", "SynthesiserError", "TranscriberChain", "TranscriberError",
]  # fmt: skip
