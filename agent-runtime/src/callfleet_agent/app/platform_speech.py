"""The services of speech and conversation with the embedded engines."""

import asyncio
import logging
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from callfleet.v1 import asr_pb2_grpc, connector_pb2_grpc, llm_pb2_grpc, tts_pb2_grpc, vad_pb2_grpc
from callfleet_agent.app.answerer import DialogAnswerer, Sources
from callfleet_agent.app.bank_desk import BankDesk
from callfleet_agent.app.call_book import CallBook, NoBook, opened
from callfleet_agent.app.chain_engines import ChainRecognisers, ChainSpeaker
from callfleet_agent.app.errors import SettingsError
from callfleet_agent.app.platform_metrics import PlatformMetrics
from callfleet_agent.app.preflight import need_espeak, need_models
from callfleet_agent.app.recorded_bank import RecordedBank
from callfleet_agent.app.replicas import among_replicas
from callfleet_agent.app.speech_engines import (
    EspeakSpeaker,
    SphinxRecogniser,
    any_of,
    ears,
    espeak_voices,
)
from callfleet_agent.app.store_sink import StoreSink
from callfleet_agent.app.stream_calls import StreamCallBook
from callfleet_agent.app.stream_records import Kept, StoredRecords
from callfleet_agent.app.stream_workers import StreamWorkers, WorkersWanted, stream_workers
from callfleet_agent.banking import Bank
from callfleet_agent.banking.audited import AuditedBank
from callfleet_agent.banking.queries import BankingQueries
from callfleet_agent.chain import Member
from callfleet_agent.context.commands import ContextCommands
from callfleet_agent.context.queries import ContextQueries
from callfleet_agent.dialog import Grammar
from callfleet_agent.pipeline.engines import providers_for
from callfleet_agent.pipeline.responder_rules import RuleResponder
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.transcriber_sphinx import SphinxTranscriber
from callfleet_agent.providers import Providers, ResponderChain
from callfleet_agent.providers.live import STAGES
from callfleet_agent.services import (
    answering,
    connector,
    context_store,
    recognition,
    session_manager,
    synthesis,
    voice_activity,
)
from callfleet_agent.services.engines import Ears, OneRecogniser, Recognisers, Speaker
from callfleet_agent.services.server import Part
from callfleet_agent.services.shared_choices import SharedChoices
from callfleet_agent.session.commands import SessionCommands
from callfleet_agent.session.queries import SessionQueries
from callfleet_operator.model import LiveProviders, ManifestError, load_live_providers
from callfleet_operator.model.engines import Stage
from callfleet_operator.model.meta import to_data

if TYPE_CHECKING:
    from callfleet_agent.app.platform import Stores
    from callfleet_agent.app.platform_settings import PlatformSettings

ASR_DECODERS: Final = 4
LEAVE_S: Final = 5.0
_log = logging.getLogger(__name__)


def one_model(settings: "PlatformSettings") -> LiveProviders:
    """The chains without a file: one language model, and the rules when it does not answer; or
    the rules alone."""
    if not settings.llm_url:
        return LiveProviders(generation=0)
    given = settings.patience.model
    limits = {
        "connectMs": round(given.connect_s * 1000),
        "firstByteMs": round(given.first_s * 1000),
        "gapMs": round(given.gap_s * 1000),
        "totalMs": round(given.total_s * 1000),
    }
    rules = {"pool": "rules", "engine": "rules", "hosting": "embedded", "limits": limits}
    model = {
        "pool": "llm",
        "engine": settings.llm_engine,
        "hosting": "external",
        "endpoints": [settings.llm_url],
        "model": settings.llm_model,
        "keyFile": None if settings.llm_key is None else str(settings.llm_key.absolute()),
        "limits": limits,
    }
    told = {name: value for name, value in model.items() if value is not None}
    try:
        return load_live_providers({"generation": 0, "llm": [told, rules]})
    except ManifestError as error:
        raise SettingsError(f"the language model: {error}") from None


