"""Real SIP proxies for tests, Kamailio and OpenSIPS, with the configuration that the chart ships.

Tests of a program that is not on PATH are skipped with its name. Every instance is ended by the
kernel when the test session ends in any way.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ports import free_port

FILES = Path(__file__).parents[1] / "charts" / "callfleet" / "files"
DRIVERS = ("kamailio", "opensips")
_START_WITHIN_S = 60.0
_HOST = "127.0.0.1"
_RPC_PATH = {"kamailio": "/RPC", "opensips": "/mi"}
_ANY_CALL = {
    "kamailio": b'{"jsonrpc":"2.0","method":"core.version","id":1}',
    "opensips": b'{"jsonrpc":"2.0","method":"version","id":1}',
}


def require(driver: str) -> str:
    """The driver's program; skips the test without it."""
    found = shutil.which(driver) or shutil.which(driver, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{driver} is not on PATH")
    return found


@dataclass
class RunningProxy:
    """One instance. `start` and `stop` may be called again and again; the ports stay."""

    driver: str
    database_url: str
    folder: Path
    probe_interval_s: int = 1
    pod_limit_s: int = 5  # 2 in life; here a pod that is slow to answer is seldom one that is dead
    sip_port: int = field(default_factory=free_port)
    rpc_port: int = field(default_factory=free_port)
    relay: str = ""  # rtpengine's control address, udp:host:port
    route_secret: str = "the same for every instance"
    rpc_clients: str = "10.0.0.0/8,127.0.0.0/8"  # networks that may send remote commands
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.rpc_port}{_RPC_PATH[self.driver]}"

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.sip_port

    @property
    def log(self) -> Path:
        return self.folder / f"{self.driver}-{self.sip_port}.log"

    def start(self) -> None:
        """Blocks until its remote commands are answered."""
        self.launch()
        self._wait()

    async def start_beside(self) -> None:
        """The same while the loop, and with it the pods, goes on."""
        self.launch()
        await asyncio.to_thread(self._wait)

    async def restart(self) -> None:
        await asyncio.to_thread(self.stop)
        await self.start_beside()

    def launch(self) -> None:
        """Start it and wait for nothing."""
        # In the caller's own thread: the kernel ends the instance when this thread ends.
        command = {"kamailio": self._kamailio, "opensips": self._opensips}[self.driver]()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdout=output,
                stderr=output,
                env=os.environ | self.environment(),
                cwd=self.folder,
                start_new_session=True,
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_WITHIN_S
        while not self._answers():
            ended = self.process is None or self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                pytest.fail(f"{self.driver} did not start:\n{self.tail()}")
            time.sleep(0.05)

    def freeze(self) -> None:
        """Every process of the instance stops; the kernel goes on accepting for it."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the instance and its workers, and wait until its ports are free."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
            deadline = time.monotonic() + _START_WITHIN_S
            while not self._is_gone():
                assert time.monotonic() < deadline, f"{self.driver} does not end"
                time.sleep(0.01)

    def _is_gone(self) -> bool:
        """Its workers are no children of ours: what they hold says whether they are there."""
        with (
            socket.socket(type=socket.SOCK_DGRAM) as udp,
            socket.socket() as tcp,
            socket.socket() as rpc,
        ):
            for one in (tcp, rpc):  # connections that have ended do not count
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                udp.bind((_HOST, self.sip_port))
                tcp.bind((_HOST, self.sip_port))
                rpc.bind((_HOST, self.rpc_port))
            except OSError:
                return False
            return True

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def environment(self) -> dict[str, str]:
        return {
            "CALLFLEET_SIP_ADDRESS": "127.0.0.1",
            "CALLFLEET_SIP_PORT": str(self.sip_port),
            "CALLFLEET_ADVERTISED_ADDRESS": "127.0.0.1",
            "CALLFLEET_RPC_ADDRESS": "127.0.0.1",
            "CALLFLEET_RPC_PORT": str(self.rpc_port),
            "CALLFLEET_DATABASE_URL": self.database_url.replace("postgresql://", "postgres://"),
            "CALLFLEET_ROUTE_SECRET": self.route_secret,
            "CALLFLEET_PROBE_INTERVAL": str(self.probe_interval_s),
            "CALLFLEET_POD_LIMIT": str(self.pod_limit_s),
            "CALLFLEET_POD_LIMIT_MS": str(1000 * self.pod_limit_s),
            "CALLFLEET_RPC_CLIENTS": self.rpc_clients,
            "CALLFLEET_MODULES": _opensips_modules(),
            **({"CALLFLEET_RTPENGINE": self.relay} if self.relay else {}),
        }

    def _kamailio(self) -> list[str]:
        cfg = str(FILES / "kamailio" / "kamailio.cfg")
        run = self.folder / f"run-{self.sip_port}"
        run.mkdir(exist_ok=True)
        return [require("kamailio"), "-f", cfg, "-DD", "-E", "-m", "64", "-M", "8", "-Y", str(run)]

    def _opensips(self) -> list[str]:
        files = FILES / "opensips"
        render = f"awk -f {files / 'environment.awk'}"
        program = require("opensips")
        return [program, "-F", "-f", str(files / "opensips.cfg"), "-p", render, "-m", "64"]

    def _answers(self) -> bool:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.endpoint, _ANY_CALL[self.driver], headers)
        try:
            with urllib.request.urlopen(request, timeout=1) as answer:
                return b"result" in answer.read()
        except OSError:
            return False


def _opensips_modules() -> str:
    """Where a package or a build of one's own put OpenSIPS' modules; empty for the default."""
    program = shutil.which("opensips")
    own = Path(program).resolve().parents[1] if program else Path("/usr/local")
    folders = [*own.glob("lib*/opensips/modules"), *own.glob("lib/*/opensips/modules")]
    return f"{folders[0]}/" if folders else ""


class TcpTap:
    """A TCP forwarder to a server: it can be cut (refuses) or hang (accepts and says nothing)."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = free_port()

    async def open(self) -> None:
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Refuse new connections and break those there are."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def hang(self) -> None:
        self._flowing.clear()

    @property
    def hanging(self) -> bool:
        return not self._flowing.is_set()

    def flow(self) -> None:
        self._flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._join(reader, writer)
        except asyncio.CancelledError:
            pass  # cut; asyncio's own callback would complain about a cancelled handler
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        try:
            back, upstream = await asyncio.open_connection(*self._target)
        except OSError:
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, upstream))
                group.create_task(self._copy(back, writer))
        except* OSError:
            pass
        finally:
            upstream.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()
