"""The operator's process on a real kube-apiserver: started, killed, started twice, badly set up."""

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

import running_operator
from callfleet_operator.kube.client import KubeClient
from callfleet_operator.kube.connection import connect
from callfleet_operator.ports.kinds import (
    CONFIG_MAP,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    EVENT,
    LEASE,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    VOICE_AGENT,
    Kind,
)
from callfleet_operator.ports.kube import Ref
from running_operator import LIMIT_S, SHORT_LEASE, command, http, leads, metric, until

ROOT = Path(__file__).resolve().parents[2]
CHILDREN = {
    CONFIG_MAP: 2,
    CONTROLLER_REVISION: 1,
    DEPLOYMENT: 1,
    NETWORK_POLICY: 1,
    POD_DISRUPTION_BUDGET: 1,
    SECRET: 1,
    SERVICE: 1,
    SERVICE_ACCOUNT: 1,
}


@pytest.fixture
async def client(crds: None, apiserver: Path) -> AsyncIterator[KubeClient]:
    async with KubeClient(await connect(apiserver), timeout_s=LIMIT_S) as client:
        yield client


class Installation(running_operator.Installation):
    """With the children of an agent."""

    async def whole(self, client: KubeClient) -> bool:
        """Every child exists and the status is about the spec that there is."""
        agent = await client.get(VOICE_AGENT, self.namespace, "card-line")
        assert agent is not None
        status = agent.get("status") or {}
        if status.get("observedGeneration") != agent["metadata"]["generation"]:
            return False
        return all([await self.count(client, kind) == count for kind, count in CHILDREN.items()])


@pytest.fixture
async def installation(apiserver: Path, client: KubeClient, tmp_path: Path) -> Installation:
    made = Installation(apiserver, tmp_path)
    await made.prepare(client)
    return made


# --- life -----------------------------------------------------------------------------------------


async def test_from_start_to_sigterm(installation: Installation, client: KubeClient) -> None:
    with installation.operator() as (process, port):
        await until(lambda: leads(port))
        assert http(port, "/healthz") == (200, "ok\n")
        await until(lambda: http(port, "/readyz") == (200, "ok\n"))
        await installation.apply(client, providers={"asr": [{"pool": "nowhere"}]})
        await until(lambda: installation.whole(client))
        await until(lambda: events_of(installation, client))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=LIMIT_S) == 0
    lease = await client.get(LEASE, installation.system, "callfleet-operator")
    assert lease is not None
    assert not lease["spec"].get("holderIdentity")
    log = installation.log(port)
    for line in log:
        assert {"timestamp", "level", "correlation_id", "service", "message"} <= line.keys()
    assert "CRITICAL" not in {line["level"] for line in log}


async def events_of(installation: Installation, client: KubeClient) -> bool:
    events = await installation.children(client, EVENT)
    return "PoolNotFound" in {event["reason"] for event in events}


@pytest.mark.parametrize("kind", [SECRET, SERVICE, DEPLOYMENT])
async def test_killed_in_the_middle_of_a_reconcile(
    installation: Installation, client: KubeClient, kind: Kind
) -> None:
    with installation.operator(lease=SHORT_LEASE) as (process, port):
        await until(lambda: leads(port))
        await until(lambda: http(port, "/readyz")[0] == 200)
        await installation.apply(client)
        await until(lambda: installation.count(client, kind), pause=0)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with installation.operator() as (_, port):
        await until(lambda: at_rest(port))
        await until(lambda: installation.whole(client))
        await until(lambda: at_rest(port))
        before = await versions(installation, client)
    # And once more, in peace: nothing is written.
    with installation.operator() as (_, port):
        await until(lambda: at_rest(port))
        await asyncio.sleep(1)
        assert metric(port, "writes_total") == 0
        assert await versions(installation, client) == before


def at_rest(port: int) -> bool:
    """It leads, and has done what there was to do."""
    if not (metric(port, "reconcile_rounds_total") or 0) >= 1:
        return False
    return metric(port, "queue_length") == 0


async def versions(installation: Installation, client: KubeClient) -> dict[tuple[str, str], str]:
    found = {}
    for kind in (VOICE_AGENT, *CHILDREN):
        for item in await installation.children(client, kind):
            metadata = item["metadata"]
            found[kind.kind, metadata["name"]] = metadata["resourceVersion"]
    return found


