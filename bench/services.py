"""Requests a second, latency and memory of the platform's services, and a plain echo server beside.

    python bench/services.py [--quick] [--seconds 5] [--clients 8] [--streams 1 10 20 50]

Everything is real: mutual TLS, tokens, PostgreSQL, Redis and the engines; the bank is the one for
demonstrations, in a process of its own. The services are one process on one core, the load is
another one on the others. The baseline is grpc.aio with the same certificates and nothing else, in
the same run. `per_core_second` is by the server's own CPU time, so that a busy machine spoils it
less than `per_second`.

Streams are conversations (AIVoiceConnectorService), voice activity, recognition and speech. `held`
at once means: so many are open at the same time, all of the time, each with 20 ms of a telephone
line every 20 ms (a question every five seconds, at another moment in each stream, and -60 dBFS of
noise); speech that is made is listened to as fast as it is spoken. They are `kept_up` with when all
were open, none failed, and the server was at most 200 ms behind at the end (`behind_ms`: from the
client's last chunk to the end of the stream). `late_ms` is how long after its time a chunk of the
client left, which says whether this side of the machine kept up, or a piece of speech came, which
is the silence before it.

Each kind of stream has a process of the services to itself, so that what other kinds left behind
is not used again. Memory is that of the server and its child processes with all streams open, less
what it was after the first stream had come and gone, for each: `pss` divides what processes share
among them, `rss` counts it in each. `answers` of recognition are final results.
"""

import argparse
import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from bench.platform import speech, unary
from bench.platform.servers import Rig, rigged
from bench.report import Meanwhile, machine, show

from callfleet_agent.app.platform_settings import ROLES

QUICK_S = 0.5


def requests(rig: Rig, load: unary.Load) -> list[dict[str, Any]]:
    """All unary RPCs, on one process of all roles."""
    with rig.echo() as echo:
        rows = asyncio.run(unary.of_echo(rig, echo, load))
    with rig.platform(*ROLES) as platform:
        return rows + asyncio.run(unary.of_platform(rig, platform, load))


def streams(rig: Rig, counts: list[int], seconds: float) -> list[dict[str, Any]]:
    """Each kind on a process of its own."""
    with rig.echo() as echo:
        rows = asyncio.run(speech.of_echo(rig, echo, counts, seconds))
    for kind in speech.KINDS:
        with rig.platform(kind.role) as platform:
            rows += asyncio.run(speech.of_kind(kind, rig, platform, counts, seconds))
    return rows


def quick(rig: Rig) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Whether it works: everything on one process."""
    with ExitStack() as stack:
        echo, platform = stack.enter_context(rig.echo()), stack.enter_context(rig.platform(*ROLES))

        async def all_of_it() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
            load = unary.Load(clients=2, seconds=QUICK_S / 10)
            asked = await unary.of_echo(rig, echo, load)
            asked += await unary.of_platform(rig, platform, load)
            held = await speech.of_echo(rig, echo, [2], QUICK_S)
            for kind in speech.KINDS:
                held += await speech.of_kind(kind, rig, platform, [2], QUICK_S)
            return asked, held

        return asyncio.run(all_of_it())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--streams", type=int, nargs="*", default=[1, 10, 20, 50])
    parser.add_argument("--quick", action="store_true", help="only whether it works")
    options = parser.parse_args()
    if options.quick:
        options.clients, options.streams = 2, [2]
    facts, meanwhile = machine(), Meanwhile()
    most = max(options.streams, default=1)
    with rigged(clients=options.clients, calls=most + 1) as rig:
        if options.quick:
            asked, held = quick(rig)
        else:
            load = unary.Load(options.clients, options.seconds)
            asked = requests(rig, load)
            held = streams(rig, options.streams, max(options.seconds, speech.CYCLE_S * 2))
    show("services", facts | {"clients": options.clients}, asked)
    show("services-streams", {**facts, **meanwhile.facts()}, held)


if __name__ == "__main__":
    main()
