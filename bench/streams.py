"""Conversations over streams: how long the first sound takes, and whether others are held up by it.

    python bench/streams.py [--quick] [--calls 1 6 12] [--seconds 20]

`callfleet serve ai-voice-connector` in a process of its own, mutual TLS, no stores, a fake bank.
Callers ask a question again and again; meanwhile another client asks every 20 ms how its session
is doing, which the server answers from memory: what that takes is what its event loop is held up.
The first row is the baseline: nobody speaks. Memory is that of the server and all of its children.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench import report

from callfleet.v1 import common_pb2, connector_pb2, connector_pb2_grpc
from callfleet_agent.audio import Pcm8k
from callfleet_agent.audio.g711 import Law, encode
from callfleet_agent.pipeline.synthesiser_espeak import EspeakSynthesiser
from fakes.bank import FakeBank
from identities import CLIENT, ISSUER, SERVICE, Authority, Tokens, channel
from platform_rig import stub
from ports import free_port

PCMU = common_pb2.AUDIO_FORMAT_PCMU
CHUNK = 160


@contextmanager
def served(folder: Path, authority: Authority, tokens: Tokens, bank: str) -> Iterator[Any]:
    """The server's process and port, once it is ready."""
    port, http_port = free_port(), free_port()
    files = authority.issue(folder / "server", SERVICE)
    command = [
        sys.executable, "-m", "callfleet_agent.main", "serve", "ai-voice-connector",
        "--bind", "127.0.0.1", "--port", str(port), "--http-port", str(http_port),
        "--tls", str(files.certificate.parent), "--token-keys", str(tokens.path),
        "--token-issuer", ISSUER, "--bank-url", bank, "--calls", "25",
        "--per-minute", "6000000", "--burst", "1000000",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/readyz"):
                    break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, "the server has ended"
                time.sleep(0.1)
        yield process, port
    finally:
        process.terminate()
        process.wait(60)


class Bench:
    """One server and who talks with it."""

    def __init__(self, stub: Any, metadata: Any, question: Pcm8k) -> None:
        self.stub = stub
        self.metadata = metadata
        self.question = question
        self.first_ms: list[float] = []
        self.status_ms: list[float] = []

    async def session(self) -> str:
        request = connector_pb2.CreateSessionRequest(format=PCMU, sample_rate=8000)
        return str((await self.stub.CreateSession(request, metadata=self.metadata)).session_id)

    async def converse(self, seconds: float) -> None:
        """One caller."""
        session = await self.session()
        began = time.monotonic()

        async def caller() -> AsyncIterator[common_pb2.AudioChunk]:
            number, due = 0, time.monotonic()
            quiet = Pcm8k.silence(8000 * 4)
            while True:
                for sound in (quiet, self.question):
                    for at in range(0, len(sound), CHUNK):
                        yield common_pb2.AudioChunk(
                            audio_data=encode(sound.slice(at, at + CHUNK), Law.PCMU),
                            sample_rate=8000, format=PCMU, sequence_number=number,
                            session_id=session,
                        )  # fmt: skip
                        number, due = number + 1, due + 0.02
                        await asyncio.sleep(max(0.0, due - time.monotonic()))

        stream = self.stub.ProcessAudioStream(caller(), metadata=self.metadata)
        heard = False
        async for _ in stream:
            if not heard:
                self.first_ms.append((time.monotonic() - began) * 1000)
                heard = True
            if time.monotonic() - began > seconds:
                stream.cancel()
                return

    async def watch(self) -> None:
        """Somebody who asks how a session is doing, until cancelled."""
        question = connector_pb2.SessionStatusRequest(session_id=await self.session())
        while True:
            began = time.monotonic()
            await self.stub.GetSessionStatus(question, metadata=self.metadata)
            took = time.monotonic() - began
            self.status_ms.append(took * 1000)
            await asyncio.sleep(max(0.0, 0.02 - took))


async def measure(bench: Bench, server: psutil.Process, calls: int, seconds: float) -> Any:
    bench.first_ms, bench.status_ms = [], []
    watching = asyncio.create_task(bench.watch())
    try:
        if calls:
            await asyncio.gather(*(bench.converse(seconds) for _ in range(calls)))
        else:
            await asyncio.sleep(seconds)
        tree = [server, *server.children(recursive=True)]
        memory = sum(one.memory_info().rss for one in tree) / 2**20
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    first = bench.first_ms or [0.0]
    return {
        "calls": calls,
        "first_ms_p50": report.percentile(first, 50),
        "first_ms_max": max(first),
        "status_ms_p50": report.percentile(bench.status_ms, 50),
        "status_ms_p99": report.percentile(bench.status_ms, 99),
        "status_ms_max": max(bench.status_ms),
        "asked": len(bench.status_ms),
        "rss_mib": round(memory),
        "processes": len(tree),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 6, 12])
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    calls, seconds = ([1], 5.0) if given.quick else (given.calls, given.seconds)
    facts = report.machine()
    question = await EspeakSynthesiser("en-gb", 150).speech("where is my credit card", private=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority, tokens = Authority(), Tokens(folder / "jwks.json")
        async with FakeBank() as bank:
            with served(folder, authority, tokens, bank.url) as (process, port):
                files = authority.issue(folder / "client", CLIENT)
                async with channel(port, files) as on:
                    avc = stub(connector_pb2_grpc.AIVoiceConnectorServiceStub, on)
                    bench = Bench(avc, tokens.metadata(CLIENT), question)
                    server = psutil.Process(process.pid)
                    rows = [await measure(bench, server, count, seconds) for count in (0, *calls)]
    report.show("streams", facts, rows)


if __name__ == "__main__":
    asyncio.run(main())
