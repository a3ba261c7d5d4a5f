"""`callfleet serve ROLE…`: the platform's services, one or several in a process."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from callfleet_agent.app.cli.exits import explained
from callfleet_agent.app.cli.pod_options import http_port_option, tls_option

ROLES = (
    "session-manager", "context-store", "banking", "llm", "vad", "asr", "tts", "ai-voice-connector",
)  # fmt: skip
_LOOK_AGAIN_S = 0.2
_EPILOG = """\b
Roles: session-manager context-store banking llm vad asr tts ai-voice-connector.
Examples:
  callfleet serve llm --llm-url http://models:8000/v1 --llm-model qwen …
  callfleet serve session-manager context-store --sealing-keys /etc/callfleet/sealing \\
      --database-url postgresql://callfleet@db/callfleet --redis-url redis://cache/0
"""


@click.command("platform", epilog=_EPILOG)
@click.argument("roles", nargs=-1, required=True, metavar="ROLE…")
@click.option("--bind", default="0.0.0.0", show_default=True, help="Address to listen on.")  # noqa: S104
@click.option("--port", default=7443, show_default=True, help="gRPC, mutual TLS.")
@http_port_option
@click.option(
    "--wait-seconds",
    default=60.0,
    show_default=True,
    help="How long to wait for certificate, key set and sealing keys that are not there yet.",
)
@tls_option
@click.option(
    "--token-keys",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("/etc/callfleet/tokens/jwks.json"),
    show_default=True,
    help="JWK set with the public keys of tokens.",
)
@click.option("--token-issuer", default="callfleet", show_default=True, help="Who issues tokens.")
@click.option("--database-url", envvar="CALLFLEET_DATABASE_URL", default="", help="postgresql://…")
@click.option(
    "--redis-url", envvar="CALLFLEET_REDIS_URL", default="", help="redis://… or rediss://…"
)
@click.option("--database-pool", default=10, show_default=True, help="Connections at most.")
@click.option(
    "--sealing-keys",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="CALLFLEET_SEALING_KEYS",
    help="Folder with the keys of what belongs to customers.",
)
@click.option("--bank-url", envvar="CALLFLEET_BANK_URL", default="", help="The bank's API.")
@click.option(
    "--bank-token", type=click.Path(dir_okay=False, path_type=Path), help="File with its token."
)
@click.option("--bank-ca", type=click.Path(dir_okay=False, path_type=Path), help="Its CA's file.")
@click.option(
    "--bank-certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the certificate that is shown to it, PEM.",
)
@click.option(
    "--bank-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the certificate's key.",
)
@click.option("--bank-token-url", default="", help="Token endpoint: OAuth 2.0 client credentials.")
@click.option(
    "--bank-client-id",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the client's id.",
)
@click.option(
    "--bank-client-secret",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with its secret; where none is there, the certificate proves the client.",
)
@click.option("--bank-scope", default="", help="Scopes that are asked for.")
@click.option(
    "--per-minute", default=100.0, show_default=True, help="Requests a minute for each client."
)
@click.option("--burst", default=20.0, show_default=True, help="Requests of a client at once.")
@click.option(
    "--agents-per-minute",
    default=6000.0,
    show_default=True,
    help="Requests a minute for each agent's pods together.",
)
@click.option(
    "--calls", default=20, show_default=True, help="Conversations at most, for ai-voice-connector."
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Processes that hold them, a core each, and a spare. [default: one for 25 conversations]",
)
@click.option(
    "--peers",
    multiple=True,
    metavar="HOST:PORT",
    envvar="CALLFLEET_PEERS",
    help="All replicas of ai-voice-connector, this one too: a name with each one's address.",
)
@click.option("--bank-name", default="Example Bank", show_default=True, help="As it is spoken.")
@click.option(
    "--proof",
    type=click.Choice(["card-last-four", "pin", "date-of-birth", "one-time-code"]),
    default="card-last-four",
    show_default=True,
    help="How callers prove who they are, for llm and ai-voice-connector.",
)
@click.option(
    "--proof-digits",
    type=click.IntRange(4, 8),
    default=4,
    show_default=True,
    help="How many digits a pin or a code has.",
)
@click.option(
    "--providers",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with chains of providers, as agents have it; followed when it changes.",
)
@click.option(
    "--llm-url",
    envvar="CALLFLEET_LLM_URL",
    default="",
    help="Base URL of one language model: http://…/v1.",
)
@click.option(
    "--llm-engine",
    envvar="CALLFLEET_LLM_ENGINE",
    type=click.Choice(["vllm", "llamacpp", "openai"]),
    default="vllm",
    show_default=True,
    help="What serves it.",
)
@click.option("--llm-model", envvar="CALLFLEET_LLM_MODEL", help="Name of the model in requests.")
@click.option(
    "--llm-key",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="CALLFLEET_LLM_KEY",
    help="File with its API key.",
)
@click.option(
    "--model-fact",
    "model_facts",
    multiple=True,
    default=("topic", "product", "card_type", "channel", "reason"),
    show_default=True,
    metavar="NAME",
    help="Fact of a session that a model may be shown; repeatable.",
)
def platform(wait_seconds: float, **options: object) -> None:
    """Serve ROLEs over gRPC until SIGTERM; requests in progress end before the process does."""
    from callfleet_agent.app.platform import run_platform
    from callfleet_agent.app.platform_settings import PlatformSettings

    with explained():
        settings = PlatformSettings(**options)  # type: ignore[arg-type]
        files = [settings.tls / name for name in ("tls.crt", "tls.key", "ca.crt")]
        keys = settings.sealing_keys
        wait_for([*files, settings.token_keys, *([keys / "current"] if keys else [])], wait_seconds)
        run_platform(settings, os.environ)


def wait_for(
    files: Sequence[Path],
    limit_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Until all are there, or the time is over: whoever reads them says what is missing."""
    deadline = clock() + limit_s
    while not all(map(Path.exists, files)) and clock() < deadline:
        sleep(_LOOK_AGAIN_S)
