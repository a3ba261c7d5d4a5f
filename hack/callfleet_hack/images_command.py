"""The command line of `hack/images`."""

import argparse

from callfleet_hack.errors import HackError
from callfleet_hack.images.build import build
from callfleet_hack.images.context import IMAGES


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/images",
        description="Container images, built by Docker where its engine answers, else by buildah.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="build what changed; prints the references")
    known = [*IMAGES, "all"]
    command.add_argument("images", nargs="*", metavar="IMAGE", help=", ".join(known))
    command.add_argument("--tag", default="dev")
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    unknown = set(arguments.images) - {*IMAGES, "all"}
    if unknown:
        raise HackError(f"no image is called {unknown.pop()}; there are: {', '.join(IMAGES)}")
    everything = not arguments.images or "all" in arguments.images
    names = list(IMAGES) if everything else arguments.images
    for reference in build(names, arguments.tag):
        print(reference)
    return 0
