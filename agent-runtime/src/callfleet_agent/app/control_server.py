"""The gRPC server of the operator's control stream."""

from pathlib import Path

import grpc

from callfleet.v1 import fleet_pb2_grpc
from callfleet_agent.identity import TlsFiles
from callfleet_agent.services.control import ControlledPod, ControlService
from callfleet_agent.services.errors import ServicesError
from callfleet_agent.services.tls import server_credentials


async def serve_control(
    pod: ControlledPod, host: str, port: int, tls_folder: Path | None
) -> tuple[grpc.aio.Server, int]:
    """Listen for the operator; the server and its port. Without a TLS folder: loopback only.

    Raises:
        ServicesError: the port is taken.
        TlsFilesError: the identity's files are not there.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", 64 * 1024),
            ("grpc.keepalive_time_ms", 20_000),
        ]
    )
    open_to_all = tls_folder is None
    fleet_pb2_grpc.add_AgentPodServiceServicer_to_server(  # type: ignore[no-untyped-call]
        ControlService(pod, open_to_all=open_to_all), server
    )
    address = f"{'127.0.0.1' if open_to_all else host}:{port}"
    try:
        if tls_folder is None:
            bound = server.add_insecure_port(address)
        else:
            credentials = server_credentials(TlsFiles.in_folder(tls_folder))
            bound = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise ServicesError(f"cannot listen for the operator on {address}") from error
    await server.start()
    return server, bound