async def test_of_two_operators_the_second_waits_and_takes_over(
    installation: Installation, client: KubeClient
) -> None:
    both = (installation.operator(lease=SHORT_LEASE) for _ in range(2))
    with next(both) as (first, one), next(both) as (second, two):
        await until(lambda: leads(one) or leads(two))
        leader, waiting = (one, two) if leads(one) else (two, one)
        await until(lambda: http(waiting, "/readyz")[0] == 200)
        await installation.apply(client)
        await until(lambda: installation.whole(client))
        assert metric(waiting, "leader") == 0
        assert metric(waiting, "writes_total") == 0
        # The leader freezes: it neither renews nor stops.
        frozen = first if leader == one else second
        os.kill(frozen.pid, signal.SIGSTOP)
        try:
            await until(lambda: leads(waiting))
            before = await client.get(LEASE, installation.system, "callfleet-operator")
            ref = Ref(VOICE_AGENT, installation.namespace, "card-line")
            await client.patch(ref, {"spec": {"dialog": {"bankName": "Another"}}})
            await until(lambda: installation_has_two_revisions(installation, client))
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        # It wakes up, finds that it does not lead, and waits for the other.
        await until(lambda: metric(leader, "leader") == 0)
        await asyncio.sleep(3)
        after = await client.get(LEASE, installation.system, "callfleet-operator")
        assert before is not None
        assert after is not None
        assert after["spec"]["holderIdentity"] == before["spec"]["holderIdentity"]
        assert leads(waiting)


async def installation_has_two_revisions(installation: Installation, client: KubeClient) -> bool:
    return await installation.count(client, CONTROLLER_REVISION) == 2


async def test_deletion_leaves_nothing(installation: Installation, client: KubeClient) -> None:
    with installation.operator() as (_, port):
        await until(lambda: leads(port))
        await installation.apply(client)
        await until(lambda: installation.whole(client))
        await client.delete(Ref(VOICE_AGENT, installation.namespace, "card-line"))
        await until(lambda: gone(installation, client))
    for kind in CHILDREN:
        assert await installation.count(client, kind) == 0, kind.kind


async def gone(installation: Installation, client: KubeClient) -> bool:
    return await client.get(VOICE_AGENT, installation.namespace, "card-line") is None


# --- rights ---------------------------------------------------------------------------------------


def chart_rights(release: str, namespace: str) -> str:
    """The chart's ServiceAccount, roles and bindings of the operator, as helm renders them."""
    template = ROOT / "charts" / "callfleet" / "templates" / "operator-rbac.yaml"
    text = re.sub(r"\{\{- include .*? \}\}", "{}", template.read_text())
    text = text.replace("{{ .Release.Name }}", release)
    return text.replace("{{ .Release.Namespace }}", namespace)


def kubectl(kubeconfig: Path, *arguments: str, text: str = "") -> str:
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(kubeconfig), *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return done.stdout.strip() or done.stderr


