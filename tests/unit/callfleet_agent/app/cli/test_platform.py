"""`callfleet serve ROLE…`: what is not there yet is waited for."""

import threading
from pathlib import Path
from typing import Any

from callfleet_agent.app.cli.platform import wait_for
from callfleet_agent.app.platform_settings import PlatformSettings
from callfleet_agent.services.bucket import Limit
from command_lines import parameters


def test_a_client_has_a_hundred_requests_a_minute_unless_told_otherwise() -> None:
    by_command = parameters(["serve", "vad"])
    del by_command["wait_seconds"]
    by_itself: dict[str, Any] = {
        "roles": ("vad",), "tls": Path("/tls"), "token_keys": Path("/keys"), "token_issuer": "x",
    }  # fmt: skip
    for given in (by_command, by_itself):
        limits = PlatformSettings(**given).limits
        assert limits.of("client") == limits.of("llm") == Limit(per_minute=100.0, burst=20.0)
        assert limits.of("voiceagent") == Limit(per_minute=6000.0, burst=600.0)


def test_files_that_come_late_are_waited_for(tmp_path: Path) -> None:
    late = tmp_path / "tls.crt"
    timer = threading.Timer(0.3, late.touch)
    timer.start()
    wait_for([late], 30)
    assert late.exists()
    timer.join()


def test_what_never_comes_is_left_to_whoever_reads_it(tmp_path: Path) -> None:
    slept: list[float] = []
    wait_for([tmp_path / "none"], 30, clock=lambda: sum(slept), sleep=slept.append)
    assert 30 <= sum(slept) < 30 + 1.5 * slept[0]
