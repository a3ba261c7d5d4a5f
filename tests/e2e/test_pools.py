"""ProviderPools on a cluster: engines that really run, and callers who hear no failure."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callfleet_agent.app.recognise import (
    Recogniser,
    agent_side,
    recognise_recording,
    recognise_status,
    utterances,
)
from callfleet_agent.audio import FRAME_SAMPLES, Pcm8k, Pcm16k
from callfleet_agent.audio.level import dbfs
from callfleet_agent.audio.resample import resample
from callfleet_hack import demo_models
from callfleet_hack.demo_pools import says_all
from callfleet_hack.errors import HackError
from callfleet_hack.platform import Platform
from e2e.fleet import CUSTOMER, Fleet, Object, eventually
from e2e.pools import (
    ONE_WORD,
    RECOGNISER,
    THINKER,
    VOICE,
    Calling,
    agent_image,
    apply_pool,
    calling,
    claim_models,
    kill_pods,
    logs_of,
    metric_of,
    model_server,
    ready_of,
    release_models,
    status_of,
    wait_ready,
    wait_reason,
)

QUESTION = ("--say", "where is my credit card")
WHOLE = (
    "your card was shipped on november the twentieth with royal mail"
    " and should reach you by november the twenty fifth"
)
INTO_THE_ANSWER_S, ANSWER_TAKES_S = 1.0, 5.5
PAUSE_DBFS, PAUSE_FRAMES = -50.0, 3


@pytest.fixture(scope="module")
def models(platform: Platform, proxy: str) -> None:
    """On every node; the platform is there, so that its image can carry them."""
    folder = demo_models.make()
    demo_models.put_on_nodes(platform, folder, agent_image(platform))


@pytest.fixture
def claimed(fleet: Fleet, models: None) -> Iterator[Fleet]:
    """A namespace with a claim on the models."""
    claim_models(fleet)
    yield fleet
    release_models(fleet)


def test_a_pool_of_every_engine_that_runs_here_becomes_ready(claimed: Fleet) -> None:
    fleet = claimed
    url = model_server(fleet, "cloud")
    pools: dict[str, Object] = {
        "voice": VOICE,
        "listener": RECOGNISER,
        "one-word": ONE_WORD,
        "ears": {"engine": "sphinx"},
        "at-hand": {"engine": "espeak"},
        "rulebook": {"engine": "rules"},
        "detector": {"engine": "silero"},
        "cloud": {"engine": "openai", "external": {"baseUrl": url}},
    }
    for name, spec in pools.items():
        apply_pool(fleet, name, **spec)

    wait_ready(fleet, *pools)

    reasons = {name: ready_of(fleet, name)["reason"] for name in pools}
    embedded = dict.fromkeys(("ears", "at-hand", "rulebook", "detector"), "Embedded")
    assert reasons == {
        **embedded,
        "voice": "Serving",
        "listener": "Serving",
        "one-word": "Serving",
        "cloud": "Reachable",
    }
    versions = {"voice": "piper ", "listener": "faster-whisper ", "one-word": "vosk "}
    for name, version in versions.items():
        status = status_of(fleet, name)
        assert status["readyReplicas"] == 1
        assert status["endpoint"] == f"grpcs://{name}-pool.{fleet.namespace}.svc:9443"
        assert "firstTokenMilliseconds" in status
        assert status["realTimeFactor"] >= 0  # a model this small takes next to nothing
        assert status["engineVersion"].startswith(version)


def test_a_real_llama_server_answers_before_its_pod_is_ready(claimed: Fleet) -> None:
    """Where CALLFLEET_LLAMACPP_IMAGE names an image of llama.cpp's server that the nodes have."""
    image = os.environ.get("CALLFLEET_LLAMACPP_IMAGE")
    if not image:
        pytest.skip("CALLFLEET_LLAMACPP_IMAGE names no image of llama-server")
    fleet = claimed
    apply_pool(fleet, "thinker", **THINKER, image=image)
    apply_pool(fleet, "rulebook", engine="rules")
    wait_ready(fleet, "thinker", "rulebook")
    status = status_of(fleet, "thinker")
    assert status["endpoint"] == f"http://thinker-pool.{fleet.namespace}.svc:8080/v1"
    assert status["engineVersion"]
    assert "firstTokenMilliseconds" in status
    fleet.apply(providers={"llm": [{"pool": "thinker"}, {"pool": "rulebook"}]})
    fleet.ready()

    assert recognise_status(fleet.call(*QUESTION, *CUSTOMER)["wav"]) == "shipped"


