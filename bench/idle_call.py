"""CPU and memory of a connected call in which nobody speaks, beside a stock Pipecat pipeline.

    python bench/idle_call.py [--quick] [--seconds 15] [--calls 1 10 25 50]

Ours is a real worker process with its pipelines, fed ticks of a line with a noise floor. Stock is a
Pipecat process with a pipeline for each call: its own input and output transports with nothing
behind them and its Silero VAD between, frames of 20 ms, on uvloop. Both get 8 kHz. Ours also reads
the link and guards against echo; stock makes its frames itself. The CPU
is the process's own user and system time as a share of one core, the memory its resident set above
that of the same process without calls. Aim: a third of stock.
"""

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.report import machine, show

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


async def process(program: str, *arguments: str) -> asyncio.subprocess.Process:
    """A started process that has said that it is ready."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *arguments,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert started.stdout is not None
    async with asyncio.timeout(120):
        while await started.stdout.readline() != b"ready\n":
            pass
    return started


async def measured(
    who: str, calls: int, seconds: float, pid: int, memory: int
) -> dict[str, object]:
    """One row: what the process used in so many seconds."""
    watched = psutil.Process(pid)
    before = watched.cpu_times()
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(seconds)
    after = watched.cpu_times()
    spent = after.user + after.system - before.user - before.system
    share = 100 * spent / (asyncio.get_running_loop().time() - began)
    more = (watched.memory_info().rss - memory) / 2**20
    return {
        "pipeline": who,
        "calls": calls,
        "% of a core": share,
        "% of a core a call": share / calls,
        "MiB a call": more / calls,
    }


async def ours(calls: int, seconds: float, folder: Path) -> dict[str, object]:
    """Our worker."""
    async with FakeBank() as bank:
        socket = folder / f"{calls}.sock"
        worker = await process(OURS, str(socket), bank.url)
        memory = psutil.Process(worker.pid).memory_info().rss
        lines = [FakeLine(socket) for _ in range(calls)]
        try:
            await asyncio.gather(*(line.__aenter__() for line in lines))
            await asyncio.gather(*(line.heard_out() for line in lines))
            row = await measured("ours", calls, min(seconds, 5.0), worker.pid, memory)
            await asyncio.gather(*(line.__aexit__() for line in lines), return_exceptions=True)
            return row
        finally:
            worker.kill()
            await worker.wait()


async def stock(calls: int, seconds: float) -> dict[str, object]:
    """Pipecat as it comes."""
    worker = await process(STOCK, str(calls))
    memory = psutil.Process(worker.pid).memory_info().rss
    assert worker.stdin is not None
    try:
        worker.stdin.write(b"\n")
        await worker.stdin.drain()
        await asyncio.sleep(3 + calls * 0.3)
        return await measured("stock Pipecat", calls, seconds, worker.pid, memory)
    finally:
        worker.kill()
        await worker.wait()


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two calls, two seconds")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 10, 25, 50])
    options = parser.parse_args()
    seconds = 2.0 if options.quick else options.seconds
    facts, rows = machine(), []
    with TemporaryDirectory() as folder:
        for calls in [2] if options.quick else options.calls:
            rows.append(await ours(calls, seconds, Path(folder)))
            rows.append(await stock(calls, seconds))
    show("idle_call", facts, rows)


if __name__ == "__main__":
    asyncio.run(main())
