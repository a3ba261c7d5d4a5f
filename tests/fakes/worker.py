"""FakeWorker: a worker that holds the link's rules and speaks in tones instead of sentences.

Run as a program (`python -m fakes.worker --socket PATH`, with `tests` on the path) by a connector.
A greeting of 440 Hz, or 880 Hz where the call is resumed (it takes its time to accept one); after
each key a tone of 660 Hz and a context that counts the keys; `#` hangs up; `*` says good-bye first;
`D` kills the worker. With `--calls N` it refuses more calls than that at a time.
"""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np

from callfleet_agent.audio import Pcm8k
from callfleet_agent.link import Dtmf, Hangup
from callfleet_agent.transport.link_server import LinkServer, WorkerLink

RESUME_S = 0.3
GREETING_HZ, RESUMED_HZ, KEY_HZ, BYE_HZ = 440, 880, 660, 550


def tone(hertz: int, seconds: float = 0.3) -> Pcm8k:
    """A sine at -10 dBFS."""
    at = np.arange(int(seconds * Pcm8k.rate)) / Pcm8k.rate
    return Pcm8k.from_samples(10000 * np.sin(2 * np.pi * hertz * at))


async def converse(link: WorkerLink) -> None:
    """One call."""
    keys = int(link.context or b"0")
    if link.hello.resumed:
        await asyncio.sleep(RESUME_S)
    link.accept()
    speaking = asyncio.ensure_future(_greet(link))
    try:
        async for message in link:
            if isinstance(message, Hangup):
                return
            if not isinstance(message, Dtmf):
                continue
            if message.digit == "D":
                os.kill(os.getpid(), signal.SIGKILL)
            if message.digit in "*#":
                await speaking
                if message.digit == "*":
                    await link.speak(tone(BYE_HZ))
                link.hangup("completed")
                continue
            keys += 1
            link.interrupt()
            await link.speak(tone(KEY_HZ))
            link.end_of_speech()
            link.hand_over(str(keys).encode())
            link.event("turn", turn=keys, answer_ms=120, result="keyed")
    finally:
        speaking.cancel()


async def _greet(link: WorkerLink) -> None:
    await link.speak(tone(RESUMED_HZ if link.hello.resumed else GREETING_HZ))
    link.end_of_speech()
    if not link.hello.resumed:
        link.hand_over(b"0")


async def main() -> None:
    """Serve until the parent is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=1000)
    given = parser.parse_args()

    async def take(link: WorkerLink) -> None:
        if server.calls > given.calls:
            link.refuse("full")
            return
        await converse(link)

    server = LinkServer(str(given.socket), take)
    await server.start()
    sys.stdout.write('{"event":"ready"}\n')
    sys.stdout.flush()
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110, another process is watched
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main())
