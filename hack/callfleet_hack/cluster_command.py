"""The command line of `hack/cluster`."""

import argparse
import contextlib
import signal
from pathlib import Path

from callfleet_hack import cluster
from callfleet_hack.console import say
from callfleet_hack.control_plane import control_plane


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/cluster",
        description="A Kubernetes cluster on this machine: kind where Docker is, else one real "
        "node from Kubernetes' Go modules (needs root). CALLFLEET_CLUSTER=kind|node decides.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring it up, or heal it; prints the KUBECONFIG")
    down = commands.add_parser("down", help="take it down; only images stay, in the cache")
    down.add_argument("--images", action="store_true", help="remove the images too")
    commands.add_parser("status", help="what runs; exit status 1 unless all of it does")
    commands.add_parser("verify-clean", help="after down: compare the machine with before up")
    load = commands.add_parser("load-image", help="give it images of this machine")
    load.add_argument("images", nargs="+", metavar="IMAGE", help="agent, or a whole reference")
    plane = commands.add_parser(
        "control-plane", help="only kube-apiserver and etcd, on loopback, until stopped"
    )
    plane.add_argument("--dir", type=Path, required=True, help="where its files go")
    plane.add_argument("--port", type=int, help="of the API server (a free one)")
    plane.add_argument("--controllers", action="store_true", help="kube-controller-manager too")
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    match arguments.command:
        case "up":
            print(f"export KUBECONFIG={cluster.up()}")
        case "down":
            cluster.down(images=arguments.images)
        case "status":
            return 0 if cluster.status() else 1
        case "verify-clean":
            return _verify_clean()
        case "load-image":
            cluster.load_images(arguments.images)
        case _:
            _control_plane(arguments)
    return 0


def _verify_clean() -> int:
    found = cluster.differences_since_up()
    for line in found:
        print(line)
    say(f"{len(found)} differences" if found else "nothing is left behind")
    return 1 if found else 0


def _control_plane(arguments: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with control_plane(
        arguments.dir, port=arguments.port, controllers=arguments.controllers
    ) as running:
        say(f"ready at {running.url}; Ctrl-C ends it")
        print(f"export KUBECONFIG={running.kubeconfig}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
