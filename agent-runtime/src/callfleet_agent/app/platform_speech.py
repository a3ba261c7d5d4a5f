"""The services of speech and conversation with the embedded engines."""

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from callfleet.v1 import asr_pb2_grpc, connector_pb2_grpc, llm_pb2_grpc, tts_pb2_grpc, vad_pb2_grpc
from callfleet_agent.app.platform_metrics import PlatformMetrics
from callfleet_agent.app.recorded_bank import RecordedBank
from callfleet_agent.app.speech_engines import (
    EspeakSpeaker,
    RuleAnswerer,
    SphinxRecogniser,
    any_of,
    ears,
    espeak_voices,
)
from callfleet_agent.app.stream_call import StreamLink
from callfleet_agent.app.stream_calls import StreamCall, StreamCallBook
from callfleet_agent.banking import Bank
from callfleet_agent.banking.audited import AuditedBank
from callfleet_agent.banking.commands import BankingCommands
from callfleet_agent.context.commands import ContextCommands
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.dialog import DialogSettings
from callfleet_agent.pipeline.call import Engines, run_call
from callfleet_agent.pipeline.engines import engines_for, providers_for
from callfleet_agent.pipeline.responder_rules import RuleResponder
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.transcriber_sphinx import SphinxTranscriber
from callfleet_agent.services import answering, connector, recognition, synthesis, voice_activity
from callfleet_agent.services.engines import Ears
from callfleet_agent.services.server import Part
from callfleet_agent.session.commands import FinishSession, SessionCommands, StartSession
from callfleet_agent.session.errors import SessionError
from callfleet_agent.storage.errors import StorageError
from callfleet_operator.model import LiveProviders

if TYPE_CHECKING:
    from callfleet_agent.app.platform import PlatformSettings, Stores

ASR_DECODERS: Final = 4
_log = logging.getLogger(__name__)


class StoredRecords:
    """Sessions of streams in the stores, where there are any. A store that is away costs the
    record and not the conversation."""

    def __init__(self, commands: SessionCommands | None) -> None:
        self._commands = commands

    async def started(self, call: StreamCall) -> None:
        """Record a conversation."""
        if self._commands is None:
            return
        try:
            await self._commands.start(
                StartSession(
                    sip_call_id=call.given.sip_call_id or f"{call.session_id}@stream",
                    session_id=call.session_id,
                    caller_phone=call.given.caller_phone,
                    call_start_time=call.started_at,
                )
            )
        except StorageError:
            _log.warning("a session was not recorded")

    async def ended(self, call: StreamCall) -> None:
        """Record the end of a conversation."""
        if self._commands is None:
            return
        try:
            await self._commands.finish(
                FinishSession(session_id=call.session_id, status=call.status)
            )
        except (StorageError, SessionError):
            _log.warning("the end of a session was not recorded")


class SpeechParts:
    """The parts of the roles that speak, listen and answer, with their engines warm."""

    def __init__(
        self,
        settings: "PlatformSettings",
        stores: "Stores | None",
        bank: Bank | None,
        metrics: PlatformMetrics,
    ) -> None:
        self._settings = settings
        self._stages = metrics.stages()
        self._stores = stores
        self._bank = bank
        self._stack = AsyncExitStack()
        self._dialog = DialogSettings(bank_name=settings.bank_name)
        self.parts: list[Part] = []

    async def __aenter__(self) -> Self:
        roles, heard = self._settings.roles, ears()
        if "vad" in roles:
            self._add(
                voice_activity.NAME,
                vad_pb2_grpc.add_VADServiceServicer_to_server,
                voice_activity.VoiceActivityService(heard),
                voice_activity.READERS,
            )
        if "tts" in roles:
            self._add(
                synthesis.NAME,
                tts_pb2_grpc.add_TTSServiceServicer_to_server,
                synthesis.SynthesisService(EspeakSpeaker(await espeak_voices())),
                synthesis.READERS,
            )
        if "asr" in roles:
            await self._add_recognition(heard)
        if "llm" in roles:
            self._add_answering()
        if "ai-voice-connector" in roles:
            await self._add_connector()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _add(self, name: str, add: object, servicer: object, readers: object) -> None:
        self.parts.append(Part(name, add, servicer, readers))  # type: ignore[arg-type]

    async def _add_recognition(self, heard: Ears) -> None:
        grammar = any_of(RuleResponder(self._dialog).grammars())
        transcriber = SphinxTranscriber(1, ASR_DECODERS)
        self._stack.push_async_callback(transcriber.stop)
        await transcriber.start([grammar])
        sphinx = SphinxRecogniser(transcriber, grammar)
        self._add(
            recognition.NAME,
            asr_pb2_grpc.add_ASRServiceServicer_to_server,
            recognition.RecognitionService(heard, {sphinx.name: sphinx}),
            recognition.READERS,
        )

    def _add_answering(self) -> None:
        from callfleet_agent.app.platform import new_id, utc_now

        if self._stores is None or self._bank is None:
            return  # the settings do not allow it
        contexts = self._stores.contexts()
        commands = ContextCommands(contexts, utc_now, new_id)
        bank, auditor = self._bank, self._stores.auditor()
        banking = BankingCommands(bank, self._stores.transactions(), utc_now)
        answerer = RuleAnswerer(
            self._dialog,
            lambda session_id: AuditedBank(
                RecordedBank(session_id, bank, banking), auditor, session_id
            ),
            commands,
            ContextQueries(contexts, utc_now),
        )
        self._add(
            answering.NAME,
            llm_pb2_grpc.add_LLMServiceServicer_to_server,
            answering.AnsweringService(answerer, commands),
            answering.READERS,
        )

    async def _add_connector(self) -> None:
        from callfleet_agent.app.platform import new_id, utc_now

        if self._bank is None:
            return  # the settings do not allow it
        settings = WorkerSettings(dialog=self._dialog, calls=self._settings.calls)
        bank = AuditedBank(self._bank, self._stores.auditor()) if self._stores else self._bank
        engines = await self._engines(settings, bank)

        async def run(link: StreamLink) -> None:
            link.on_event = self._stages.told
            await run_call(link, engines, settings)

        commands = (
            SessionCommands(self._stores.sessions(), utc_now, new_id) if self._stores else None
        )
        book = StreamCallBook(
            run, StoredRecords(commands), most=self._settings.calls, now=utc_now, new_id=new_id
        )
        watching = asyncio.create_task(book.watch())
        self._stack.push_async_callback(_cancelled, watching)
        self._add(
            connector.NAME,
            connector_pb2_grpc.add_AIVoiceConnectorServiceServicer_to_server,
            connector.ConnectorService(book),
            connector.READERS,
        )

    async def _engines(self, settings: WorkerSettings, bank: Bank) -> Engines:
        providers = providers_for(
            replace(settings, decoders_in_each=max(2, self._settings.calls // 4))
        )
        self._stack.push_async_callback(providers.close)
        await providers.apply(LiveProviders(generation=0))
        return engines_for(providers, settings, bank)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
