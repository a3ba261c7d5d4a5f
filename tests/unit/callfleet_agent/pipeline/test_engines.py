"""The embedded engines, for real: decoder, its process, espeak-ng, voice activity."""

import asyncio
import io
import os
import signal

import orjson
import pytest

from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.dialog import DateOrder, Dialog, DialogSettings, Heard, Memory, Method, Started
from callfleet_agent.pipeline.ports import SynthesiserError, TranscriberError
from callfleet_agent.pipeline.responder_rules import RuleResponder
from callfleet_agent.pipeline.settings import WorkerSettings
from callfleet_agent.pipeline.sphinx_decoder import SphinxDecoder
from callfleet_agent.pipeline.sphinx_process import (
    AUDIO,
    BEGIN,
    CLOSE,
    FORGET,
    HEADER,
    NUMBER,
    READY,
    RECOGNISE,
    RESULT,
    START,
    DecoderHouse,
    serve,
)
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from callfleet_agent.pipeline.transcriber_sphinx import SphinxTranscriber
from callfleet_agent.pipeline.voice import Voice
from callfleet_agent.pipeline.voice_activity import VoiceActivity, VoiceActivityModel
from callfleet_agent.providers import Speech
from callfleet_operator.model import VoiceAgent

INTENT = Dialog().grammars()[0]


async def spoken(text: str) -> Pcm8k:
    return await EspeakSynthesiser("en-gb", 150, limit_s=60.0).speech(text, private=True)


class House:
    """A DecoderHouse that knows one grammar, and what it has answered."""

    def __init__(self, decoders: int) -> None:
        self._output = io.BytesIO()
        self.house = DecoderHouse(self._output)
        grammars = {INTENT.name: INTENT.jsgf()}
        fields = {"decoders": decoders, "grammars": grammars, "words": sorted(INTENT.words)}
        self.house.take(START, 0, orjson.dumps(fields))
        assert [kind for kind, _, _ in messages_in(self._output)] == [READY]

    def take(self, kind: int, utterance: int, payload: bytes = b"") -> None:
        if kind == BEGIN:
            payload = orjson.dumps({"grammar": INTENT.name, "channel": []})
        self.house.take(kind, utterance, payload)

    def finish(self) -> None:
        while self.house.work():
            pass

    def answers(self) -> list[tuple[int, str | None]]:
        """Utterance and text of every answer."""
        found = messages_in(self._output)[1:]
        assert all(kind == RESULT for kind, _, _ in found)
        return [(who, orjson.loads(payload)["text"]) for _, who, payload in found]


def messages_in(output: io.BytesIO) -> list[tuple[int, int, bytes]]:
    data, found = output.getvalue(), []
    while data:
        length, kind, who = HEADER.unpack_from(data)
        found.append((kind, who, data[HEADER.size : HEADER.size + length]))
        data = data[HEADER.size + length :]
    return found


