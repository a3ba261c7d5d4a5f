"""`callfleet serve`: the processes of the platform, in the foreground."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from callfleet_agent.app.cli.exits import explained
from callfleet_agent.app.cli.platform import ROLES, platform
from callfleet_agent.app.cli.pod_options import http_port_option, tls_option

_AGENT_EPILOG = """\b
Example:
  callfleet serve agent --settings /etc/callfleet/settings/agent.yaml
"""
_BANK_EPILOG = """\b
Example:
  callfleet serve demo-bank --port 8090 --status delivered
Statuses: ordered printed shipped out_for_delivery delivered returned lost blocked.
"""
_ASR_EPILOG = """\b
Example:
  callfleet serve asr --engine whisper --model /models/small.en --listen 127.0.0.1:9090
"""
_TTS_EPILOG = """\b
Example:
  callfleet serve tts --engine piper --model /models/en_US-lessac-medium.onnx
"""


def _server_options(command: Callable[..., None]) -> Callable[..., None]:
    """What all servers of engines have."""
    for option in (
        click.option("--http", default="0.0.0.0:8080", show_default=True, help="Health, metrics."),
        click.option(
            "--plain-listen",
            metavar="ADDRESS",
            help="With --tls, where gRPC is in the clear as well: for agents of former versions.",
        ),
        click.option(
            "--plaintext", is_flag=True, help="Without --tls, answer others than this machine too."
        ),
        click.option(
            "--tls",
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder of tls.crt, tls.key, ca.crt: mutual TLS 1.3, for agents of the namespace.",
        ),
        click.option(
            "--drain-seconds",
            type=click.IntRange(1, 3600),
            default=30,
            show_default=True,
            help="How long running requests may go on after SIGTERM.",
        ),
        click.option("--listen", default="127.0.0.1:9090", show_default=True, help="gRPC."),
        click.option("--concurrency", type=click.IntRange(1, 256), default=4, show_default=True),
    ):
        command = option(command)
    return command


class _Serve(click.Group):
    """A group in which the roles of platform services need no command before them."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first word, or the platform's with all words. `asr` and `tts` are
        roles as well as commands: with a model they are a server of one engine."""
        engine = bool({"--engine", "--model"} & {word.partition("=")[0] for word in args})
        if args and args[0] in ROLES and not (args[0] in self.commands and engine):
            return platform.name, platform, args
        return super().resolve_command(ctx, args)


@click.group(cls=_Serve)
def serve() -> None:
    """Run one of the platform's processes in the foreground: a command below, or one or several
    of the platform's roles, such as session-manager (see `callfleet serve platform --help`).
    """


@serve.command(epilog=_AGENT_EPILOG)
@click.option(
    "--settings",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("/etc/callfleet/settings/agent.yaml"),
    show_default=True,
    help="The VoiceAgent manifest of this revision.",
)
@click.option("--bind", default="0.0.0.0", show_default=True, help="Address of SIP and RTP.")  # noqa: S104
@click.option("--advertise", metavar="IP", help="Address that callers are told, over POD_IP.")
@click.option("--port", default=5060, show_default=True, help="SIP port, UDP and TCP.")
@click.option("--rtp-ports", default="20000-20999", show_default=True, help="UDP ports for sound.")
@http_port_option
@click.option("--control-port", default=7443, show_default=True, help="The operator's gRPC, mTLS.")
@tls_option
@click.option(
    "--trust",
    multiple=True,
    metavar="CIDR",
    envvar="CALLFLEET_TRUSTED",
    help="Network whose word on the caller's number is believed; repeatable.",
)
def agent(**options: object) -> None:
    """The connector of an agent pod, with its workers.

    SIGTERM drains: calls are taken until the operator says that the pod's row is out of the proxy,
    at most five seconds, and the process leaves after the last call.
    """
    from callfleet_agent.app.pod import PodOptions, run_in_pod

    with explained():
        run_in_pod(PodOptions.of(options), os.environ)


serve.add_command(platform)


@serve.command("demo-bank", epilog=_BANK_EPILOG)
@click.option("--host", default="0.0.0.0", show_default=True, help="Address to listen on.")  # noqa: S104
@click.option("--port", default=8090, show_default=True, help="HTTP port.")
@click.option("--status", default="shipped", show_default=True, help="What it says of cards.")
def demo_bank(host: str, port: int, status: str) -> None:
    """A bank to try an agent with: customer number 200417, last four digits of the card 4271."""
    from callfleet_agent.app import demo, logs
    from callfleet_agent.app.settings import log_level

    logs.configure("callfleet-demo-bank", log_level())
    with explained():
        demo.customers(status)
        asyncio.run(_until_told(host, port, status))


@serve.command(epilog=_ASR_EPILOG)
@click.option("--engine", type=click.Choice(["whisper", "vosk"]), required=True)
@click.option(
    "--model", type=click.Path(path_type=Path), required=True, help="Folder of the model."
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option(
    "--compute-type", default=None, help="Whisper's arithmetic.  [default: int8; cuda: float16]"
)
@click.option("--language", default="en", show_default=True, help="Language as a BCP 47 tag.")
@_server_options
def asr(**options: Any) -> None:
    """Recognise speech with one engine: ASRService of callfleet.v1, with streaming partials.

    /readyz on the HTTP port is 200 after a real inference. SIGTERM lets running streams end.
    """
    from callfleet_agent.app.speech_server import serve_asr

    with explained():
        serve_asr(options)


@serve.command(epilog=_TTS_EPILOG)
@click.option("--engine", type=click.Choice(["piper"]), default="piper", show_default=True)
@click.option("--model", type=click.Path(path_type=Path), required=True, help="The voice's .onnx.")
@click.option("--voice", default="", help="Name of the voice.")
@click.option(
    "--piper-python",
    default="python3",
    envvar="CALLFLEET_PIPER_PYTHON",
    show_default=True,
    help="A Python that has piper-tts[http]; Piper runs as a program of its own.",
)
@_server_options
def tts(**options: Any) -> None:
    """Speak with one voice: TTSService of callfleet.v1.

    /readyz on the HTTP port is 200 after a real inference. SIGTERM lets running streams end.
    """
    from callfleet_agent.app.speech_server import serve_tts

    with explained():
        serve_tts(options)


async def _until_told(host: str, port: int, status: str) -> None:
    from callfleet_agent.app.demo import demo_bank as serving

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with suppress(asyncio.CancelledError):
        async with serving(host, port, status):
            await stop.wait()
