"""Records of calls, delivered to the stores of this process by the services' own code."""

from typing import Any, Final

from google.protobuf.message import DecodeError

from callfleet_agent.app.call_record import owned
from callfleet_agent.context.errors import ContextStoreError
from callfleet_agent.journal import DeliverLaterError, Entry, RefusedError
from callfleet_agent.services import context_store, session_manager
from callfleet_agent.services.actor import acts_for
from callfleet_agent.services.context_store import ContextStoreService
from callfleet_agent.services.errors import InvalidRequestError
from callfleet_agent.services.record_sink import REQUESTS, RecordKind
from callfleet_agent.services.session_manager import SessionManagerService
from callfleet_agent.session.errors import SessionError, SessionExistsError
from callfleet_agent.storage.errors import SealError, StoreUnavailableError

_READERS: Final = {
    RecordKind.CALL_STARTED: session_manager.READERS[f"/{session_manager.NAME}/CreateSession"],
    RecordKind.TURN_ENDED: context_store.READERS[f"/{context_store.NAME}/UpdateContext"],
    RecordKind.CALL_ENDED: session_manager.READERS[f"/{session_manager.NAME}/EndSession"],
}


class StoreSink:
    """Delivers as GrpcSink does, without a network; each record in the name of its owner."""

    def __init__(self, sessions: SessionManagerService, contexts: ContextStoreService) -> None:
        self._takers: dict[RecordKind, Any] = {
            RecordKind.CALL_STARTED: sessions.CreateSession,
            RecordKind.TURN_ENDED: contexts.UpdateContext,
            RecordKind.CALL_ENDED: sessions.EndSession,
        }

    async def deliver(self, entry: Entry) -> None:
        """Hand a record on.

        Raises:
            DeliverLaterError: the store is away.
            RefusedError: it will never take the record.
        """
        try:
            kind = RecordKind(entry.kind)
            owner, data = owned(entry.payload)
            request = _READERS[kind](REQUESTS[kind].FromString(data))
        except (ValueError, DecodeError, InvalidRequestError):
            raise RefusedError("UNREADABLE") from None
        try:
            with acts_for(owner):
                await self._takers[kind](request, None)
        except StoreUnavailableError:
            raise DeliverLaterError("STORE_UNAVAILABLE") from None
        except SessionExistsError:
            return
        except (SessionError, ContextStoreError, SealError) as error:
            raise RefusedError(type(error).__name__) from None
