"""Where the API server is and how we prove who we are.

A kubeconfig is read by the `kubernetes` package, which knows every kind of credentials; inside a
pod the service account's token file is read again every minute, because it is rotated.
"""

import inspect
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from callfleet_operator.kube.errors import ConfigurationError


@dataclass(frozen=True)
class Connection:
    """`authorization` gives the header's value, or nothing when a client certificate says who we
    are.
    """

    server: str
    tls: ssl.SSLContext | None
    authorization: Callable[[], Awaitable[str]]
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    verified: bool = True


async def connect(kubeconfig: Path | None = None) -> Connection:
    """The connection of a kubeconfig, or of the pod that this process runs in.

    Raises ConfigurationError with what is missing.
    """
    configuration = Configuration()
    try:
        if kubeconfig is None:
            load_incluster_config(configuration)  # type: ignore[no-untyped-call]
        else:
            load = cast("Callable[..., Awaitable[object]]", load_kube_config)
            await load(config_file=str(kubeconfig), client_configuration=configuration)
    except ConfigException as error:
        where = f"kubeconfig {kubeconfig}" if kubeconfig else "service account of this pod"
        raise ConfigurationError(f"{where}: {error}") from error
    return _connection(configuration)


def _connection(configuration: Configuration) -> Connection:
    async def authorization() -> str:
        refresh: Callable[[Configuration], object] | None = configuration.refresh_api_key_hook
        if refresh is not None:
            outcome = refresh(configuration)
            if inspect.isawaitable(outcome):
                await outcome
        return str(configuration.api_key.get("BearerToken") or "")

    server = str(configuration.host).rstrip("/")
    tls = _tls(configuration) if server.startswith("https:") else None
    return Connection(
        server,
        tls,
        authorization,
        ca_file=configuration.ssl_ca_cert,
        certificate_file=configuration.cert_file,
        key_file=configuration.key_file,
        verified=bool(configuration.verify_ssl),
    )


def _tls(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
