"""`callfleet`: the group of all commands."""

import click

from callfleet_agent.app.cli.audit import audit
from callfleet_agent.app.cli.call import call
from callfleet_agent.app.cli.dev_identity import dev_identity
from callfleet_agent.app.cli.engine_probe import engine_probe
from callfleet_agent.app.cli.model import model
from callfleet_agent.app.cli.run import run
from callfleet_agent.app.cli.serve import serve
from callfleet_agent.app.cli.storage import storage
from callfleet_agent.app.cli.version import version
from callfleet_agent.app.cli.worker import worker

_EPILOG = """\b
Examples:
  callfleet run agent.yaml                       an agent on this machine
  callfleet call sip:agent@127.0.0.1:5060 --say "where is my credit card"
  callfleet serve demo-bank --status shipped     a bank to try it with
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
def callfleet() -> None:
    """Voice agents that answer phone calls.

    `run` answers calls on this machine as a VoiceAgent manifest says, `call` is a phone to talk
    with an agent or to test it, `serve` runs one of the platform's processes in the foreground.
    """


serve.add_command(engine_probe)
for command in (audit, call, dev_identity, model, run, serve, storage, version, worker):
    callfleet.add_command(command)
