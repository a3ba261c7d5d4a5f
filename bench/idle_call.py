"""CPU and memory of a connected call in which nobody speaks, beside a stock Pipecat pipeline.

    python bench/idle_call.py [--quick] [--seconds 15] [--calls 1 10 25 50]

Ours is a real worker process with its pipelines, fed ticks of a line with a noise floor: of -60
dBFS, as a telephone has it, and of -40 dBFS, as a street has it (`in noise`). Stock is a
Pipecat process with a pipeline for each call: its own input and output transports with nothing
behind them and its Silero VAD between, frames of 20 ms, on uvloop. Both get 8 kHz. Ours also reads
the link and guards against echo; stock makes its frames itself. `connector` is what our other
process adds to a call, for which stock has nothing: SIP, RTP and its jitter buffer in both
directions, and the link, with phones that send noise. The CPU is the process's own user and system
time as a share of one core, the memory its resident set above that of the same process without
calls. Aim: a third of stock.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.report import Meanwhile, machine, show

from callfleet_agent.app.phone.phone import Phone, PhoneSettings
from fakes.bank import FakeBank
from fakes.line import FakeLine

OURS = """
import asyncio, sys, uvloop
from pathlib import Path
from callfleet_agent.banking import HttpBankSettings
from callfleet_agent.pipeline import WorkerSettings, worker_main
from callfleet_agent.transport.link_server import LinkServer
settings = WorkerSettings(bank=HttpBankSettings(url=sys.argv[2]), calls=60)
ready = lambda: print("ready", flush=True)
uvloop.run(worker_main(Path(sys.argv[1]), settings, LinkServer, ready=ready))
"""
CONNECTOR = """
import asyncio, sys, uvloop
sys.path.insert(0, sys.argv[1])
from fakes.connector import running, settings

async def main():
    async with running(settings(capacity={"callsPerPod": 60, "workers": 3})) as connector:
        print("port", connector.sip_port, flush=True)
        print("ready", flush=True)
        await asyncio.Event().wait()

uvloop.run(main())
"""
STOCK = """
import asyncio, random, sys, uvloop
import callfleet_agent.pipeline
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

noise = random.Random(1).randbytes(32000)
params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)

class Input(BaseInputTransport):
    async def start(self, frame):
        await super().start(frame)
        await self.set_transport_ready(frame)
        self.feeding = self.create_task(self.feed())

    async def feed(self):
        loop, number = asyncio.get_running_loop(), 0
        due = loop.time()
        while True:
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))
            number = (number + 320) % 31000
            quiet = bytes(b & 3 for b in noise[number:number + 320])
            await self.push_audio_frame(
                InputAudioRawFrame(audio=quiet, sample_rate=8000, num_channels=1)
            )

class Output(BaseOutputTransport):
    async def start(self, frame):
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame):
        return True

async def call():
    vad = VADProcessor(vad_analyzer=SileroVADAnalyzer(sample_rate=8000))
    worker = PipelineWorker(
        Pipeline([Input(params), vad, Output(params)]),
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
        enable_rtvi=False, enable_turn_tracking=False, cancel_on_idle_timeout=False,
        idle_timeout_secs=None, check_dangling_tasks=False,
    )
    runner = WorkerRunner(handle_sigint=False, handle_sigterm=False, check_dangling_tasks=False)
    await runner.add_workers(worker)
    await runner.run()

async def main():
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(int(sys.argv[1])):
            tasks.create_task(call())
            await asyncio.sleep(0.02)

uvloop.run(main())
"""


TESTS = str(Path(__file__).resolve().parent.parent / "tests")


async def process(program: str, *arguments: str) -> tuple[asyncio.subprocess.Process, str]:
    """A started process that has said that it is ready, and what it said before that."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *arguments,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert started.stdout is not None
    async with asyncio.timeout(300):
        said = ""
        while (line := await started.stdout.readline()) != b"ready\n":
            if not line:
                raise SystemExit(f"a process ended with status {await started.wait()}")
            said += line.decode()
    return started, said


@dataclass(frozen=True, slots=True)
class Pace:
    """How long is measured, and how long calls have to come to rest before."""

    seconds: float = 15.0
    rest_s: float = 3.0
    greeted: bool = True  # whether the agent has said its greeting before


