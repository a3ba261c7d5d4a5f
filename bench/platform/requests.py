"""What the clients ask: a request of each unary RPC, for sessions of their own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from bench.platform.clients import PCM, Clients
from bench.platform.servers import customer_of

from callfleet.v1 import (
    banking_pb2,
    common_pb2,
    connector_pb2,
    context_pb2,
    session_pb2,
    tts_pb2,
    vad_pb2,
)
from platform_rig import proof

Make = Callable[[int], Any]  # the request of a client, by its number


@dataclass(frozen=True, slots=True)
class Subjects:
    """Each client's session, whose caller is verified, one that it may end; and a conversation."""

    mine: list[str]
    over: list[str]
    conversation: str

    @classmethod
    async def made(cls, clients: Clients, count: int) -> "Subjects":
        """For so many clients."""
        mine = [await clients.session() for _ in range(count)]
        verify = clients.rpc("BankingService", "AuthenticateCustomer")
        for number, session in enumerate(mine):
            await verify(proof(session, customer_id=customer_of(number)))
        over = [await clients.session() for _ in range(count)]
        begin = clients.rpc("AIVoiceConnectorService", "CreateSession")
        start = connector_pb2.CreateSessionRequest(format=PCM, sample_rate=8000)
        begun = session_pb2.SessionResponse.FromString(await begin(start))
        return cls(mine, over, begun.session_id)


def requests_of(subjects: Subjects) -> Mapping[str, Make]:
    """Every unary RPC, as Service/Name."""
    return {
        **_sessions(subjects),
        **_contexts(subjects),
        **_banking(subjects),
        **_speech(subjects),
    }


def _sessions(subjects: Subjects) -> dict[str, Make]:
    def renamed(number: int) -> Any:
        session = session_pb2.CallSession(
            session_id=subjects.mine[number], avc_instance=str(uuid4())
        )
        request = session_pb2.UpdateSessionRequest(session=session)
        request.update_mask.paths.append("avc_instance")
        return request

    return {
        "SessionManagerService/CreateSession": lambda _: session_pb2.CallSession(
            sip_call_id=str(uuid4()), caller_phone="+15550100"
        ),
        "SessionManagerService/UpdateSession": renamed,
        "SessionManagerService/GetSession": lambda number: session_pb2.GetSessionRequest(
            session_id=subjects.mine[number]
        ),
        "SessionManagerService/FindInterrupted": lambda number: session_pb2.FindInterruptedRequest(
            caller_phone="+15550100", session_id=subjects.mine[number]
        ),
        "SessionManagerService/EndSession": lambda number: session_pb2.EndSessionRequest(
            session_id=subjects.over[number]
        ),
    }


def _contexts(subjects: Subjects) -> dict[str, Make]:
    def learned(number: int) -> Any:
        said = context_pb2.ConversationMessage(
            role=context_pb2.ROLE_CALLER, content="where is my credit card"
        )
        return context_pb2.ContextUpdateRequest(
            session_id=subjects.mine[number], append=[said], request_id=str(uuid4())
        )

    return {
        "ContextStoreService/UpdateContext": learned,
        "ContextStoreService/GetContext": lambda number: context_pb2.ContextRequest(
            session_id=subjects.mine[number], history_limit=10
        ),
        "LLMService/UpdateContext": learned,
        "ContextStoreService/CleanupContext": lambda number: context_pb2.CleanupRequest(
            session_id=subjects.over[number]
        ),
    }


def _banking(subjects: Subjects) -> dict[str, Make]:
    def asked(number: int) -> Any:
        return banking_pb2.TransactionRequest(
            transaction_id=str(uuid4()),
            session_id=subjects.mine[number],
            customer_id=customer_of(number),
            transaction_type=banking_pb2.TRANSACTION_TYPE_CARD_INQUIRY,
        )

    return {
        "BankingService/AuthenticateCustomer": lambda number: proof(
            subjects.mine[number], customer_id=customer_of(number)
        ),
        "BankingService/QueryCardDelivery": lambda number: banking_pb2.CardDeliveryRequest(
            session_id=subjects.mine[number], customer_id=customer_of(number)
        ),
        "BankingService/ProcessTransaction": asked,
    }


def _speech(subjects: Subjects) -> dict[str, Make]:
    # The same conversation again: a pod holds so many and no more.
    start = connector_pb2.CreateSessionRequest(
        format=PCM, sample_rate=8000, session_id=subjects.conversation
    )
    return {
        "AIVoiceConnectorService/CreateSession": lambda _: start,
        "AIVoiceConnectorService/GetSessionStatus": lambda _: connector_pb2.SessionStatusRequest(
            session_id=subjects.conversation
        ),
        "VADService/Configure": lambda number: vad_pb2.VADConfiguration(
            session_id=subjects.mine[number], start_milliseconds=200
        ),
        "ASRService/SelectProvider": lambda number: common_pb2.ProviderSelectionRequest(
            session_id=subjects.mine[number],
            stage=common_pb2.PROVIDER_STAGE_ASR,
            provider="sphinx",
        ),
        "TTSService/SelectVoice": lambda number: tts_pb2.VoiceSelectionRequest(
            session_id=subjects.mine[number], voice="en-gb"
        ),
        "AIVoiceConnectorService/EndSession": lambda _: session_pb2.EndSessionRequest(
            session_id=subjects.conversation
        ),
    }
