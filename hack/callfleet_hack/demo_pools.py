"""`make demo ARGS=--pools`: the voice's pods are deleted in the middle of a sentence."""

import json
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from callfleet_hack import demo_models
from callfleet_hack.cache import REPOSITORY
from callfleet_hack.console import say, step
from callfleet_hack.errors import HackError
from callfleet_hack.platform import NAMESPACE as PLATFORM_NAMESPACE
from callfleet_hack.platform import RELEASE, Platform

EXAMPLE = REPOSITORY / "examples" / "pools-failover.yaml"
NAMESPACE = "bank"
AGENT, FIRST, SECOND = "card-line-pools", "recorded", "at-hand"
SOFTPHONE = REPOSITORY / ".venv" / "bin" / "callfleet"
# After the first of these keys comes another question, after the second the answer.
KEYS = ("[keys 200417]", "[keys 4271]")
SENTENCES = "callfleet_engine_first_result_seconds_count"  # that the voice has begun
ANSWER_WITHIN_S = 20.0
INTO_THE_ANSWER_S = 1.0  # it takes six seconds to say
CALL_WITHIN_S = 150


@dataclass
class GoingCall:
    """The softphone's lines, shown as they come."""

    process: subprocess.Popen[str]
    heard: list[str] = field(default_factory=list)
    pressed: dict[str, threading.Event] = field(
        default_factory=lambda: {keys: threading.Event() for keys in KEYS}
    )

    def follow(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            say(line.rstrip())
            who, _, text = line.strip().partition(": ")
            if who == "agent":
                self.heard.append(text)
            if who == "caller" and text in self.pressed:
                self.pressed[text].set()
        for event in self.pressed.values():
            event.set()


def apply(platform: Platform) -> str:
    """The models on the nodes, pools and agent ready; answers the agent's number."""
    models = demo_models.make()
    demo_models.put_on_nodes(platform, models, _agent_image(platform))
    manifests = {one["metadata"]["name"]: one for one in yaml.safe_load_all(EXAMPLE.read_text())}
    agent, voice = manifests[AGENT], manifests[FIRST]
    # A voice that is another than the last time rolls out.
    voice["spec"]["model"]["checksum"] = demo_models.checksum(models / "voice" / "recordings.onnx")
    if platform.images:
        agent["spec"].setdefault("pod", {})["image"] = platform.images[0]
    with step(f"applying {EXAMPLE.relative_to(REPOSITORY)}"):
        platform.apply(str(yaml.safe_dump_all(manifests.values())), "-n", NAMESPACE)
        for what in (f"providerpool/{FIRST}", f"providerpool/{SECOND}", f"voiceagent/{AGENT}"):
            platform.wait(what, "Ready", namespace=NAMESPACE, timeout_s=180)
        rollout = ("rollout", "status", f"deployment/{FIRST}-pool", "--timeout=120s")
        platform.kubectl("-n", NAMESPACE, *rollout, timeout_s=130)
    return str(agent["spec"]["sip"]["numbers"][0])


def show(platform: Platform, when: str) -> None:
    """What a platform engineer would look at."""
    say(f"\n── the pools {when} " + "─" * (61 - len(when)))
    say(platform.kubectl("-n", NAMESPACE, "get", "providerpools"))


def call(platform: Platform, uri: str, recording: Path, turns: list[str], status: str) -> None:
    """A call in which the first voice goes while it says where the card is.

    Raises:
        HackError: the caller did not hear the whole answer.
    """
    shown = " ".join(json.dumps(word) if " " in word else word for word in turns)
    say(f"── a call: callfleet call {uri} {shown} " + "─" * 10)
    recording.parent.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [SOFTPHONE, "call", uri, *turns, "--record", recording],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    going = GoingCall(process)
    follower = threading.Thread(target=going.follow, daemon=True)
    follower.start()
    try:
        _into_the_answer(platform, going)
        _delete(platform)
        ended = process.wait(CALL_WITHIN_S)
    except subprocess.TimeoutExpired as error:
        raise HackError(f"the call did not end within {CALL_WITHIN_S} s") from error
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        follower.join(10)
    if ended:
        raise HackError(f"the call failed (exit status {ended})")
    judge(going.heard, status)


def _into_the_answer(platform: Platform, going: GoingCall) -> None:
    """Until the caller hears where the card is."""
    first, second = KEYS
    going.pressed[first].wait(CALL_WITHIN_S)
    before = _begun(platform)
    going.pressed[second].wait(CALL_WITHIN_S)
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while _begun(platform) < before + 2:
        if (ended := going.process.poll()) is not None:
            raise HackError(f"the call ended before the answer (exit status {ended})")
        if time.monotonic() > deadline:
            raise HackError(f"the first voice was not asked for the answer; heard: {going.heard}")
        time.sleep(0.1)
    time.sleep(INTO_THE_ANSWER_S)


def _begun(platform: Platform) -> float:
    """Sentences that the first voice has begun."""
    total = 0.0
    for pod in platform.get("-n", NAMESPACE, "pods", "-l", _pods(FIRST))["items"]:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        for line in platform.kubectl("get", "--raw", path).splitlines():
            name, _, value = line.partition(" ")
            total += float(value) if name == SENTENCES else 0.0
    return total


def _delete(platform: Platform) -> None:
    arguments = ("-n", NAMESPACE, "delete", "pods", "-l", _pods(FIRST))
    say(f"     ── kubectl {' '.join(arguments)} --grace-period=0 --force")
    gone = platform.kubectl(*arguments, "--grace-period=0", "--force")
    say("\n".join(f"        {line}" for line in gone.splitlines() if "deleted" in line))


def says_all(line: str, whole: str) -> bool:
    """Whether all words were said in order. A voice that takes over begins some words before the
    place where the first one broke off, and half a word may be heard as others.
    """
    words = whole.split()
    return any(
        re.search(
            rf"\b{' '.join(words[:end])}( \S+){{0,3}} {' '.join(words[begin:])}\b", f" {line}"
        )
        for end in range(1, len(words) + 1)
        for begin in range(min(end, len(words) - 1) + 1)
    )


def judge(heard: list[str], status: str) -> None:
    whole = _words(demo_models.answer(status))
    if not any(says_all(line, whole) for line in heard):
        raise HackError(f"the caller did not hear all of {whole!r}; heard was {heard}")
    say(f"\n  ✓ the caller heard the whole answer: “{whole}”")


def _words(text: str) -> str:
    """As the softphone writes what it recognised."""
    return " ".join(re.findall(r"[a-z']+", text.lower().replace("-", " ")))


def _pods(pool: str) -> str:
    return f"callfleet.io/pool={pool}"


def _agent_image(platform: Platform) -> str:
    if platform.images:
        return platform.images[0]
    settings = platform.get("-n", PLATFORM_NAMESPACE, "configmap", f"{RELEASE}-operator")
    return str(yaml.safe_load(settings["data"]["operator.yaml"])["agentImage"])