@pytest.mark.spoken
def test_a_voice_whose_pods_are_deleted_in_the_middle_of_a_sentence(claimed: Fleet) -> None:
    fleet = claimed
    apply_pool(fleet, "recorded", **VOICE)
    apply_pool(fleet, "at-hand", engine="espeak")
    wait_ready(fleet, "recorded", "at-hand")
    fleet.apply(providers={"tts": [{"pool": "recorded"}, {"pool": "at-hand"}]})
    fleet.ready()

    with calling(fleet, *QUESTION, *CUSTOMER, "--say", "no", "--wait-for-bye") as call:
        began = into_the_answer(
            call,
            lambda: metric_of(
                fleet, "callfleet.io/pool=recorded", "callfleet_engine_first_result_seconds_count"
            ),
        )
        kill_pods(fleet, "callfleet.io/pool=recorded")
        assert time.monotonic() - began < ANSWER_TAKES_S  # it is still being said
        call.finished()

    assert says_all(heard(call.wav), WHOLE)
    assert recognise_status(call.wav) == "shipped"
    assert heard(call.wav).endswith("thank you for calling good bye")
    wait_ready(fleet, "recorded")  # and it comes back


@pytest.mark.spoken
def test_a_stream_that_is_cut_by_the_deletion_is_said_again_by_the_next_voice(
    fleet: Fleet,
) -> None:
    apply_pool(
        fleet, "cloud", engine="openai", stage="tts",
        external={"baseUrl": model_server(fleet, "cloud")},
    )  # fmt: skip
    apply_pool(fleet, "at-hand", engine="espeak")
    wait_ready(fleet, "cloud", "at-hand")
    fleet.apply(providers={"tts": [{"pool": "cloud"}, {"pool": "at-hand"}]})
    fleet.ready()

    with calling(fleet, *QUESTION, *CUSTOMER) as call:
        began = into_the_answer(call, lambda: logs_of(fleet, "cloud").count("speaking"))
        log = logs_of(fleet, "cloud")
        kill_pods(fleet, "app=cloud")
        assert time.monotonic() - began < ANSWER_TAKES_S
        call.finished()

    # A sentence was being made when its pod went: more were begun than ended.
    assert log.count("speaking") > log.count("spoke")
    assert any(says_all(text, WHOLE) for text in heard_after_pauses(call.wav))


@pytest.mark.spoken
def test_ears_that_die_in_a_turn_are_followed_by_some_that_hear_all_of_it(fleet: Fleet) -> None:
    url = model_server(fleet, "cloud", "--dies-when-it-hears")
    apply_pool(fleet, "cloud", engine="openai", stage="asr", external={"baseUrl": url})
    apply_pool(fleet, "ears", engine="sphinx")
    wait_ready(fleet, "cloud", "ears")
    fleet.apply(providers={"asr": [{"pool": "cloud"}, {"pool": "ears"}]})
    fleet.ready()

    report = fleet.call(*QUESTION, *CUSTOMER)

    assert recognise_status(report["wav"]) == "shipped"


def test_a_pool_in_use_stays_and_says_who_uses_it(claimed: Fleet) -> None:
    fleet = claimed
    apply_pool(fleet, "recorded", **VOICE)
    wait_ready(fleet, "recorded")
    fleet.apply(providers={"tts": [{"pool": "recorded"}]})
    fleet.ready()

    fleet.platform.kubectl(
        "-n", fleet.namespace, "delete", "providerpool", "recorded", "--wait=false"
    )

    told = wait_reason(fleet, "recorded", "DeletionWaits", within_s=30)
    assert told["status"] == "True"  # it serves on
    assert fleet.name in told["message"]
    assert recognise_status(fleet.call(*QUESTION, *CUSTOMER)["wav"]) == "shipped"
    line = fleet.platform.kubectl("-n", fleet.namespace, "get", "providerpool", "recorded")
    header, row = (text.split() for text in line.splitlines())
    shown = dict(zip(header, row, strict=False))
    assert (shown["ENGINE"], shown["READY"], shown["USERS"]) == ("piper", "True", "1")

    fleet.delete()
    fleet.platform.until_gone("-n", fleet.namespace, "providerpool/recorded")


