"""sipp calls our user agent on loopback, and is called by it."""

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from callfleet_agent.sip import events, sdp
from callfleet_agent.sip.errors import NotAcceptableError
from callfleet_agent.sip.settings import AdvertisedAddress, UserAgentSettings
from callfleet_agent.sip.user_agent import UserAgent
from callfleet_agent.transport.sip_endpoint import SipEndpoint, SipEndpointSettings
from ports import free_port

pytestmark = pytest.mark.skipif(shutil.which("sipp") is None, reason="sipp is not installed")

SCENARIOS = Path(__file__).parents[1] / "vectors" / "sip" / "sipp"
HOST = "127.0.0.1"
LIMIT_S = 90


class Pod:
    """Answers, or does what ``policy`` says, and counts what happens."""

    def __init__(self, policy: str) -> None:
        self.counts: Counter[str] = Counter()
        self._policy = policy
        self.user_agent = UserAgent(
            UserAgentSettings(AdvertisedAddress(HOST, 0)), random.SystemRandom()
        )
        self.endpoint: SipEndpoint | None = None

    def __call__(self, event: events.Event) -> None:
        self.counts[type(event).__name__] += 1
        assert self.endpoint is not None
        if isinstance(event, events.IncomingCall):
            with self.endpoint.commands() as now:
                self._decide(event, now)
        elif isinstance(event, events.Answered):
            loop = asyncio.get_running_loop()
            loop.call_later(0.2, self._hang_up, event)

    def _hang_up(self, event: events.Answered) -> None:
        assert self.endpoint is not None
        with self.endpoint.commands() as now:
            event.call.hang_up(now=now)

    def _decide(self, event: events.IncomingCall, now: float) -> None:
        call = event.call
        if self._policy == "ring":
            call.ring(now=now)
        elif self._policy == "full":
            call.reject(503, retry_after=7, now=now)
        else:
            assert event.offer is not None
            local = sdp.LocalMedia(HOST, 20000)
            try:
                answer = sdp.make_answer(event.offer, local, call.origin(HOST))
            except NotAcceptableError as error:
                call.reject(error.status, warning=(error.warning, error.reason), now=now)
            else:
                call.answer(answer.description, now=now)


async def sipp(scenario: str, transport: str, *arguments: str) -> None:
    """Run sipp to its end; it must have nothing to complain of."""
    process = await asyncio.create_subprocess_exec(
        "sipp", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-t", transport, "-i", HOST,
        "-timeout", f"{LIMIT_S}s", "-timeout_error", "-nostdin", *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), LIMIT_S + 10)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, output.decode(errors="replace")[-3000:]


async def until(condition: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - sipp tells nothing while it runs
            await asyncio.sleep(0.02)


def is_bound(port: int, transport: str) -> bool:
    """Whether somebody listens there, as the kernel has it (proc(5), /proc/net/tcp)."""
    idle = {"udp": "07", "tcp": "0A"}[transport]
    rows = (line.split() for line in Path(f"/proc/net/{transport}").read_text("ascii").splitlines())
    return any(row[1].endswith(f":{port:04X}") and row[3] == idle for row in rows)


async def call_us(pod: Pod, scenario: str, transport: str, calls: int, *arguments: str) -> None:
    settings = SipEndpointSettings(host=HOST, port=0)
    async with SipEndpoint.open(pod.user_agent, pod, settings) as pod.endpoint:
        await sipp(
            scenario, transport, "-s", "+15550100", "-m", str(calls), "-r", "20",
            "-p", str(free_port()), *arguments, f"{HOST}:{pod.endpoint.port}",
        )  # fmt: skip
        await until(lambda: not pod.user_agent.calls)


@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_sipp_calls_and_hangs_up(transport: str) -> None:
    pod = Pod("answer")
    await call_us(pod, "uac", transport, 20)
    assert pod.counts == {"IncomingCall": 20, "Established": 20, "CallEnded": 20}


async def test_calls_survive_lost_datagrams() -> None:
    pod = Pod("answer")
    await call_us(pod, "uac", "u1", 20, "-lost", "10")
    assert (pod.counts["IncomingCall"], pod.counts["CallEnded"]) == (20, 20)
    # A BYE may overtake the ACK that replaces a lost one.
    assert pod.counts["Established"] >= 10


@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_sipp_gives_up_while_it_rings(transport: str) -> None:
    pod = Pod("ring")
    await call_us(pod, "uac_cancel", transport, 10)
    assert pod.counts == {"IncomingCall": 10, "CallCancelled": 10}


async def test_a_full_pod_says_when_to_come_back() -> None:
    pod = Pod("full")
    await call_us(pod, "uac_503", "u1", 10)
    assert pod.counts == {"IncomingCall": 10}


async def test_no_common_codec_is_488_with_a_warning() -> None:
    pod = Pod("answer")
    await call_us(pod, "uac_488", "u1", 10)
    assert pod.counts == {"IncomingCall": 10}


@pytest.mark.parametrize(("transport", "name"), [("u1", "udp"), ("t1", "tcp")])
async def test_we_call_sipp(transport: str, name: str) -> None:
    pod, port = Pod("none"), free_port()
    settings = SipEndpointSettings(host=HOST, port=0)
    async with SipEndpoint.open(pod.user_agent, pod, settings) as pod.endpoint:
        phone = asyncio.create_task(sipp("uas", transport, "-m", "5", "-p", str(port)))
        await until(lambda: is_bound(port, name) or phone.done())  # sipp does not say it
        offer = sdp.make_offer(sdp.LocalMedia(HOST, 20000), sdp.Origin(HOST, 1, 0))
        with pod.endpoint.commands() as now:
            for _ in range(5):
                pod.user_agent.invite(f"sip:100@{HOST}:{port};transport={name}", offer, now=now)
        await until(lambda: pod.counts["CallEnded"] + pod.counts["Failed"] == 5)
        await phone
    assert pod.counts == {"Ringing": 5, "Answered": 5, "CallEnded": 5}
