"""The embedded engines, for real: decoder, its process, espeak-ng, voice activity."""

import asyncio
import io
import os
import signal

import orjson
import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.dialog import Dialog, DialogSettings, Heard, Memory, Started
from callfleet_agent.pipeline.ports import SynthesiserError, TranscriberError
from callfleet_agent.pipeline.responder_rules import RuleResponder
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.sphinx_decoder import SphinxDecoder
from callfleet_agent.pipeline.sphinx_process import (
    AUDIO,
    BEGIN,
    CLOSE,
    HEADER,
    READY,
    RECOGNISE,
    RESULT,
    START,
    serve,
)
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.pipeline.transcriber_sphinx import SphinxTranscriber
from callfleet_agent.pipeline.voice import Voice
from callfleet_agent.pipeline.voice_activity import VoiceActivity, VoiceActivityModel
from callfleet_operator.model import VoiceAgent

INTENT = Dialog().grammars()[0]


async def spoken(text: str) -> Pcm8k:
    return await EspeakSynthesiser("en-gb", 150).speech(text, private=True)


class TestProcess:
    @staticmethod
    def talk(*messages: tuple[int, int, bytes]) -> list[tuple[int, int, bytes]]:
        packed = b"".join(HEADER.pack(len(p), kind, who) + p for kind, who, p in messages)
        output = io.BytesIO()
        serve(io.BytesIO(packed), output)
        data, found = output.getvalue(), []
        while data:
            length, kind, who = HEADER.unpack_from(data)
            found.append((kind, who, data[HEADER.size : HEADER.size + length]))
            data = data[HEADER.size + length :]
        return found

    async def test_utterances_share_a_decoder_and_wait_for_it(self) -> None:
        grammars = {INTENT.name: INTENT.jsgf()}
        fields = {"decoders": 1, "grammars": grammars, "words": sorted(INTENT.words)}
        start = orjson.dumps(fields)
        begin = orjson.dumps({"grammar": INTENT.name, "channel": []})
        sound = (await spoken("where is my credit card")).data
        answers = self.talk(
            (START, 0, start),
            (BEGIN, 1, begin), (BEGIN, 2, begin), (BEGIN, 3, begin),
            (AUDIO, 1, sound), (AUDIO, 2, sound), (AUDIO, 9, sound), (RECOGNISE, 9, b""),
            (RECOGNISE, 2, b""), (CLOSE, 3, b""), (RECOGNISE, 1, b""), (CLOSE, 1, b""),
            (99, 1, b""),
        )  # fmt: skip
        assert [(kind, who) for kind, who, _ in answers] == [
            (READY, 0), (RESULT, 1), (RESULT, 2),
        ]  # fmt: skip
        for _, _, payload in answers[1:]:
            assert orjson.loads(payload)["text"] == "where is my credit card"

    def test_a_message_that_is_too_long_ends_it(self) -> None:
        source = io.BytesIO(HEADER.pack(1 << 30, AUDIO, 1))
        serve(source, io.BytesIO())
        assert source.read() == b""


class TestDecoder:
    def test_words_that_nobody_can_pronounce_are_refused(self) -> None:
        with pytest.raises(ValueError, match="xyzzy"):
            SphinxDecoder.several(1, {}, ["yes", "xyzzy"])

    def test_what_is_no_grammar_is_refused(self) -> None:
        with pytest.raises(ValueError, match="bad"):
            SphinxDecoder.several(
                1, {"bad": "#JSGF V1.0; grammar bad; public <a> = xyzzy;"}, ["yes"]
            )

    def test_nothing_was_said(self) -> None:
        [decoder] = SphinxDecoder.several(1, {INTENT.name: INTENT.jsgf()}, INTENT.words)
        decoder.begin(INTENT.name)
        assert decoder.recognise().text is None
        decoder.begin(INTENT.name)
        decoder.feed(Pcm8k.silence(1600))
        assert decoder.recognise().confidence == 0


class TestTranscriber:
    async def test_it_hears_goes_on_and_survives_its_process(self) -> None:
        transcriber = SphinxTranscriber(1, 1)
        await transcriber.start([INTENT])
        try:
            utterance = transcriber.begin(INTENT, ())
            sound = await spoken("where is my credit card")
            utterance.feed(sound.slice(0, 8000))
            await utterance.recognise()
            utterance.feed(sound.slice(8000))
            found = await utterance.recognise()
            assert found.text == "where is my credit card"
            assert found.confidence > 0.5
            assert len(found.channel) == 13
            utterance.close()
            utterance.close()
            utterance.feed(sound)
            with pytest.raises(TranscriberError):
                await utterance.recognise()

            lost = transcriber.begin(INTENT, found.channel)
            child = transcriber.processes[0]
            assert child is not None
            os.kill(child, signal.SIGKILL)
            with pytest.raises(TranscriberError):
                await lost.recognise()
            async with asyncio.timeout(30):
                while transcriber.processes[0] in {child, None}:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                await transcriber.warm()
            again = transcriber.begin(INTENT, ())
            again.feed(sound)
            assert (await again.recognise()).text == "where is my credit card"
        finally:
            await transcriber.stop()


