"""What all calls of a process share: chains of providers, the voice activity model, the bank."""

from collections.abc import Sequence
from typing import Any

from callfleet_agent.banking import Bank
from callfleet_agent.dialog import Grammar
from callfleet_agent.pipeline import embedded
from callfleet_agent.pipeline.call import Engines
from callfleet_agent.pipeline.circuits import circuits_of
from callfleet_agent.pipeline.responder_rules import RuleResponder
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.voice_activity import VoiceActivityModel
from callfleet_agent.providers import (
    Providers,
    ResponderChain,
    SynthesiserChain,
    TranscriberChain,
)
from callfleet_agent.providers.live import STAGES
from callfleet_operator.model.engines import Stage


def providers_for(
    settings: WorkerSettings,
    stages: Sequence[Stage] = STAGES,
    grammars: Sequence[Grammar] | None = None,
) -> Providers:
    """The chains of a process for these stages, still without members. None: the dialog's
    grammars are loaded."""
    responder = RuleResponder(settings.dialog)

    async def start(stage: Stage, engine: Any) -> None:
        if stage is Stage.ASR:
            await engine.start(responder.grammars() if grammars is None else grammars)
        elif stage is Stage.TTS:
            await engine.start(responder.fixed_sentences())
        else:
            await engine.start()

    return Providers(
        embedded.adapters(settings),
        embedded.DEFAULTS,
        start,
        stages,
        settings.accounts_dir,
        settings.identity,
    )


def engines_for(providers: Providers, settings: WorkerSettings, bank: Bank) -> Engines:
    """What calls need, over these chains."""
    return Engines(
        model=VoiceActivityModel(),
        transcriber=TranscriberChain(providers.lineup(Stage.ASR)),
        responder=RuleResponder(settings.dialog),
        synthesiser=SynthesiserChain(providers.lineup(Stage.TTS)),
        models=ResponderChain(providers.lineup(Stage.LLM)),
        by_rules=lambda: providers.rules_answer,
        bank=bank,
        circuits=circuits_of(
            bank,
            {stage.value: providers.lineup(stage) for stage in (Stage.ASR, Stage.LLM, Stage.TTS)},
        ),
    )
