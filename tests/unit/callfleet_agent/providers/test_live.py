"""A worker's chains follow the live settings."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from callfleet_agent.providers import EngineError, Providers
from callfleet_agent.providers.settings import EngineSettings, member_settings
from callfleet_operator.model import LiveProviders, load_live_providers
from callfleet_operator.model.engines import Engine, Stage
from fakes.engines import FakeEngine
from fakes.virtual_time import in_virtual_time

LIMITS = "{connectMs: 500, firstByteMs: 1500, gapMs: 1500, totalMs: 10000}"


def text(generation: int, *, asr: str = "", llm: str = "", tts: str = "") -> str:
    return f"generation: {generation}\nasr: [{asr}]\nllm: [{llm}]\ntts: [{tts}]\n"


def pool(name: str, engine: str, url: str | None, **more: object) -> str:
    fields = {"pool": name, "engine": engine, "limits": LIMITS, **more}
    fields |= {"hosting": "embedded"} if url is None else {"hosting": "external"}
    if url is not None:
        fields["endpoints"] = f'["{url}"]'
    return "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"


class Embedded:
    """The engines inside the agent, as fakes."""

    def __init__(self) -> None:
        self.made: list[FakeEngine] = []
        self.broken = False

    def make(self, _: EngineSettings) -> FakeEngine:
        self.made.append(FakeEngine(["yes"]))
        return self.made[-1]

    async def start(self, stage: Stage, engine: Any) -> None:
        if self.broken:
            raise EngineError("it does not start")
        await (engine.start() if stage is Stage.LLM else engine.start([]))

    def providers(self) -> Providers:
        adapters = {(Stage.ASR, Engine.SPHINX): self.make, (Stage.TTS, Engine.ESPEAK): self.make}
        defaults = {Stage.ASR: Engine.SPHINX, Stage.TTS: Engine.ESPEAK}
        return Providers(adapters, defaults, self.start)


def names(providers: Providers, stage: Stage) -> list[str]:
    return [member.name for member in providers.lineup(stage)().members]


async def test_without_settings_the_engines_inside_serve(tmp_path: Path) -> None:
    embedded = Embedded()
    providers = embedded.providers()
    await providers.read(tmp_path / "none.yaml")
    assert names(providers, Stage.ASR) == ["sphinx"]
    assert names(providers, Stage.TTS) == ["espeak"]
    assert names(providers, Stage.LLM) == []
    assert providers.rules_answer
    assert [engine.started for engine in embedded.made] == [1, 1]
    await providers.close()
    assert [engine.stopped for engine in embedded.made] == [1, 1]


async def test_a_changed_file_is_followed_and_turns_keep_what_they_began_with(
    tmp_path: Path,
) -> None:
    embedded, file = Embedded(), tmp_path / "providers.yaml"
    providers = embedded.providers()
    file.write_text(text(1, asr=pool("ears", "sphinx", None)))
    await providers.read(file)
    before = providers.lineup(Stage.ASR)()
    following = asyncio.create_task(providers.follow(file, poll_s=0.01))
    whisper = pool("whisper", "whisper", "grpc://127.0.0.1:1")
    fresh = tmp_path / "fresh.yaml"
    fresh.write_text(text(2, asr=f"{whisper}, {pool('ears', 'sphinx', None)}"))
    fresh.rename(file)  # as kubelet swaps it
    async with asyncio.timeout(60):
        while names(providers, Stage.ASR) != ["whisper", "ears"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert before.members == (providers.lineup(Stage.ASR)().members[1],)
    assert len(embedded.made) == 2  # the ears, and the default voice: neither was made again
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await providers.close()


@pytest.mark.parametrize("wrong", ["generation: [", "asr: []", "nothing: here", "\xff\xfe"])
async def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path, wrong: str) -> None:
    providers, file = Embedded().providers(), tmp_path / "providers.yaml"
    file.write_text(text(1, asr=pool("ears", "sphinx", None)))
    await providers.read(file)
    file.write_bytes(wrong.encode("latin-1"))
    await providers.read(file)
    assert names(providers, Stage.ASR) == ["ears"]
    await providers.close()


async def test_new_limits_keep_what_is_known_of_a_provider(tmp_path: Path) -> None:
    providers = Embedded().providers()
    url = "http://127.0.0.1:1/v1"
    await providers.apply(load_live_providers(text(1, llm=pool("model", "vllm", url))))
    member = providers.lineup(Stage.LLM)().members[0]
    member.breaker.trip(0.0)
    changed = pool("model", "vllm", url, concurrency=3, budget="{unitsPerDay: 7}")
    await providers.apply(load_live_providers(text(2, llm=changed)))
    assert providers.lineup(Stage.LLM)().members == (member,)
    assert member.settings.concurrency == 3
    assert member.settings.allowance.units_per_day == 7
    assert not member.breaker.ready(1.0)
    await providers.close()


async def test_rules_are_no_model_but_answer_when_they_are_named() -> None:
    providers, url = Embedded().providers(), "http://127.0.0.1:1/v1"
    model = pool("model", "vllm", url)
    await providers.apply(load_live_providers(text(1, llm=model)))
    answers = [providers.rules_answer]
    both = f"{model}, {pool('flow', 'rules', None)}"
    await providers.apply(load_live_providers(text(2, llm=both)))
    assert [*answers, providers.rules_answer] == [False, True]
    assert names(providers, Stage.LLM) == ["model"]
    await providers.close()


async def test_an_engine_that_does_not_start_leaves_everything_as_it_was(tmp_path: Path) -> None:
    embedded, file = Embedded(), tmp_path / "providers.yaml"
    providers = embedded.providers()
    await providers.apply(LiveProviders(generation=0))
    embedded.broken = True
    file.write_text(text(1, asr=pool("ears", "sphinx", None)))
    await providers.read(file)
    assert names(providers, Stage.ASR) == ["sphinx"]
    assert embedded.made[-1].stopped == 1
    await providers.close()


async def test_an_engine_that_does_not_start_at_first_is_an_error(tmp_path: Path) -> None:
    embedded = Embedded()
    embedded.broken = True
    with pytest.raises(EngineError):
        await embedded.providers().read(tmp_path / "none.yaml")


async def test_an_engine_without_an_adapter_is_an_error() -> None:
    providers = Providers({}, {}, Embedded().start)
    with pytest.raises(EngineError, match="sphinx"):
        await providers.apply(load_live_providers(text(1, asr=pool("ears", "sphinx", None))))


def test_what_the_chain_is_told() -> None:
    live = load_live_providers(
        text(
            1,
            tts=pool(
                "cloud", "elevenlabs", "https://api.example", hedgePercentile=95, available="false",
                keyFile="/etc/callfleet/providers/cloud", budget="{requestsPerMinute: 60}",
            ),
        )
    )  # fmt: skip
    told = member_settings(live.tts[0])
    assert (told.name, told.available, told.hedge_percentile) == ("cloud", False, 95)
    assert (told.limits.connect_s, told.limits.first_s) == (0.5, 1.5)
    assert told.allowance.requests_per_minute == 60
    assert EngineSettings.of(live.tts[0]).key_file == Path("/etc/callfleet/providers/cloud")


@in_virtual_time
async def test_connections_are_kept_open_while_somebody_is_busy() -> None:
    class Remote(FakeEngine):
        warmed = 0

        async def warm(self) -> None:
            self.warmed += 1

    remote, embedded = Remote(), Embedded()
    providers = Providers(
        {(Stage.ASR, Engine.SPHINX): embedded.make, (Stage.TTS, Engine.ESPEAK): lambda _: remote},
        {Stage.ASR: Engine.SPHINX, Stage.TTS: Engine.ESPEAK},
        embedded.start,
    )
    await providers.apply(LiveProviders(generation=0))
    busy = asyncio.Event()
    keeping = asyncio.create_task(providers.keep_warm(busy, every_s=20.0))
    await asyncio.sleep(100)
    assert remote.warmed == 0
    busy.set()
    await asyncio.sleep(30)
    assert remote.warmed == 2
    busy.clear()
    await asyncio.sleep(100)
    assert remote.warmed == 2
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await providers.close()


async def test_a_process_has_only_the_stages_that_it_serves() -> None:
    embedded = Embedded()
    providers = Providers({}, {Stage.ASR: Engine.SPHINX}, embedded.start, (Stage.LLM,))
    llm, asr = pool("m", "vllm", "http://m/v1"), pool("w", "whisper", "grpc://w:1")
    await providers.apply(load_live_providers(text(1, asr=asr, llm=llm)))
    assert [names(providers, stage) for stage in (Stage.ASR, Stage.LLM)] == [[], ["m"]]
    await providers.close()