@pytest.fixture
def entitled(installation: Installation) -> Installation:
    """An installation whose operator has the chart's rights and no others."""
    release, system = "callfleet", installation.system
    rights = chart_rights(release, system)
    kubectl(installation.kubeconfig, "apply", "-f", "-", text=rights)
    token = kubectl(installation.kubeconfig, "-n", system, "create", "token", f"{release}-operator")
    content = yaml.safe_load(installation.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    installation.kubeconfig = installation.folder / "operator.kubeconfig"
    installation.kubeconfig.write_text(yaml.safe_dump(content))
    # The server learns of roles and bindings after each other, and after they are written.
    of_cluster = ("-n", installation.namespace, "get", "voiceagents.callfleet.io")
    of_home = ("-n", system, "create", "leases.coordination.k8s.io")
    deadline = time.monotonic() + LIMIT_S
    for asked in (of_cluster, of_home):
        while kubectl(installation.kubeconfig, "auth", "can-i", *asked).splitlines()[-1:] != [
            "yes"
        ]:
            assert time.monotonic() < deadline, f"no right to {asked}"
            time.sleep(0.1)
    return installation


async def test_the_charts_rights_are_enough(entitled: Installation, client: KubeClient) -> None:
    with entitled.operator() as (_, port):
        await until(lambda: leads(port))
        await entitled.apply(client, providers={"asr": [{"pool": "nowhere"}]})
        await until(lambda: entitled.whole(client))
        await until(lambda: events_of(entitled, client))
        ref = Ref(VOICE_AGENT, entitled.namespace, "card-line")
        await client.patch(ref, {"spec": {"dialog": {"bankName": "Another"}}})
        await until(lambda: installation_has_two_revisions(entitled, client))
        await client.delete(ref)
        await until(lambda: gone(entitled, client))
    for kind in CHILDREN:
        assert await entitled.count(client, kind) == 0, kind.kind
    refused = [line for line in entitled.log(port) if "forbidden" in json.dumps(line).lower()]
    assert refused == []


async def test_the_charts_rights_are_enough_for_the_platforms_identities(
    entitled: Installation, client: KubeClient
) -> None:
    system, bank = entitled.system, entitled.namespace
    platform = {
        "sessionManager": f"sessions.{system}.svc:7443",
        "services": [{"role": "session-manager", "service": "sessions"}],
        "clients": [{"namespace": bank, "name": "kiosk"}],
    }
    await client.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": system, "name": "sessions"},
            "spec": {"ports": [{"port": 7443}]},
        }
    )
    wanted = [
        Ref(SECRET, system, "callfleet-token-keys"),
        Ref(CONFIG_MAP, system, "callfleet-token-keys"),
        Ref(SECRET, system, "sessions-tls"),
        Ref(SECRET, bank, "kiosk-client-tls"),
        Ref(SECRET, bank, "kiosk-client-tokens"),
        Ref(SECRET, bank, "card-line-tokens"),
    ]

    async def all_there() -> bool:
        found = [await client.get(ref.kind, ref.namespace, ref.name) for ref in wanted]
        return None not in found

    with entitled.operator(platform=platform) as (_, port):
        await until(lambda: leads(port))
        await entitled.apply(client, banking={})
        await until(all_there)
    refused = [line for line in entitled.log(port) if "forbidden" in json.dumps(line).lower()]
    assert refused == []


def test_the_charts_rights_are_small(entitled: Installation) -> None:
    wanted = {
        ("patch", "pods/status"): "yes",  # the readiness gate; without nodes nothing asks for it
        ("get", "secrets"): "yes",
        ("list", "secrets"): "no",
        ("watch", "secrets"): "no",
        ("delete", "pods"): "no",
        ("create", "pods"): "no",
        ("create", "pods/exec"): "no",
        ("create", "clusterrolebindings"): "no",
        ("delete", "voiceagents"): "no",
    }
    ask = ("auth", "can-i", "-n", entitled.namespace)
    found = {asked: kubectl(entitled.kubeconfig, *ask, *asked).splitlines()[-1] for asked in wanted}
    assert found == wanted


# --- bad set-ups ----------------------------------------------------------------------------------


def complaint(*arguments: object, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, "KUBECONFIG": "", **environment},
    )
    return done.returncode, done.stderr


def test_settings_that_are_wrong_name_the_field(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("agentImage: x\nproxies:\n- {name: default, driver: asterisk}\n")
    status, text = complaint("run", "--settings", path)
    assert status == 2
    assert "proxies[0].driver" in text
    assert "Traceback" not in text


def test_settings_that_are_not_there(tmp_path: Path) -> None:
    status, text = complaint("run", "--settings", tmp_path / "nothing.yaml")
    assert status == 2
    assert "nothing.yaml" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("how", ["outside of a cluster", "no such kubeconfig"])
def test_a_cluster_that_is_not_described(tmp_path: Path, how: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("agentImage: x\n")
    more = ("--kubeconfig", tmp_path / "none") if how == "no such kubeconfig" else ()
    status, text = complaint("run", "--settings", path, *more)
    assert status == 2
    assert ("no such file" if more else "service account") in text
    assert "Traceback" not in text


def test_a_database_that_is_away_when_it_is_to_be_migrated(tmp_path: Path) -> None:
    path = tmp_path / "url"
    path.write_text("postgresql://u:secret@127.0.0.1:1/proxy\n")
    status, text = complaint("migrate", "--database-url-file", path, "--driver", "kamailio")
    assert status != 0
    assert "secret" not in text
    assert "Traceback" not in text
