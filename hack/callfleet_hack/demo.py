"""`make demo`: a cluster, the platform, an agent, and a phone call that is answered."""

import argparse
import json
import subprocess
import time
from pathlib import Path

import yaml

import callfleet_hack.platform as cluster
from callfleet_hack import demo_pools
from callfleet_hack.cache import REPOSITORY, cache_dir
from callfleet_hack.cluster import package_groups
from callfleet_hack.console import say, step
from callfleet_hack.errors import HackError
from callfleet_hack.packages import ensure_packages
from callfleet_hack.platform import Platform

AGENT = REPOSITORY / "examples" / "card-line.yaml"
AGENT_NAME = "card-line"
AGENT_NAMESPACE = "bank"
SOFTPHONE = REPOSITORY / ".venv" / "bin" / "callfleet"
STATUSES = (
    "ordered",
    "printed",
    "shipped",
    "out_for_delivery",
    "delivered",
    "returned",
    "lost",
    "blocked",
)
CUSTOMER_NUMBER = "200417"
CARD_DIGITS = "4271"
TURNS = (
    ("--say", "where is my credit card"),
    ("--dtmf", CUSTOMER_NUMBER),
    ("--dtmf", CARD_DIGITS),
    ("--say", "no"),
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="Bring up a cluster and the platform, apply an agent, and call it. "
        "From make: make demo ARGS='--status lost'.",
    )
    parser.add_argument(
        "--status", choices=STATUSES, default="shipped", help="where the demo's card is"
    )
    parser.add_argument(
        "--kubeconfig", type=Path, help="use this cluster; by default one is brought up"
    )
    parser.add_argument(
        "--pools",
        action="store_true",
        help="apply pools as well, and delete the voice's pods while it speaks",
    )
    parser.add_argument("--no-call", action="store_true", help="stop before the phone call")
    return parser.parse_args()


def apply_agent(platform: Platform) -> str:
    """Apply the example and wait until it is ready; answers its number."""
    platform.apply(
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {AGENT_NAMESPACE}}}\n", "--server-side"
    )
    with step(f"applying {AGENT.relative_to(REPOSITORY)}"):
        platform.apply(manifest(platform), "-n", AGENT_NAMESPACE)
        platform.wait(f"voiceagent/{AGENT_NAME}", "Ready", namespace=AGENT_NAMESPACE)
    agent = platform.get("-n", AGENT_NAMESPACE, "voiceagent", AGENT_NAME)
    numbers = agent["spec"]["sip"]["numbers"]
    return str(numbers[0])


def manifest(platform: Platform) -> str:
    """The example, with the image just built: a running agent keeps its image over an upgrade."""
    agent = yaml.safe_load(AGENT.read_text())
    if platform.images:
        agent["spec"].setdefault("pod", {})["image"] = platform.images[0]
    return str(yaml.safe_dump(agent))


def show_cluster(platform: Platform) -> None:
    """What a platform engineer would look at."""
    say("\n── the cluster " + "─" * 60)
    say(platform.kubectl("get", "voiceagents,providerpools", "-A"))
    say(platform.kubectl("-n", AGENT_NAMESPACE, "get", "deploy,pods,svc,pdb,netpol", "-o", "wide"))
    say(platform.kubectl("-n", cluster.NAMESPACE, "get", "pods", "-o", "wide"))


def show_dispatcher(platform: Platform) -> None:
    """The rows that the SIP proxy routes by, from its database."""
    say("── the dispatcher's rows and the numbers that lead to them " + "─" * 16)
    say(
        query(
            platform,
            "SELECT setid, destination, flags, attrs FROM dispatcher ORDER BY setid, destination",
        )
    )
    say(query(platform, "SELECT match_exp AS number, attrs AS setid FROM dialplan ORDER BY 1"))


def query(platform: Platform, sql: str) -> str:
    """psql in the database's pod."""
    return platform.kubectl(
        "-n", cluster.NAMESPACE, "exec", f"deploy/{cluster.RELEASE}-postgresql", "-c", "postgresql",
        "--", "psql", "-U", "callfleet_owner", "-d", "callfleet", "-c", sql,
    )  # fmt: skip


def place_call(uri: str, recording: Path) -> None:
    """The softphone, as a person would start it."""
    turns = [word for turn in TURNS for word in turn]
    shown = " ".join(json.dumps(word) if " " in word else word for word in turns)
    say(f"── a call: callfleet call {uri} {shown} " + "─" * 10)
    recording.parent.mkdir(parents=True, exist_ok=True)
    status = subprocess.run([SOFTPHONE, "call", uri, *turns, "--record", recording]).returncode
    if status:
        raise HackError(f"the call failed (exit status {status})")


def say_goodbye(uri: str, kubeconfig: Path, recording: Path, seconds: float) -> None:
    say(f"""
── done in {seconds:.0f} s {"─" * 58}
The recording of the call is {recording}

On a second terminal:
  export KUBECONFIG={kubeconfig}
  kubectl -n {AGENT_NAMESPACE} get voiceagents -w
  kubectl -n {AGENT_NAMESPACE} scale voiceagent/{AGENT_NAME} --replicas=3

With a softphone of your own on this machine, call {uri}
(customer number {CUSTOMER_NUMBER}, last four digits {CARD_DIGITS}), or:
  .venv/bin/callfleet call {uri} --say "where is my credit card" --dtmf {CUSTOMER_NUMBER}

Tear everything down with: make down""")


def main() -> int:
    """`hack/demo`; see `--help`."""
    wanted = arguments()
    started = time.monotonic()
    ensure_packages(package_groups(wanted.kubeconfig), install=True)
    platform = cluster.bring_up(wanted.kubeconfig, pools=wanted.pools)
    address = cluster.installed(platform, f"demoBank.status={wanted.status}")
    number = apply_agent(platform)
    show_cluster(platform)
    show_dispatcher(platform)
    if wanted.pools:
        number = demo_pools.apply(platform)
        demo_pools.show(platform, "before the call")
    uri = f"sip:{number}@{address}:5060"
    recording = cache_dir() / "demo" / "call.wav"
    if wanted.pools and not wanted.no_call:
        turns = [word for turn in TURNS for word in turn]
        demo_pools.call(platform, uri, recording, turns, wanted.status)
        demo_pools.show(platform, "after the call")
    elif not wanted.no_call:
        place_call(uri, recording)
    say_goodbye(uri, platform.kubeconfig, recording, time.monotonic() - started)
    return 0