def test_a_pool_sleeps_until_a_call_and_the_next_in_the_chain_bridges_it(claimed: Fleet) -> None:
    fleet = claimed
    scaling = {"metric": "calls", "minReplicas": 0, "maxReplicas": 1, "idleSeconds": 45}
    apply_pool(fleet, "recorded", **VOICE, scaling=scaling)
    apply_pool(fleet, "at-hand", engine="espeak")
    fleet.apply(providers={"tts": [{"pool": "recorded"}, {"pool": "at-hand"}]})
    fleet.ready()
    wait_reason(fleet, "recorded", "Asleep", within_s=120)
    fleet.platform.until_gone("-n", fleet.namespace, "pods", "-l", "callfleet.io/pool=recorded")

    report = fleet.call(*QUESTION, *CUSTOMER)

    assert recognise_status(report["wav"]) == "shipped"  # by the one that does not sleep
    wait_reason(fleet, "recorded", "Serving", within_s=60)
    wait_reason(fleet, "recorded", "Asleep", within_s=120)


def test_a_pool_without_its_model_says_what_to_mend(claimed: Fleet) -> None:
    fleet = claimed
    model = VOICE["model"] | {"file": "nobody.onnx"}
    apply_pool(fleet, "recorded", **(VOICE | {"model": model}))

    told = wait_reason(fleet, "recorded", "ModelNotFound", within_s=90)

    assert "spec.model.uri" in told["message"]


def test_a_model_that_does_not_fit_its_engine_says_what_is_missing(claimed: Fleet) -> None:
    fleet = claimed
    apply_pool(fleet, "listener", **(RECOGNISER | {"model": ONE_WORD["model"]}))

    told = wait_reason(fleet, "listener", "ModelUnfit", within_s=90)

    assert "model.bin is not in it" in told["message"]
    assert "spec.engine is whisper" in told["message"]


def test_a_pool_that_asks_for_gpus_that_are_not_there_says_so(claimed: Fleet) -> None:
    fleet = claimed
    gpu = {"gpu": {"resourceName": "nvidia.com/gpu", "count": 2}}
    apply_pool(fleet, "listener", **(RECOGNISER | {"resources": gpu}))

    told = wait_reason(fleet, "listener", "InsufficientGPU", within_s=60)

    assert "nvidia.com/gpu" in told["message"]


def test_what_cannot_be_is_refused_at_admission(fleet: Fleet) -> None:
    with pytest.raises(HackError, match="model"):
        apply_pool(fleet, "voice", engine="piper")


def into_the_answer(call: Calling, spoken: Callable[[], float]) -> float:
    """Until the caller has begun to hear where the card is; answers since when, in monotonic
    seconds. `spoken` counts sentences that were begun: after the customer number comes another
    question, and then the answer.
    """
    call.until("[keys 200417]")
    before = spoken()
    call.until("[keys 4271]")
    eventually(lambda: spoken() >= before + 2, within_s=20, what="the answer")
    began = time.monotonic()
    time.sleep(INTO_THE_ANSWER_S)
    return began


def heard_after_pauses(wav: Path) -> Iterator[str]:
    """What the agent said from each pause on. The recogniser knows whole sentences only: half of
    one, before the next voice begins, misleads it about all that follows.
    """
    recogniser = Recogniser()
    for utterance in utterances(agent_side(wav)):
        for start in (0, *ends_of_pauses(utterance)):
            rest = utterance.slice(start, len(utterance))
            yield recogniser.recognise(resample(rest, Pcm16k))


def ends_of_pauses(utterance: Pcm8k) -> Iterator[int]:
    """Where somebody speaks again, in samples, after 60 ms of quiet or more."""
    quiet = 0
    for start in range(0, len(utterance), FRAME_SAMPLES):
        if dbfs(utterance.slice(start, start + FRAME_SAMPLES)) < PAUSE_DBFS:
            quiet += 1
        else:
            if quiet >= PAUSE_FRAMES:
                yield start
            quiet = 0


def heard(wav: object) -> str:
    """All that the agent said."""
    return " ".join(recognise_recording(wav))  # type: ignore[arg-type]
