"""Entry of the `callfleet` command, and of `python -m callfleet_agent.main`."""

import os

# Who starts programs here does so by fork and exec: gRPC would stop its threads for that, and with
# them the process that carries sound. It reads this when it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from callfleet_agent.app.cli.root import callfleet


def main() -> None:
    """Run the command line."""
    callfleet(prog_name="callfleet")


if __name__ == "__main__":
    main()
