"""Entry of the `callfleet` command, and of `python -m callfleet_agent.main`."""

from callfleet_agent.app.cli.root import callfleet


def main() -> None:
    """Run the command line."""
    callfleet(prog_name="callfleet")


if __name__ == "__main__":
    main()
