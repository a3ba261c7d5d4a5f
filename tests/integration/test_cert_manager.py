"""cert-manager itself makes the certificates, and our code takes them.

`hack/tools ensure certmanager` builds its controllers for CA issuers. CALLFLEET_CERT_MANAGER names
another program: cert-manager's own controller, with further words as `--leader-elect=false`.
"""

import base64
import os
import shlex
import signal
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from callfleet_hack.cache import tools_dir
from callfleet_operator.identity.authority import make_authority
from callfleet_operator.identity.lifetimes import Lifetimes
from callfleet_operator.identity.names import agent_host, agent_identity
from callfleet_operator.kube.cert_manager import MountedLeaf
from callfleet_operator.kube.client import KubeClient
from callfleet_operator.kube.connection import connect
from callfleet_operator.ports.kinds import CERTIFICATE, SECRET, VOICE_AGENT
from callfleet_operator.ports.kube import Ref
from callfleet_operator.reconcile.platform import OPERATOR_TLS
from definitions import installed, released
from running_operator import LIMIT_S, Installation, leads, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PLURALS = ("certificaterequests", "certificates", "clusterissuers", "issuers")
RESOURCES = "cert-manager"  # the namespace with the Secrets of ClusterIssuers
ISSUER = "bank-ca"


class Kube(Protocol):
    def request(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, dict[str, Any]]: ...

    def must(self, method: str, path: str, body: object = None) -> dict[str, Any]: ...

    def apply(self, path: str, manifest: dict[str, Any]) -> dict[str, Any]: ...


def program() -> list[str]:
    named = shlex.split(os.environ.get("CALLFLEET_CERT_MANAGER", ""))
    built = sorted(tools_dir().glob("certmanager-*/certmanager"))
    if not named and not built:
        pytest.skip(
            "cert-manager is not built here; run hack/tools ensure certmanager, or name its "
            "controller in CALLFLEET_CERT_MANAGER"
        )
    return named or [str(built[-1])]


@pytest.fixture
async def client(crds: None, apiserver: Path) -> AsyncIterator[KubeClient]:
    async with KubeClient(await connect(apiserver), timeout_s=LIMIT_S) as client:
        yield client


@pytest.fixture
async def installation(apiserver: Path, client: KubeClient, tmp_path: Path) -> Installation:
    made = Installation(apiserver, tmp_path)
    await made.prepare(client)
    return made


@pytest.fixture
def authority(kube: Kube, apiserver: Path, tmp_path: Path) -> Iterator[bytes]:
    """cert-manager runs, with an issuer that has a CA; the CA's certificate."""
    words = program()
    ca = make_authority("bank", Lifetimes(), time.time()).ca
    with installed(kube, released(), PLURALS):
        kube.apply(
            f"/api/v1/namespaces/{RESOURCES}",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RESOURCES}},
        )
        pair = {"tls.crt": ca.certificate, "tls.key": ca.key}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": ISSUER},
            "data": {name: base64.b64encode(value).decode() for name, value in pair.items()},
        }
        kube.apply(f"/api/v1/namespaces/{RESOURCES}/secrets/{ISSUER}", secret)
        issuer = {
            "apiVersion": "cert-manager.io/v1",
            "kind": "ClusterIssuer",
            "metadata": {"name": ISSUER},
            "spec": {"ca": {"secretName": ISSUER}},
        }
        kube.apply(f"/apis/cert-manager.io/v1/clusterissuers/{ISSUER}", issuer)
        flags = [f"--kubeconfig={apiserver}", f"--cluster-resource-namespace={RESOURCES}"]
        with (tmp_path / "cert-manager.log").open("wb") as log:
            child = subprocess.Popen([*words, *flags], stdout=log, stderr=log)
            try:
                yield ca.certificate
            finally:
                child.send_signal(signal.SIGTERM)
                child.wait(timeout=LIMIT_S)


