"""The command line of `hack/cluster`."""

import argparse
import contextlib
import signal
from pathlib import Path

from callfleet_hack.console import say
from callfleet_hack.control_plane import control_plane


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/cluster", description="A Kubernetes cluster on this machine."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    plane = commands.add_parser(
        "control-plane", help="kube-apiserver and etcd on loopback, until stopped"
    )
    plane.add_argument("--dir", type=Path, required=True, help="where its files go")
    plane.add_argument("--port", type=int, help="of the API server (a free one)")
    plane.add_argument("--controllers", action="store_true", help="kube-controller-manager too")
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    return _control_plane(arguments)


def _control_plane(arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with control_plane(
        arguments.dir, port=arguments.port, controllers=arguments.controllers
    ) as running:
        say(f"ready at {running.url}; Ctrl-C ends it")
        print(f"export KUBECONFIG={running.kubeconfig}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0
