"""Command lines of the control plane's servers, and the files they read.

The same for the throw-away control plane of tests and for the node.
"""

from dataclasses import dataclass
from pathlib import Path

from callfleet_hack.kubeconfig import write_kubeconfig
from callfleet_hack.pki import (
    Identity,
    make_authority,
    make_certificate,
    make_signing_key,
    make_tokens,
)
from callfleet_hack.tools import server

ISSUER = "https://kubernetes.default.svc.cluster.local"
NODE_NAME = "callfleet"
IDENTITIES = (
    Identity("admin", "callfleet-admin", ("system:masters",)),
    Identity("kube-controller-manager", "system:kube-controller-manager"),
    Identity("kube-scheduler", "system:kube-scheduler"),
    Identity("kube-proxy", "system:kube-proxy"),
    Identity("kubelet", f"system:node:{NODE_NAME}", ("system:nodes",)),
)


@dataclass(frozen=True)
class Layout:
    """Where a control plane keeps its files and listens."""

    folder: Path
    address: str
    port: int
    etcd_port: int
    service_range: str = "10.96.0.0/16"
    service_address: str = "10.96.0.1"
    admission_off: tuple[str, ...] = ()
    feature_gates: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def authority(self) -> Path:
        return self.pki / "ca.crt"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def kubeconfig_of(self, identity: str) -> Path:
        return self.kubeconfig if identity == "admin" else self.folder / f"{identity}.kubeconfig"


def write_files(layout: Layout) -> dict[str, str]:
    """Make what is not there yet of certificates, tokens and kubeconfigs; the tokens by name."""
    pki = layout.pki
    pki.mkdir(parents=True, exist_ok=True)
    for authority in ("ca", "etcd-ca"):
        make_authority(pki, authority)
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", ISSUER.split("//")[1])
    addresses = dict.fromkeys((layout.address, layout.service_address, "127.0.0.1"))
    make_certificate(
        pki,
        "apiserver",
        signer="ca",
        subject="/CN=kube-apiserver",
        alternatives=(
            *(f"IP:{address}" for address in addresses),
            *(f"DNS:{name}" for name in (*names, "localhost")),
        ),
    )
    make_certificate(
        pki, "etcd", signer="etcd-ca", subject="/CN=etcd", alternatives=("IP:127.0.0.1",)
    )
    make_signing_key(pki, "service-account")
    tokens = make_tokens(pki, IDENTITIES)
    for name, token in tokens.items():
        write_kubeconfig(
            layout.kubeconfig_of(name),
            url=layout.url,
            authority=layout.authority,
            user=name,
            token=token,
        )
    return tokens


def etcd(layout: Layout) -> list[str]:
    """Data on disk but never synced: it survives its process, not the machine."""
    url = f"https://127.0.0.1:{layout.etcd_port}"
    return [
        str(server("etcd")),
        f"--data-dir={layout.folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--listen-peer-urls=http://127.0.0.1:0",
        f"--cert-file={layout.pki / 'etcd.crt'}",
        f"--key-file={layout.pki / 'etcd.key'}",
        f"--trusted-ca-file={layout.pki / 'etcd-ca.crt'}",
        "--client-cert-auth",
        "--unsafe-no-fsync",
        "--auto-compaction-retention=5m",
        "--log-level=warn",
    ]


def apiserver(layout: Layout, *extra: str) -> list[str]:
    pki = layout.pki
    return [
        str(server("kube-apiserver")),
        f"--bind-address={layout.address}",
        f"--advertise-address={layout.address}",
        f"--secure-port={layout.port}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--token-auth-file={pki / 'tokens.csv'}",
        f"--etcd-servers=https://127.0.0.1:{layout.etcd_port}",
        f"--etcd-cafile={pki / 'etcd-ca.crt'}",
        f"--etcd-certfile={pki / 'etcd.crt'}",
        f"--etcd-keyfile={pki / 'etcd.key'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--disable-admission-plugins={','.join(layout.admission_off)}",
        f"--service-cluster-ip-range={layout.service_range}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        "--allow-privileged=true",
        "--profiling=false",
        *([f"--feature-gates={','.join(layout.feature_gates)}"] if layout.feature_gates else []),
        *extra,
    ]


def controller_manager(layout: Layout, *extra: str) -> list[str]:
    pki = layout.pki
    config = layout.kubeconfig_of("kube-controller-manager")
    return [
        str(server("kube-controller-manager")),
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials",
        "--kube-api-qps=300",  # with the default of 20 it takes 5 s to start
        "--kube-api-burst=600",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        f"--service-account-private-key-file={pki / 'service-account.key'}",
        *extra,
    ]


def scheduler(layout: Layout, *extra: str) -> list[str]:
    config = layout.kubeconfig_of("kube-scheduler")
    return [
        str(server("kube-scheduler")),
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        *extra,
    ]
