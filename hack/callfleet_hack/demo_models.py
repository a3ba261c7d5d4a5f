"""Models that cost nothing, for pools on a cluster: made on this machine, put on every node.

The voice is a Piper voice of recordings: it says what the agent says, by espeak-ng. Whisper's
and Llama's weights are random, and vosk knows one word.
"""

import subprocess
from pathlib import Path

from callfleet_hack.cache import REPOSITORY, cache_dir
from callfleet_hack.command import Argument, output, required
from callfleet_hack.console import step
from callfleet_hack.errors import HackError
from callfleet_hack.node import settings
from callfleet_hack.platform import NAMESPACE, Platform
from callfleet_hack.tools import ensure

ON_NODES = str(settings.MODELS)  # what the chart's pools.modelHostPaths must allow
PYTHON = REPOSITORY / ".venv" / "bin" / "python"
MAKER = REPOSITORY / "tests" / "tiny_models.py"
CARRIER = "callfleet-model-carrier"

_SENTENCES = """\
import sys
from callfleet_agent.banking import demo_customers
from callfleet_agent.dialog import CardFound, Delivery, prompts
from callfleet_agent.dialog.settings import DialogSettings
if not sys.argv[1:]:
    print(*prompts.fixed(DialogSettings()), sep="\\n")
for status in sys.argv[1:] or Delivery:
    card = demo_customers(str(status))[0].card
    found = CardFound(Delivery(status), card.date, card.expected, card.carrier)
    print(prompts.delivery(found))
"""


def sentences() -> list[str]:
    """All that the agent of the demo says."""
    return output([PYTHON, "-c", _SENTENCES]).splitlines()


def answer(status: str) -> str:
    """What it says while the demo's card has this status."""
    return output([PYTHON, "-c", _SENTENCES, status]).strip()


def make() -> Path:
    """A folder with `voice/recordings.onnx`, `whisper`, `vosk` and `llama/tiny.gguf`; installs the
    real engines if need be.
    """
    folder = cache_dir() / "demo" / "models"
    with step("making a voice and recognisers of a few megabytes"):
        engines = Path(output([REPOSITORY / "hack" / "engines"], timeout_s=1200).strip())
        said: list[Argument] = ["recordings", folder / "voice", *sentences()]
        output([engines / "piper" / "bin" / "python", MAKER, *said])
        python = engines / "recognition" / "bin" / "python"
        for name in ("whisper", "vosk", "llama"):
            output([python, MAKER, name, folder / name])
    return folder


def checksum(model: Path) -> str:
    """What `model.checksum` of a pool must be."""
    return output([PYTHON.with_name("callfleet"), "model", "checksum", model]).strip()


def put_on_nodes(platform: Platform, folder: Path, image: str) -> None:
    """Into `ON_NODES` of every node, by a pod on each that may write there. It goes afterwards."""
    with step(f"putting the models on the nodes, into {ON_NODES}"):
        try:
            platform.apply(_carrier(image))
            platform.kubectl(
                "-n", NAMESPACE, "rollout", "status", f"daemonset/{CARRIER}", "--timeout=120s"
            )
            pods = platform.get("-n", NAMESPACE, "pods", "-l", f"app={CARRIER}")["items"]
            for pod in pods:
                _copy(platform, folder, pod["metadata"]["name"])
        finally:
            platform.kubectl("-n", NAMESPACE, "delete", "daemonset", CARRIER, "--ignore-not-found")


def _copy(platform: Platform, folder: Path, pod: str) -> None:
    kubectl: list[Argument] = [
        ensure("kubectl"),
        "--kubeconfig",
        platform.kubeconfig,
        "-n",
        NAMESPACE,
    ]
    with subprocess.Popen(
        [required("tar"), "-C", folder, "--owner=0", "--group=0", "--mode=a+rX", "-cf", "-", "."],
        stdout=subprocess.PIPE,
    ) as packing:
        done = subprocess.run(
            [*kubectl, "exec", "-i", pod, "--", "tar", "-C", "/models", "-xf", "-"],
            stdin=packing.stdout,
            capture_output=True,
            text=True,
            timeout=120,
        )
    if packing.returncode or done.returncode:
        raise HackError(f"the models did not get to the node of {pod}: {done.stderr.strip()}")


def _carrier(image: str) -> str:
    """It writes a folder of the node, as root: no namespace with restricted pods would have it."""
    return f"""\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {CARRIER}
  namespace: {NAMESPACE}
spec:
  selector: {{matchLabels: {{app: {CARRIER}}}}}
  template:
    metadata: {{labels: {{app: {CARRIER}}}}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 0
      tolerations: [{{operator: Exists}}]
      containers:
        - name: carrier
          image: {image}
          command: [sleep, "600"]
          securityContext: {{runAsUser: 0}}
          volumeMounts: [{{name: models, mountPath: /models}}]
      volumes:
        - name: models
          hostPath: {{path: {ON_NODES}, type: DirectoryOrCreate}}
"""
