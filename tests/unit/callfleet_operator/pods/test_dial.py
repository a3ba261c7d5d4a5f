"""Real gRPC with mTLS on loopback: who may talk to whom."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import grpc
import pytest

from callfleet.v1 import fleet_pb2, fleet_pb2_grpc
from callfleet_operator.identity.authority import Authority
from callfleet_operator.identity.certificates import make_ca
from callfleet_operator.identity.lifetimes import DAY_S
from callfleet_operator.identity.names import agent_host, agent_subject
from callfleet_operator.kube.certificates import Issuer, OperatorLeaf
from callfleet_operator.main.clock import SystemClock
from callfleet_operator.pods.dial import DialError, GrpcDialer, Identity
from callfleet_operator.pods.link import PodStreams
from callfleet_operator.ports.pods import PodState, PodTarget
from fakes.agent_pod import FakeAgentPod

NOW = datetime.now().astimezone().timestamp()
CA = make_ca("callfleet", NOW, DAY_S)
OTHER_CA = make_ca("callfleet", NOW, DAY_S)


def issuer(ca=CA) -> Issuer:  # type: ignore[no-untyped-def]
    return Issuer(Authority(ca), SystemClock())


def dialer(port: int, ca=CA) -> GrpcDialer:  # type: ignore[no-untyped-def]
    leaf = OperatorLeaf(issuer(ca))

    def identity() -> Identity:
        return Identity(leaf.current().certificate, leaf.current().key, ca.certificate)

    return GrpcDialer(identity, agent_host, port)


def target(agent: str = "card-line", uid: str = "u1") -> PodTarget:
    return PodTarget(uid, "bank", "pod-1", agent, "127.0.0.1", PodState.SERVING)


@asynccontextmanager
async def pod(fake: FakeAgentPod) -> AsyncIterator[int]:
    secret = issuer().issue("bank", "card-line-tls", agent_subject("bank", "card-line"), None)
    assert secret is not None
    data = {name: base64.b64decode(value) for name, value in secret["data"].items()}
    server = grpc.aio.server()
    fleet_pb2_grpc.add_AgentPodServiceServicer_to_server(fake, server)  # type: ignore[no-untyped-call]
    credentials = grpc.ssl_server_credentials(
        [(data["tls.key"], data["tls.crt"])], data["ca.crt"], require_client_auth=True
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


async def once(dial: GrpcDialer, to: PodTarget, epoch: int = 7) -> fleet_pb2.PodReport:
    async def intents() -> AsyncIterator[fleet_pb2.PodIntent]:
        yield fleet_pb2.PodIntent(
            correlation_id="c", epoch=epoch, state=fleet_pb2.POD_STATE_DRAINING, pod_uid=to.uid
        )
        await asyncio.sleep(600)

    async with asyncio.timeout(60):
        stream = dial.stream(to, intents())
        try:
            return await anext(stream)
        finally:
            await stream.aclose()  # type: ignore[attr-defined]


async def test_the_right_pod_answers_the_right_operator() -> None:
    async with pod(FakeAgentPod("u1")) as port:
        report = await once(dialer(port), target())
        assert (report.correlation_id, report.state) == ("c", fleet_pb2.POD_STATE_DRAINING)


async def test_another_agents_pod_is_not_believed() -> None:
    async with pod(FakeAgentPod("u1")) as port:
        with pytest.raises(DialError):
            await once(dialer(port), target(agent="other-line"))


async def test_another_ca_is_not_believed() -> None:
    async with pod(FakeAgentPod("u1")) as port:
        with pytest.raises(DialError):
            await once(dialer(port, OTHER_CA), target())


async def test_a_former_leader_is_refused() -> None:
    async with pod(FakeAgentPod("u1", epoch=9)) as port:
        with pytest.raises(DialError) as refusal:
            await once(dialer(port), target(), epoch=8)
        assert refusal.value.refused


async def test_nobody_there() -> None:
    with pytest.raises(DialError) as refusal:
        await once(dialer(1), target())
    assert (refusal.value.code, refusal.value.refused) == ("UNAVAILABLE", False)


async def test_streams_on_a_real_socket() -> None:
    fake = FakeAgentPod("u1")
    heard: asyncio.Queue[bool] = asyncio.Queue()
    async with pod(fake) as port:
        streams = PodStreams(
            dialer(port),
            SystemClock(),
            7,
            lambda _n, _a, urgent: heard.put_nowait(urgent),
            lambda: 0.5,
        )
        task = asyncio.create_task(streams.run())
        streams.want("bank", "card-line", {"u1": target()})
        async with asyncio.timeout(60):
            await heard.get()
            fake.say(calls=3)
            while (figures := streams.figures("u1")) is None or figures.calls != 3:
                await heard.get()
        task.cancel()
        await asyncio.wait([task])
    assert fake.streams == 1