class TestProcess:
    QUESTION = "where is my credit card"

    async def test_utterances_share_a_decoder_and_wait_for_it(self) -> None:
        house, sound = House(1), (await spoken(self.QUESTION)).data
        for utterance in (1, 2, 3):
            house.take(BEGIN, utterance)
        for utterance in (1, 2, 9):
            house.take(AUDIO, utterance, sound)
        house.take(RECOGNISE, 9)
        house.take(RECOGNISE, 2)
        house.take(CLOSE, 3)
        house.take(RECOGNISE, 1)
        house.take(99, 1)
        house.finish()
        assert house.answers() == [(1, self.QUESTION)]
        house.take(CLOSE, 1)
        house.finish()
        assert house.answers() == [(1, self.QUESTION), (2, self.QUESTION)]

    async def test_an_awaited_answer_comes_before_what_is_still_being_spoken(self) -> None:
        house, sound = House(2), (await spoken(self.QUESTION)).data
        for utterance in (1, 2):
            house.take(BEGIN, utterance)
            house.take(AUDIO, utterance, sound)
        house.take(RECOGNISE, 2)
        while not house.answers():
            assert house.house.work()
        assert house.answers() == [(2, self.QUESTION)]
        assert house.house.work()  # the other one's sound has been left for now
        house.take(RECOGNISE, 1)
        house.finish()
        assert house.answers()[1:] == [(1, self.QUESTION)]

    async def test_an_answer_is_about_the_sound_before_its_question(self) -> None:
        house, sound = House(1), (await spoken(self.QUESTION)).data
        house.take(BEGIN, 1)
        house.take(AUDIO, 1, sound[:1000])
        house.take(RECOGNISE, 1)
        house.take(AUDIO, 1, sound[1000:])
        house.take(RECOGNISE, 1)
        house.finish()
        (_, first), (_, second) = house.answers()
        assert first != self.QUESTION
        assert second == self.QUESTION

    async def test_an_answer_that_nobody_awaits_costs_nothing(self) -> None:
        house, sound = House(1), (await spoken(self.QUESTION)).data
        house.take(BEGIN, 1)
        house.take(AUDIO, 1, sound)
        house.take(RECOGNISE, 1)
        house.take(RECOGNISE, 1)
        house.take(FORGET, 1, NUMBER.pack(1))
        assert house.answers() == []  # in the order of the questions
        house.take(FORGET, 1, NUMBER.pack(0))
        assert house.answers() == [(1, None), (1, None)]
        house.take(RECOGNISE, 1)
        house.take(FORGET, 1, NUMBER.pack(0))
        house.take(FORGET, 1, NUMBER.pack(3))
        house.finish()
        assert house.answers() == [(1, None), (1, None), (1, self.QUESTION)]

    @pytest.mark.parametrize("sent", [b"", HEADER.pack(1 << 30, AUDIO, 1), HEADER.pack(9, 1, 1)])
    def test_it_ends_with_its_input_and_with_a_message_that_is_too_long(self, sent: bytes) -> None:
        source, sink = os.pipe()
        os.write(sink, sent)
        os.close(sink)
        serve(source, io.BytesIO())
        os.close(source)


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
        transcriber = SphinxTranscriber(1, 1, limit_s=60.0)
        await transcriber.start([INTENT])
        try:
            utterance = transcriber.begin(INTENT, ())
            sound = await spoken("where is my credit card")
            utterance.feed(sound.slice(0, 8000))
            await utterance.recognise()
            dropped = asyncio.create_task(utterance.recognise())
            await asyncio.sleep(0)
            dropped.cancel()
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
            async with asyncio.timeout(120):
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
        voice = EspeakSynthesiser("en-us", 165, limit_s=60.0)
        await voice.start(["Good bye."])
        first = await voice.speech("Good bye.", private=False)
        assert first is await voice.speech("Good bye.", private=False)
        assert dbfs(first) > -35
        secret = await voice.speech("four two", private=True)
        assert secret is not await voice.speech("four two", private=True)
        await voice.stop()

    async def test_text_is_data(self) -> None:
        voice = EspeakSynthesiser("en-us", 165, limit_s=60.0)
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
        voice.prepare(["a"], private=False)
        assert len(await voice.speech("a", private=False).whole()) == 1
        assert engine.asked == ["a", "b"]
        voice.forget()
        await voice.speech("a", private=False).whole()
        assert engine.asked == ["a", "b", "a"]

    async def test_what_was_given_out_is_cancelled_too(self) -> None:
        voice = Voice(CountingSynthesiser())
        speech = voice.speech("a", private=False)
        voice.forget()
        with pytest.raises(SynthesiserError):
            await speech.whole()

    async def test_a_failure_reaches_who_asks(self) -> None:
        voice = Voice(CountingSynthesiser())
        voice.prepare(["fail"], private=False)
        with pytest.raises(SynthesiserError):
            await voice.speech("fail", private=False).whole()


class CountingSynthesiser:
    """A synthesiser whose speech is one sample long."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def speech(self, sentence: str, *, private: bool, told: object = None) -> Speech:
        self.asked.append(sentence)

        async def make(speech: Speech) -> None:
            await asyncio.sleep(0)
            if sentence == "fail":
                raise SynthesiserError("it does")
            speech.add(Pcm8k.silence(1), anew=False)

        return Speech(make)


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
        assert settings.dialog.date_order is DateOrder.DAY_FIRST
        assert settings.dialog.bank_name == "A Bank"
        assert settings.bank.timeout_s == 4.0
        assert settings.bank.url.startswith("http://bank.example")
        assert settings.calls >= 20
        assert settings.endpointing.min_ms <= settings.endpointing.max_ms

    @pytest.mark.parametrize("language", ["en", "en-US"])
    @pytest.mark.parametrize("method", Method)
    def test_each_way_of_proving_is_the_dialogs(self, language: str, method: Method) -> None:
        agent = VoiceAgent.model_validate(
            {
                "apiVersion": "callfleet.io/v1alpha1",
                "kind": "VoiceAgent",
                "metadata": {"name": "card-line"},
                "spec": {"dialog": {"language": language, "authentication": {"method": method}}},
            }
        )
        dialog = WorkerSettings.from_voice_agent(agent).dialog
        assert (dialog.method, dialog.date_order) == (method, DateOrder.MONTH_FIRST)
