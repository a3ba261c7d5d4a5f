"""kopf's thread is started again whenever it exits, and only hints leave it."""

import asyncio
import threading
from collections.abc import Callable

from callfleet_operator.kopf_source.hints import Handlers, login_for, operator_settings
from callfleet_operator.kopf_source.supervisor import KopfSource
from callfleet_operator.ports.kinds import VOICE_AGENT, Manifest
from callfleet_operator.ports.kube import Ref

REF = Ref(VOICE_AGENT, "bank", "card-line")


class CountingClock:
    """Sleeps are remembered and not slept."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await asyncio.sleep(0)


async def test_hints_come_into_the_loop_and_exits_lead_to_new_starts() -> None:
    hints: asyncio.Queue[Ref] = asyncio.Queue()
    starts = 0
    main = threading.get_ident()
    threads: list[int] = []

    def start(hint: Callable[[Ref], None], stop: threading.Event) -> None:
        nonlocal starts
        starts += 1
        threads.append(threading.get_ident())
        if starts < 4:
            raise RuntimeError("a list was refused with 403")
        hint(REF)
        stop.wait()

    clock = CountingClock()
    source = KopfSource(start, hints.put_nowait, clock, lambda: 1.0)
    task = asyncio.create_task(source.run())
    async with asyncio.timeout(60):
        assert await hints.get() == REF
    assert source.running
    assert source.restarts == 3
    assert clock.sleeps == [1.0, 2.0, 4.0]
    assert main not in threads
    task.cancel()
    await asyncio.wait([task])
    assert not source.running


async def test_a_thread_that_does_not_stop_does_not_stop_us() -> None:
    never = threading.Event()

    def start(hint: Callable[[Ref], None], stop: threading.Event) -> None:
        stop.wait()

    source = KopfSource(start, lambda _: None, CountingClock(), lambda: 1.0)
    task = asyncio.create_task(source.run())
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(60):
        await asyncio.wait([task])
    assert task.cancelled()
    never.set()


def body(generation: int = 1, **metadata: object) -> Manifest:
    base = {"uid": "u", "namespace": "bank", "name": "card-line", "generation": generation}
    return {"metadata": base | metadata}


def test_what_means_nothing_is_not_hinted() -> None:
    hints: list[Ref] = []
    handlers = Handlers(hints.append)
    handlers.observe(VOICE_AGENT, None, body())
    handlers.observe(VOICE_AGENT, "MODIFIED", body(resourceVersion="2"))
    assert hints == [REF]
    handlers.observe(VOICE_AGENT, "MODIFIED", body(generation=2))
    handlers.observe(VOICE_AGENT, "MODIFIED", body(generation=2, annotations={"a": "b"}))
    handlers.observe(VOICE_AGENT, "DELETED", body(generation=2))
    handlers.observe(VOICE_AGENT, "ADDED", body(generation=2))
    assert len(hints) == 5


def test_kopf_writes_nothing() -> None:
    settings = operator_settings()
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.process.ultimate_exiting_timeout is None
    assert settings.networking.request_timeout is not None


async def test_kopf_logs_in_as_we_do() -> None:
    class Cluster:
        server = "https://127.0.0.1:6443"
        ca_file = "/ca.crt"
        certificate_file = None
        key_file = None
        verified = True

        async def authorization(self) -> str:
            return "bearer token"

    info = await login_for(Cluster())()
    assert (info.server, info.token, info.insecure) == ("https://127.0.0.1:6443", "token", False)