class TestSynthesiser:
    async def test_it_speaks_and_keeps_what_is_not_private(self) -> None:
        voice = EspeakSynthesiser("en-us", 165)
        await voice.start(["Good bye."])
        first = await voice.speech("Good bye.", private=False)
        assert first is await voice.speech("Good bye.", private=False)
        assert dbfs(first) > -35
        secret = await voice.speech("four two", private=True)
        assert secret is not await voice.speech("four two", private=True)
        await voice.stop()

    async def test_text_is_data(self) -> None:
        voice = EspeakSynthesiser("en-us", 165)
        plain = await voice.speech("hello", private=True)
        option = await voice.speech("-w /tmp/x hello", private=True)
        assert len(option) > len(plain)
        marked = await voice.speech("<break time='9s'/>hello", private=True)
        assert marked.seconds < 6
        assert len(await voice.speech("[[h@l'oU]]", private=True)) != len(plain)

    async def test_no_voice_is_an_error(self) -> None:
        with pytest.raises(SynthesiserError):
            await EspeakSynthesiser("xx-nowhere", 165).speech("hello", private=True)

    async def test_no_program_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(SynthesiserError, match="cannot be run"):
            await EspeakSynthesiser("en-us", 165).speech("hello", private=True)


class TestVoice:
    async def test_what_was_prepared_is_used_and_the_rest_is_dropped(self) -> None:
        engine = CountingSynthesiser()
        voice = Voice(engine)
        voice.prepare(["a", "b"], private=False)
        assert len(await voice.speech("a", private=False)) == 1
        voice.prepare(["a"], private=False)
        await voice.speech("a", private=False)
        assert engine.asked == ["a", "b"]
        voice.forget()
        await voice.speech("a", private=False)
        assert engine.asked == ["a", "b", "a"]

    async def test_a_failure_reaches_who_asks(self) -> None:
        voice = Voice(CountingSynthesiser())
        voice.prepare(["fail"], private=False)
        with pytest.raises(SynthesiserError):
            await voice.speech("fail", private=False)


class CountingSynthesiser:
    """A synthesiser whose speech is one sample long."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def start(self, sentences: object) -> None: ...

    async def speech(self, sentence: str, *, private: bool) -> Pcm8k:
        self.asked.append(sentence)
        await asyncio.sleep(0)
        if sentence == "fail":
            raise SynthesiserError("it does")
        return Pcm8k.silence(1)

    async def stop(self) -> None: ...


class TestVoiceActivity:
    async def test_speech_is_heard_and_silence_is_not(self) -> None:
        model = VoiceActivityModel()
        ear = VoiceActivity(model)
        assert max(ear.feed(Pcm8k.silence(32000))) < 0.3
        assert max(ear.feed(await spoken("where is my credit card"))) > 0.8
        other = VoiceActivity(model)
        assert max(other.feed(Pcm8k.silence(8000))) < 0.3


class TestResponder:
    def test_a_conversation_goes_on_from_its_context(self) -> None:
        responder = RuleResponder(DialogSettings())
        first = responder.converse(None)
        first.take(Started())
        first.take(Heard("card status"))
        again = responder.converse(first.context((1.0, 2.0)))
        assert (again.state, again.channel) == ("identify", (1.0, 2.0))

    @pytest.mark.parametrize("context", [b"", b"{", b'{"version":1,"flow":"f","dialog":{}}'])
    def test_a_context_that_cannot_be_read_begins_anew(self, context: bytes) -> None:
        conversation = RuleResponder(DialogSettings()).converse(context)
        assert conversation.state == Memory().state

    def test_foreseeing_changes_nothing(self) -> None:
        conversation = RuleResponder(DialogSettings()).converse(None)
        conversation.take(Started())
        foreseen = conversation.foresee(Heard("card status"))
        assert conversation.state == "intent"
        assert conversation.take(Heard("card status")) == foreseen


class TestSettings:
    def test_from_a_manifest(self, tmp_path: object) -> None:
        agent = VoiceAgent.model_validate(
            {
                "apiVersion": "callfleet.io/v1alpha1",
                "kind": "VoiceAgent",
                "metadata": {"name": "card-line"},
                "spec": {
                    "capacity": {"callsPerPod": 20, "workers": 1},
                    "dialog": {"language": "en-GB", "bankName": "A Bank"},
                    "banking": {"url": "http://bank.example", "timeoutSeconds": 4},
                },
            }
        )
        settings = WorkerSettings.from_voice_agent(agent)
        assert settings.voice == "en-gb"
        assert settings.dialog.bank_name == "A Bank"
        assert settings.bank.timeout_s == 4.0
        assert settings.bank.url.startswith("http://bank.example")
        assert settings.calls >= 20
        assert settings.endpointing.min_ms <= settings.endpointing.max_ms
