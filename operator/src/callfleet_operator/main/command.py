"""`callfleet-operator run` and `callfleet-operator migrate`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from callfleet_operator.kube.errors import ConfigurationError
from callfleet_operator.main import logs, migrate
from callfleet_operator.model import ManifestError, OperatorSettings, read_settings

_log = logging.getLogger(__name__)

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 after a signal, 1 for a fault that trying again may mend, 2 for
    settings.
    """
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
    except (ManifestError, ConfigurationError) as error:
        return _complain(str(error))
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="callfleet-operator", description="Runs fleets of voice agents on Kubernetes."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="reconcile until SIGTERM")
    run.add_argument("--settings", type=Path, required=True, metavar="FILE", help="settings, YAML")
    run.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="how to reach the cluster; without it, $KUBECONFIG or the pod's service account",
    )
    run.set_defaults(command=_run)
    tables = commands.add_parser("migrate", help="make or upgrade the tables of a SIP proxy")
    migrate.add_arguments(tables)
    tables.set_defaults(command=migrate.run)
    return parser


def _run(options: argparse.Namespace) -> int:
    settings = read_settings(options.settings)
    logs.configure(settings.log_level)
    kubeconfig = options.kubeconfig
    if kubeconfig is None and os.environ.get("KUBECONFIG"):
        kubeconfig = Path(os.environ["KUBECONFIG"])
    if kubeconfig is not None and not kubeconfig.is_file():
        raise ConfigurationError(f"kubeconfig {kubeconfig}: there is no such file")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_until_signal(settings, kubeconfig))


async def _until_signal(settings: OperatorSettings, kubeconfig: Path | None) -> int:
    # Kubernetes' client takes over a second to import, and `migrate` has no use for it.
    from callfleet_operator.kube.connection import connect
    from callfleet_operator.main.process import close_process, open_process

    process = await open_process(settings, await connect(kubeconfig))
    try:
        work = asyncio.create_task(process.run(), name="operator")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, work.cancel)
        await asyncio.wait([work])
    finally:
        await close_process(process)
    if work.cancelled():
        _log.info("the operator stopped")
        return 0
    error = work.exception()
    if isinstance(error, BaseExceptionGroup) and (found := error.subgroup(ConfigurationError)):
        raise _first(found)
    if isinstance(error, OSError):
        raise error
    _log.critical("the operator failed", exc_info=error)
    return 1


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _complain(message: str) -> int:
    sys.stderr.write(f"callfleet-operator: {message}\n")
    return USAGE_ERROR
