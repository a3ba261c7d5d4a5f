"""What a person sees while something long is going on. All of it goes to standard error."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from callfleet_hack.errors import HackError

HEARTBEAT_S = 10.0


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(name: str, heartbeat_s: float = HEARTBEAT_S) -> Iterator[None]:
    """Show `name` while the block runs, a line every `heartbeat_s`, and how long it took."""
    started = time.monotonic()
    done = threading.Event()

    def beat() -> None:
        while not done.wait(heartbeat_s):
            say(f"  … {name}: {time.monotonic() - started:.0f} s")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        say(f"  ✗ {name}  {time.monotonic() - started:.1f} s")
        raise
    else:
        say(f"  ✓ {name}  {time.monotonic() - started:.1f} s")
    finally:
        done.set()
        thread.join()


def run_main(main: Callable[[], int]) -> int:
    """Run a command's `main`; what it has to tell the person is one message and status 1."""
    try:
        return main()
    except HackError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
