"""How fast the operator makes a fleet, and what it costs: on a real kube-apiserver.

    bench/reconcile.py [--agents 200] [--quick] [--json FILE]

200 VoiceAgents are applied at once to a real API server without nodes (the control plane of the
integration tests); the time runs until every child exists and every status tells the truth:
observedGeneration current, numbers accepted, dispatcher synced, and Ready=False because no pod can
run. The floor in the same run: the same objects, applied by a plain client that does nothing else,
as many at once. Then the operator is started again: the time until it is in sync, and its writes,
of which there should be none. The SIP proxy is the fake one, in memory: what is measured is the
operator and Kubernetes.
"""

# ruff: noqa: E402 - paths first

import argparse
import asyncio
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "hack"))
sys.path.insert(0, str(ROOT / "tests"))

from bench.fleet.operator_process import operator
from bench.fleet.row import table
from bench.fleet.runs import Fleet, measure
from bench.report import Meanwhile, commit, machine

from callfleet_hack.control_plane import control_plane
from ports import free_port

CHILDREN = 9


def install(kubeconfig: Path) -> None:
    """The definitions, served when this returns."""
    kubectl = ["kubectl", "--kubeconfig", str(kubeconfig)]
    folder = str(ROOT / "crds")
    applied = [*kubectl, "apply", "--server-side", "-f", folder]
    subprocess.run(applied, check=True, capture_output=True)
    served = [*kubectl, "wait", "--for=condition=Established", "--timeout=60s", "-f", folder]
    subprocess.run(served, check=True, capture_output=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="3 agents: does it still work?")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--port", type=int, help="of the operator's metrics; default: a free one")
    parser.add_argument("--operator", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.operator:
        kubeconfig, port, memory = options.operator
        asyncio.run(operator(Path(kubeconfig), int(port), Path(memory)))
        return
    count = 3 if options.quick else options.agents
    waits = {"settle_s": 0.2, "idle_s": 0.5} if options.quick else {}
    about, meanwhile = {**machine(), "commit": commit()}, Meanwhile()
    with TemporaryDirectory(prefix="callfleet-bench-") as name:
        folder = Path(name)
        with control_plane(folder / "plane") as running:
            install(running.kubeconfig)
            port = options.port or free_port()
            fleet = Fleet(running.kubeconfig, count, port, folder / "proxy.json", **waits)
            rows = asyncio.run(measure(fleet))
    about |= meanwhile.facts()
    print(f"reconcile: {count} VoiceAgents, {CHILDREN} children each; {about}")
    print(table(rows))
    result = {"bench": "reconcile", "agents": count, "machine": about}
    result["rows"] = [asdict(row) for row in rows]
    print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
