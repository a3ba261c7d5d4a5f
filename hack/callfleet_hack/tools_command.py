"""The command line of `hack/tools`."""

import argparse

from callfleet_hack import definitions
from callfleet_hack.packages import GROUPS, ensure_packages
from callfleet_hack.tools import TOOLS, ensure


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/tools", description="Programs and Debian packages that the project's work needs."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    tools = commands.add_parser("ensure", help="print the path of each tool, built if need be")
    tools.add_argument("names", nargs="+", metavar="NAME", help=", ".join(sorted(TOOLS)))
    packages = commands.add_parser("packages", help="check the Debian packages of each group")
    packages.add_argument("groups", nargs="+", metavar="GROUP", help=", ".join(sorted(GROUPS)))
    packages.add_argument("--install", action="store_true", help="install what is missing, as root")
    commands.add_parser(
        "definitions", help="print where definitions (CRDs) of others are, for tests"
    )
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.command == "packages":
        ensure_packages(arguments.groups, install=arguments.install)
    elif arguments.command == "definitions":
        print(definitions.ensure(), flush=True)
    else:
        for name in arguments.names:
            print(ensure(name), flush=True)
    return 0