async def measured(
    who: str,
    calls: int,
    seconds: float,
    pid: int,
    memory: int,
    ticks: Callable[[], int] | None = None,
) -> dict[str, object]:
    """One row: what the process used in so many seconds, and how many ticks a call had in one; a
    machine that is too busy has fewer than 50."""
    watched = psutil.Process(pid)
    before, ticked = watched.cpu_times(), ticks() if ticks else 0
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(seconds)
    after = watched.cpu_times()
    spent = after.user + after.system - before.user - before.system
    took_s = asyncio.get_running_loop().time() - began
    share = 100 * spent / took_s
    more = (watched.memory_info().rss - memory) / 2**20
    return {
        "pipeline": who,
        "calls": calls,
        "% of a core": share,
        "% of a core a call": share / calls,
        "MiB a call": more / calls,
        "ticks a second": (ticks() - ticked) / took_s / calls if ticks else "-",
    }


async def ours(calls: int, pace: Pace, folder: Path, noise_dbfs: float) -> dict[str, object]:
    """Our worker."""
    who = "ours" if noise_dbfs < -50 else "ours in noise"
    async with FakeBank() as bank:
        socket = folder / f"{calls}{noise_dbfs}.sock"
        worker, _ = await process(OURS, str(socket), bank.url)
        memory = psutil.Process(worker.pid).memory_info().rss
        lines = [FakeLine(socket, noise_dbfs=noise_dbfs) for _ in range(calls)]
        try:
            await asyncio.gather(*(line.__aenter__() for line in lines))
            ready = (line.heard_out() if pace.greeted else line.accepted() for line in lines)
            await asyncio.gather(*ready)
            row = await measured(
                who, calls, min(pace.seconds, 5.0), worker.pid, memory,
                lambda: sum(line.ticks for line in lines),
            )  # fmt: skip
            await asyncio.gather(*(line.__aexit__() for line in lines), return_exceptions=True)
            return row
        finally:
            worker.kill()
            await worker.wait()


async def connector(calls: int, pace: Pace) -> dict[str, object]:
    """Our connector, called by so many phones."""
    worker, said = await process(CONNECTOR, TESTS)
    memory = psutil.Process(worker.pid).memory_info().rss
    uri = f"sip:agent@127.0.0.1:{said.split()[-1]}"
    told = PhoneSettings(uri=uri, bind="127.0.0.1", recognise=False, listen_s=pace.seconds + 60)
    phones = []
    try:
        for _ in range(calls):
            phones.append(asyncio.create_task(Phone(told).run()))
            await asyncio.sleep(0.05)
        await asyncio.sleep(pace.rest_s)
        return await measured("our connector", calls, pace.seconds, worker.pid, memory)
    finally:
        for phone in phones:
            phone.cancel()
        await asyncio.gather(*phones, return_exceptions=True)
        worker.terminate()
        await worker.wait()


async def stock(calls: int, pace: Pace) -> dict[str, object]:
    """Pipecat as it comes."""
    worker, _ = await process(STOCK, str(calls))
    memory = psutil.Process(worker.pid).memory_info().rss
    assert worker.stdin is not None
    try:
        worker.stdin.write(b"\n")
        await worker.stdin.drain()
        await asyncio.sleep(pace.rest_s + calls * 0.3)
        return await measured("stock Pipecat", calls, pace.seconds, worker.pid, memory)
    finally:
        worker.kill()
        await worker.wait()


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one call, half a second")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 10, 25, 50])
    options = parser.parse_args()
    pace = Pace(0.5, 0.5, greeted=False) if options.quick else Pace(options.seconds)
    facts, meanwhile, rows = machine(), Meanwhile(), []
    with TemporaryDirectory() as folder:
        for calls in [1] if options.quick else options.calls:
            rows.append(await ours(calls, pace, Path(folder), -60.0))
            if not options.quick:
                rows.append(await ours(calls, pace, Path(folder), -40.0))
            rows.append(await connector(calls, pace))
            rows.append(await stock(calls, pace))
    show("idle_call", {**facts, **meanwhile.facts()}, rows)


if __name__ == "__main__":
    asyncio.run(main())