async def test_what_the_operator_asks_for_is_issued_renewed_and_taken(
    authority: bytes, installation: Installation, client: KubeClient, tmp_path: Path
) -> None:
    system, bank = installation.system, installation.namespace
    platform = {
        "sessionManager": f"sessions.{system}.svc:7443",
        "services": [{"role": "session-manager", "service": "sessions"}],
        "clients": [{"namespace": bank, "name": "kiosk"}],
    }
    service = {"namespace": system, "name": "sessions"}
    ports = {"ports": [{"port": 7443}]}
    await client.create({"apiVersion": "v1", "kind": "Service", "metadata": service, "spec": ports})
    agent, sessions = Ref(SECRET, bank, "card-line-tls"), Ref(SECRET, system, "sessions-tls")
    kiosk, own = Ref(SECRET, bank, "kiosk-client-tls"), Ref(SECRET, system, OPERATOR_TLS)
    leaf = MountedLeaf(client, system)

    async def issued() -> bool:
        return None not in [await files(client, ref) for ref in (agent, sessions, kiosk, own)]

    identities = {"certManager": {"name": ISSUER, "kind": "ClusterIssuer"}}
    with installation.operator(platform=platform, identities=identities) as (_, port):
        await until(lambda: leads(port))
        await installation.apply(client, banking={})
        await until(issued)

        mine = await must(client, agent)
        read = x509.load_pem_x509_certificate(mine["tls.crt"])
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        assert uris == [agent_identity(bank, "card-line")]
        assert agent_host(bank, "card-line") in names.get_values_for_type(x509.DNSName)
        key = read.public_key()
        assert isinstance(key, EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
        assert mine["ca.crt"].strip() == authority.strip()
        assert handshake(tmp_path, await must(client, sessions), mine, f"sessions.{system}.svc")

        await leaf.refresh()
        first = leaf.current()
        assert first is not None
        assert leaf.trusted.strip() == authority.strip()

        # Whoever deletes a Secret gets another key, and what takes it goes on.
        for ref in (agent, own):
            await client.delete(ref)
        await until(issued)
        assert (await must(client, agent))["tls.key"] != mine["tls.key"]
        await leaf.refresh()
        second = leaf.current()
        assert second is not None
        assert second.key != first.key
        assert handshake(
            tmp_path, await must(client, sessions), await must(client, agent),
            f"sessions.{system}.svc",
        )  # fmt: skip
        await until(lambda: leads(port))

        await client.delete(Ref(VOICE_AGENT, bank, "card-line"))
        await until(lambda: gone(client, Ref(VOICE_AGENT, bank, "card-line")))
        assert await gone(client, Ref(CERTIFICATE, bank, "card-line-tls"))


async def gone(client: KubeClient, ref: Ref) -> bool:
    return await client.get(ref.kind, ref.namespace, ref.name) is None


async def files(client: KubeClient, ref: Ref) -> dict[str, bytes] | None:
    """A certificate's files, None while one of them is missing."""
    found = await client.get(ref.kind, ref.namespace, ref.name)
    data = (found or {}).get("data") or {}
    if not all(data.get(name) for name in ("tls.crt", "tls.key", "ca.crt")):
        return None
    return {name: base64.b64decode(value) for name, value in data.items()}


async def must(client: KubeClient, ref: Ref) -> dict[str, bytes]:
    found = await files(client, ref)
    assert found is not None
    return found


def handshake(folder: Path, served: dict[str, bytes], asking: dict[str, bytes], host: str) -> bool:
    """Both sides prove themselves to each other over TLS 1.3."""
    server, client = (
        context(folder, served, ssl.PROTOCOL_TLS_SERVER),
        context(folder, asking, ssl.PROTOCOL_TLS_CLIENT),
    )
    server.verify_mode = ssl.CERT_REQUIRED
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(back, there, server_hostname=host),
        server.wrap_bio(there, back, server_side=True),
    ]
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in sides:
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    return len(done) == 2 and sides[0].version() == "TLSv1.3"


def context(folder: Path, files: dict[str, bytes], side: int) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    for name in ("tls.crt", "tls.key"):
        (folder / name).write_bytes(files[name])
    made.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    made.load_verify_locations(cadata=files["ca.crt"].decode())
    return made
