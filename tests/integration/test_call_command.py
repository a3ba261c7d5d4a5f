"""The `callfleet` command's exit statuses and messages, as a person meets them."""

import asyncio
import json
import os
import socket
import sys
import wave
from pathlib import Path

import pytest

from callfleet_agent.app.cli import exits
from fakes.connector import LOOPBACK, running, settings
from fakes.fading_agent import FadingAgent, fading

MANIFEST = """
apiVersion: callfleet.io/v1alpha1
kind: VoiceAgent
metadata: {name: card-line}
spec: {}
"""


UNTIL_TOLD = (
    "--answer-timeout",
    "60",
)  # that nobody is there, which a resolver may take its time for
TCP = ("--transport", "tcp", *UNTIL_TOLD)


async def callfleet(*arguments: str, path: str | None = None) -> tuple[int, str, str]:
    """Exit status, standard output and standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "callfleet_agent.main", *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **({} if path is None else {"PATH": path})},
    )  # fmt: skip
    async with asyncio.timeout(150):
        output, complaint = await process.communicate()
    return process.returncode or 0, output.decode(), complaint.decode()


def manifest(folder: Path, text: str = MANIFEST) -> str:
    path = folder / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


async def test_a_bad_manifest_names_the_field(tmp_path: Path) -> None:
    text = MANIFEST.replace("spec: {}", "spec: {capacity: {callsPerPod: 0}}")
    status, _, complaint = await callfleet("run", manifest(tmp_path, text))
    assert status == exits.BAD_INPUT
    assert "spec.capacity.callsPerPod" in complaint
    assert "Traceback" not in complaint


async def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    status, _, complaint = await callfleet("run", str(tmp_path / "none.yaml"))
    assert status == exits.BAD_INPUT
    assert "No such file" in complaint


async def test_an_unknown_status_of_the_demo_bank(tmp_path: Path) -> None:
    status, _, complaint = await callfleet("run", manifest(tmp_path), "--card-status", "eaten")
    assert status == exits.FAILED
    assert "'eaten' is no status of a card" in complaint
    assert "Traceback" not in complaint


async def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((LOOPBACK, 0))
        port = str(other.getsockname()[1])
        status, _, complaint = await callfleet("run", manifest(tmp_path), "--port", port)
    assert status == exits.ADDRESS_IN_USE
    assert f"cannot listen for SIP on {LOOPBACK}:{port}: Address already in use" in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("command", ["run", "call"])
async def test_without_espeak_it_says_how_to_get_it(tmp_path: Path, command: str) -> None:
    arguments = {
        "run": ("run", manifest(tmp_path)),
        "call": ("call", f"sip:agent@{LOOPBACK}:9", "--say", "hello"),
    }[command]
    status, _, complaint = await callfleet(*arguments, path=str(tmp_path))
    assert status == exits.MISSING_TOOL
    assert "espeak-ng is not on the PATH" in complaint


@pytest.mark.parametrize(
    ("uri", "options", "told"),
    [
        (f"sip:agent@{LOOPBACK}:9", (), f"nobody listens at UDP {LOOPBACK}:9; is the agent"),
        (f"{LOOPBACK}:9", (), f"nobody listens at UDP {LOOPBACK}:9; is the agent"),
        (f"sip:agent@{LOOPBACK}:9", TCP, f"TCP {LOOPBACK}:9 cannot be reached"),
        ("sip:agent@agent.invalid", UNTIL_TOLD, "UDP agent.invalid:5060 cannot be reached"),
    ],
)
async def test_an_agent_that_is_not_there(uri: str, options: tuple[str, ...], told: str) -> None:
    status, output, complaint = await callfleet(
        "call", uri, "--no-text", "--answer-timeout", "2", *options
    )
    assert (status, complaint) == (exits.NOT_ANSWERED, "")
    assert f"not-answered: {told}" in output


async def test_an_agent_that_does_not_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((LOOPBACK, 0))
        uri = f"sip:agent@{LOOPBACK}:{silent.getsockname()[1]}"
        status, output, _ = await callfleet("call", uri, "--no-text", "--answer-timeout", "1")
    assert status == exits.NOT_ANSWERED
    assert f"not-answered: no answer in 1 s from UDP {uri.partition('@')[2]}" in output
    assert "nobody listens" not in output


async def test_a_call_from_the_command_line_is_measured_and_recorded(tmp_path: Path) -> None:
    async with running() as connector:
        recording = tmp_path / "call.wav"
        uri = f"sip:agent@{LOOPBACK}:{connector.sip_port}"
        arguments = ("call", uri, "--no-text", "--dtmf", "*", "--wait-for-bye")
        status, output, complaint = await callfleet(*arguments, "--record", str(recording))
        assert (status, complaint) == (0, "")
        assert "ended by agent" in output
        assert recording.exists()
        status, output, _ = await callfleet("call", uri, "--no-text", "--dtmf", "#", "--dtmf", "1")
        assert status == exits.CUT_OFF


async def test_a_file_is_played_and_the_caller_stays_to_listen(tmp_path: Path) -> None:
    sound = tmp_path / "words.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes([0, 64]) * 8000)  # half a second
    async with running() as connector:
        uri = f"sip:agent@{LOOPBACK}:{connector.sip_port}"
        status, output, complaint = await callfleet(
            "call", uri, "--play", str(sound), "--listen", "1", "--no-text", "--json",
            "--codec", "pcma", "--transport", "tcp", "--from", "sip:+15550123@127.0.0.1",
        )  # fmt: skip
    report = json.loads(output)
    assert (status, complaint) == (0, "")
    assert (report["outcome"], report["codec"]) == ("ok", "PCMA")
    assert [(turn["kind"], turn["said"]) for turn in report["turns"]] == [("play", "[words.wav]")]
    # A packet every 20 ms from the beginning to the end, whether anything is said or not; a busy
    # machine has no time for some.
    due = report["packets_sent"] + report["packets_skipped"]
    assert due >= report["duration_s"] / 0.02 * 0.9


async def test_a_file_that_cannot_be_played_is_said(tmp_path: Path) -> None:
    uri = f"sip:agent@{LOOPBACK}:9"
    status, _, complaint = await callfleet("call", uri, "--play", str(tmp_path / "none.wav"))
    assert status == exits.FAILED
    assert "cannot play" in complaint
    assert "Traceback" not in complaint


async def test_a_refusal_has_its_status() -> None:
    async with running(settings(capacity={"callsPerPod": 1})) as connector:
        uri = f"sip:agent@{LOOPBACK}:{connector.sip_port}"
        first = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "callfleet_agent.main", "call", uri, "--no-text", "--json",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(120):
            while connector.calls == 0:
                await connector.changed_since(connector.version)
        status, output, _ = await callfleet("call", uri, "--no-text")
        assert status == exits.REFUSED
        assert "503 All Lines Busy, try again in 10 s" in output
        first.send_signal(2)
        await first.communicate()
        assert first.returncode == exits.STOPPED


@pytest.mark.parametrize(
    ("bye", "status", "ended_by", "told"),
    [
        (200, 0, "local", "ok, ended by local"),
        (481, exits.BROKEN, "bye-refused", "broken, our BYE was refused with 481"),
        (503, exits.BROKEN, "bye-refused", "broken, our BYE was refused with 503"),
        (None, exits.BROKEN, "nobody-answered-bye", "broken, nobody answered our BYE"),
    ],
)
async def test_the_exit_status_says_how_the_call_ended(
    bye: int | None, status: int, ended_by: str, told: str
) -> None:
    async with fading(FadingAgent(bye=bye)) as agent:
        arguments = ("call", f"sip:agent@{LOOPBACK}:{agent.port}", "--no-text", "--listen", "0.3")
        given, output, complaint = await callfleet(*arguments)
        assert (given, complaint) == (status, "")
        assert told in output
        given, output, complaint = await callfleet(*arguments, "--json")
        assert agent.byes >= 2
    report = json.loads(output)
    assert (given, complaint) == (status, "")
    assert (report["ended_by"], report["bye_status"]) == (ended_by, bye)
    assert report["outcome"] == ("ok" if bye == 200 else "broken")
    assert report["answered_by"] == f"{LOOPBACK}:{agent.port}"


async def test_the_demo_bank_is_served_until_it_is_told_to_stop() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "callfleet_agent.main", "serve", "demo-bank",
        "--host", LOOPBACK, "--port", "0", "--status", "lost",
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    async with asyncio.timeout(120):
        assert b"the demonstration bank listens" in await process.stderr.readline()
    process.terminate()
    await process.communicate()
    assert process.returncode == 0
