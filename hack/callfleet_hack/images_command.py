"""The command line of `hack/images`."""

import argparse

from callfleet_hack.images.build import build
from callfleet_hack.images.context import IMAGES


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/images",
        description="Container images, built by Docker where its engine answers, else by buildah.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("build", help="build what changed; prints the references")
    command.add_argument(
        "images", nargs="*", default=["all"], choices=[*IMAGES, "all"], metavar="IMAGE",
        help=f"{', '.join(IMAGES)}, or all",
    )  # fmt: skip
    command.add_argument("--tag", default="dev")
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    names = list(IMAGES) if "all" in arguments.images else arguments.images
    for reference in build(names, arguments.tag):
        print(reference)
    return 0