def stages_of(roles: Collection[str]) -> tuple[Stage, ...]:
    """The stages that these roles work with chains in; a connector's are its workers'."""
    return tuple(stage for stage in STAGES if stage.value in roles)


class SpeechParts:
    """The parts of the roles that speak, listen and answer, with their engines warm."""

    def __init__(
        self,
        settings: "PlatformSettings",
        stores: "Stores | None",
        bank: Bank | None,
        metrics: PlatformMetrics,
        choices: SharedChoices | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._choices = choices
        self._stages = metrics.stages()
        self._stores = stores
        self._bank = bank
        self._stack = AsyncExitStack()
        self._dialog = settings.dialog
        self._providers: Providers | None = None
        self._workers: StreamWorkers | None = None
        self.parts: list[Part] = []

    async def __aenter__(self) -> Self:
        roles, heard = self._settings.roles, ears()
        if "vad" in roles:
            self._add(
                voice_activity.NAME,
                vad_pb2_grpc.add_VADServiceServicer_to_server,
                voice_activity.VoiceActivityService(heard, self._choices),
                voice_activity.READERS,
            )
        if "tts" in roles:
            self._add(
                synthesis.NAME,
                tts_pb2_grpc.add_TTSServiceServicer_to_server,
                synthesis.SynthesisService(await self._speaker(), self._choices),
                synthesis.READERS,
            )
        if "asr" in roles:
            await self._add_recognition(heard)
        if "llm" in roles:
            await self._add_answering()
        if "ai-voice-connector" in roles:
            await self._add_connector()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _add(self, name: str, add: object, servicer: object, readers: object) -> None:
        self.parts.append(Part(name, add, servicer, readers))  # type: ignore[arg-type]

    async def _add_recognition(self, heard: Ears) -> None:
        self._add(
            recognition.NAME,
            asr_pb2_grpc.add_ASRServiceServicer_to_server,
            recognition.RecognitionService(heard, await self._recognisers(), self._choices),
            recognition.READERS,
        )

    async def _speaker(self) -> Speaker:
        espeak = EspeakSpeaker(await espeak_voices())
        if self._settings.providers is None:
            return espeak
        return ChainSpeaker((await self._chains()).lineup(Stage.TTS), espeak)

    async def _recognisers(self) -> Recognisers:
        if self._settings.providers is not None:
            chains = await self._chains()
            return ChainRecognisers(chains.lineup(Stage.ASR), self._anything)
        transcriber = SphinxTranscriber(1, ASR_DECODERS, self._settings.patience.decoder_s)
        self._stack.push_async_callback(transcriber.stop)
        await transcriber.start([self._anything])
        return OneRecogniser(SphinxRecogniser(transcriber, self._anything))

    @property
    def _anything(self) -> Grammar:
        return any_of(RuleResponder(self._dialog).grammars())

    async def _add_answering(self) -> None:
        from callfleet_agent.app.platform import new_id, utc_now

        if self._stores is None or self._bank is None:
            return  # the settings do not allow it
        contexts = self._stores.contexts()
        commands = ContextCommands(contexts, utc_now, new_id)
        bank, auditor = self._bank, self._stores.auditor()
        banking = self._stores.banking(bank)
        providers = await self._chains()
        sources = Sources(
            lambda session_id: AuditedBank(
                RecordedBank(session_id, bank, banking), auditor, session_id
            ),
            SessionQueries(self._stores.sessions()).by_id,
            BankingQueries(bank, banking.store).proven,
            commands,
            ContextQueries(contexts, utc_now),
            ResponderChain(providers.lineup(Stage.LLM)),
            by_rules=lambda: providers.rules_answer,
            shown_facts=self._settings.model_facts,
            tell=self._stages.told,
            recording_s=self._settings.patience.recording_s,
        )
        answerer = DialogAnswerer(self._dialog, sources)
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
        need_espeak()
        need_models()
        wanted, records = self._workers_wanted(), StoredRecords(NoBook())
        if self._stores is not None:
            records = await self._records(self._stores, wanted)
        desk = BankDesk(self._bank, self._stores)
        self._stages.breakers = self._metrics.breakers_of_workers()
        workers = await self._stack.enter_async_context(
            stream_workers(wanted, desk.bank_of, self._stages, self._metrics.workers())
        )
        book = StreamCallBook(
            workers, records, most=self._settings.calls, now=utc_now, new_id=new_id
        )
        desk.owner_of = book.owner_of
        self._workers = workers
        watching = asyncio.create_task(book.watch())
        self._stack.push_async_callback(_cancelled, watching)
        self._stack.push_async_callback(book.close)
        self._add(
            connector.NAME,
            connector_pb2_grpc.add_AIVoiceConnectorServiceServicer_to_server,
            among_replicas(book, self._settings, self._stores, self._stack),
            connector.READERS,
        )

    def silent(self) -> str | None:
        """Why no conversation can begin, where conversations are held."""
        if self._workers is None or self._workers.ready:
            return None
        return "no worker is ready"

    def _workers_wanted(self) -> WorkersWanted:
        settings = self._settings
        return WorkersWanted(
            workers=settings.workers_wanted,
            calls=settings.calls,
            dialog=self._dialog,
            identity=settings.tls,
            providers=settings.providers or to_data(one_model(settings)),
        )

    async def _records(self, stores: "Stores", wanted: WorkersWanted) -> StoredRecords:
        from callfleet_agent.app.platform import new_id, utc_now

        sessions = stores.sessions()
        kept = Kept(
            SessionCommands(sessions, utc_now, new_id),
            SessionQueries(sessions),
            ContextQueries(stores.contexts(), utc_now),
            utc_now,
        )
        book = await self._journal(stores, kept.commands)
        return StoredRecords(book, kept, pod=self._settings.pod, pools=wanted.pools)

    async def _journal(self, stores: "Stores", commands: SessionCommands) -> CallBook:
        from callfleet_agent.app.platform import new_id, utc_now

        sessions, contexts = stores.sessions(), stores.contexts()
        memories = ContextCommands(contexts, utc_now, new_id)
        sink = StoreSink(
            session_manager.SessionManagerService(commands, SessionQueries(sessions), memories),
            context_store.ContextStoreService(memories, ContextQueries(contexts, utc_now)),
        )
        book = await self._stack.enter_async_context(opened(self._settings.journal, sink))
        self._metrics.watch_journal(book.journal)
        self._stack.push_async_callback(book.delivered, LEAVE_S)
        return book

    async def _chains(self) -> Providers:
        """The chains of providers of this process, made once and followed."""
        if self._providers is None:
            roles, settings = self._settings.roles, self._worker_settings()
            grammars = [self._anything] if "asr" in roles else []
            settings = replace(settings, decoder_processes=1, decoders_in_each=ASR_DECODERS)
            stages = stages_of(roles)
            self._providers = providers = providers_for(settings, stages, grammars)
            for stage in stages:
                self._metrics.watch_chain(stage.value, partial(_members, providers, stage))
            self._stack.push_async_callback(providers.close)
            if self._settings.providers is None:
                await providers.apply(one_model(self._settings))
            else:
                await providers.read(self._settings.providers)
                following = asyncio.create_task(providers.follow(self._settings.providers))
                self._stack.push_async_callback(_cancelled, following)
        return self._providers

    def _worker_settings(self) -> WorkerSettings:
        return WorkerSettings(
            dialog=self._dialog,
            calls=self._settings.calls,
            decoder_s=self._settings.patience.decoder_s,
            identity=self._settings.tls,
        )


def _members(providers: Providers, stage: Stage) -> tuple[Member, ...]:
    return providers.lineup(stage)().members


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
