"""`callfleet call`: a phone for people and for tests."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from callfleet_agent.app.cli import exits
from callfleet_agent.app.phone.turns import Turn

if TYPE_CHECKING:
    from callfleet_agent.app.phone.report import CallReport
    from callfleet_agent.app.phone.settings import PhoneSettings

_TURN_OPTIONS: Final = ("say", "play", "dtmf", "barge_in")

_EPILOG = """\b
Examples:
  callfleet call sip:agent@127.0.0.1:5060 --say "where is my credit card"
  callfleet call sip:+15550100@10.89.0.1 --say "where is my credit card" \\
      --dtmf 200417 --dtmf 4271 --say no --record call.wav
  callfleet call sip:agent@127.0.0.1 --barge-in 1.5 --say "where is my credit card"
\b
Exit status:
  0    answered and ended properly: one side sent BYE, the other answered it with 2xx
  10   not answered in time or unreachable
  11   refused
  12   answered, but broken: our BYE was refused (bye-refused; 481 is no refusal where the agent's
       BYE crossed ours) or not answered in 4 s (nobody-answered-bye), the connection was lost, or
       no audio of the agent arrived in a call of a second or more that was to have some
  13   the agent ended before the last turn
  130  stopped by Ctrl-C, after hanging up
\b
Recording: a stereo WAV file, the caller on the left, the agent on the right.
Times: the answer's is from the sending of the packet with the last sample of our speech above
-40 dBFS to the arrival of the first speech that goes on for 60 ms. Fillers ("one moment, please")
do not count: the answer is what follows them. Their words tell them from one, so that they do count
with --no-text. Where a turn began while the agent spoke: from the first packet of our speech above
-40 dBFS, or of a key, to the arrival of the last packet of what the agent was saying (pauses under
250 ms belong to it).
"""


class InOrder(click.Command):
    """A command whose turns come in the order in which they were written."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember the order of the turns' options."""
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta["turns"] = _in_order(values, [parameter.name or "" for parameter in order])
        return super().parse_args(ctx, args)


def _in_order(values: Mapping[str, Any], order: list[str]) -> list[tuple[str, str]]:
    """Options of turns with their values, as they came on the command line."""
    left = {name: list(values.get(name) or ()) for name in _TURN_OPTIONS}
    return [(name, left[name].pop(0)) for name in order if left.get(name)]


def turns_of(written: list[tuple[str, str]]) -> tuple[Turn, ...]:
    """The turns; `--barge-in` belongs to the turn that follows it.

    Raises:
        click.UsageError: a value cannot be used.
    """
    turns: list[Turn] = []
    barge_in_s: float | None = None
    for name, value in written:
        if name == "barge_in":
            barge_in_s = _seconds(value)
            continue
        if name == "dtmf" and (not value or set(value) - set("0123456789*#ABCD")):
            raise click.UsageError("--dtmf: only 0 to 9, *, # and A to D are keys")
        turns.append(
            Turn(
                say=value if name == "say" else None,
                play=Path(value) if name == "play" else None,
                keys=value if name == "dtmf" else None,
                barge_in_s=barge_in_s,
            )
        )
        barge_in_s = None
    if barge_in_s is not None:
        raise click.UsageError("--barge-in: a turn must follow it")
    return tuple(turns)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError as error:
        raise click.UsageError(f"--barge-in: {value!r} is no number of seconds") from error
    if not 0 <= seconds <= 60:
        raise click.UsageError("--barge-in: 0 to 60 seconds")
    return seconds


@click.command(cls=InOrder, epilog=_EPILOG)
@click.argument("uri", metavar="SIP-URI")
@click.option("--say", multiple=True, metavar="TEXT", help="Say this; several are several turns.")
@click.option("--play", multiple=True, metavar="FILE", help="Play this WAV file as a turn.")
@click.option("--dtmf", multiple=True, metavar="KEYS", help="Press these keys as a turn.")
@click.option(
    "--barge-in",
    multiple=True,
    metavar="SECONDS",
    help="The next turn begins so long after the agent began to speak, not when it has finished.",
)
@click.option("--record", type=click.Path(dir_okay=False, path_type=Path), help="Write a WAV file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.option("--via", metavar="HOST:PORT", help="Send through this SIP proxy.")
@click.option("--from", "from_uri", metavar="SIP-URI", help="Who calls.")
@click.option("--transport", type=click.Choice(["udp", "tcp"]), default="udp", show_default=True)
@click.option(
    "--codec", type=click.Choice(["PCMU", "PCMA"], case_sensitive=False), help="Offer only this."
)
@click.option(
    "--answer-timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    help="Seconds to be answered in.",
)
@click.option(
    "--listen",
    type=click.FloatRange(min=0),
    help="Listen so many seconds after the last turn, then leave.",
)
@click.option("--wait-for-bye", is_flag=True, help="Let the agent hang up.")
@click.option("--bind", metavar="IP", help="This machine's address to use.")
@click.option("--bank-name", default="Example Bank", show_default=True, help="For recognition.")
@click.option(
    "--voice", default="en-gb", show_default=True, help="espeak-ng's voice to speak with."
)
@click.option(
    "--no-text",
    is_flag=True,
    help="Do not recognise what is heard; fillers then count as answers.",
)
@click.pass_context
def call(ctx: click.Context, /, uri: str, **options: Any) -> None:
    """Call an agent, say things, hear and measure what it answers.

    Each turn waits until the agent has finished. Without any turn it listens until someone hangs
    up. The agent's speech is shown as text, recognised among the sentences that agents say.
    """
    with exits.explained():
        sys.exit(_call(uri, turns_of(ctx.meta["turns"]), options))


def _call(uri: str, turns: tuple[Turn, ...], options: Mapping[str, Any]) -> int:
    from callfleet_agent.app.phone.settings import PhoneSettings

    codec = options["codec"]
    settings = PhoneSettings(
        uri=uri,
        turns=turns,
        bind=options["bind"],
        transport=options["transport"],
        via=options["via"],
        from_uri=options["from_uri"],
        codecs=(codec.upper(),) if codec else ("PCMU", "PCMA"),
        record=options["record"],
        recognise=not options["no_text"],
        bank_name=options["bank_name"],
        voice=options["voice"],
        answer_timeout_s=options["answer_timeout"],
        listen_s=options["listen"],
        hang_up=not options["wait_for_bye"],
    )
    settings.checked()
    if any(turn.say is not None for turn in turns):
        from callfleet_agent.app.preflight import need_espeak

        need_espeak()
    report = asyncio.run(_run(settings, quiet=options["as_json"]))
    if options["as_json"]:
        click.echo(json.dumps(report.as_json()))
    else:
        show(report)
    return _STATUSES.get(report.outcome, exits.FAILED)


_STATUSES: Final = {
    "ok": 0,
    "not-answered": exits.NOT_ANSWERED,
    "refused": exits.REFUSED,
    "broken": exits.BROKEN,
    "cut-off": exits.CUT_OFF,
    "stopped": exits.STOPPED,
}


async def _run(settings: "PhoneSettings", *, quiet: bool) -> "CallReport":
    from callfleet_agent.app.phone.phone import Phone

    def show_line(who: str, text: str) -> None:
        if not quiet:
            click.echo(f"{who:>7}: {text}")

    phone = Phone(settings, show_line)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, phone.stop)
    return await phone.run()


def show(report: "CallReport") -> None:
    """The report for a person."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if report.setup_ms is None:
        again = f", try again in {report.retry_after_s} s" if report.retry_after_s else ""
        status = f"{report.status} " if report.status else ""
        click.echo(f"{report.outcome}: {status}{report.reason}{again}")
        return
    if report.turns:
        interruptions = any(turn.interrupted_ms is not None for turn in report.turns)
        columns = ["turn", "answer", *(["agent silent after"] if interruptions else [])]
        table = Table(*columns, box=None, title=None)
        for turn in report.turns:
            times = (turn.answer_ms, turn.interrupted_ms)[: len(columns) - 1]
            table.add_row(escape(turn.said), *map(_milliseconds, times))
        Console().print(table)
    click.echo(
        f"set up in {report.setup_ms:.0f} ms, {report.duration_s:.1f} s, {report.codec},"
        f" {report.packets_lost} packets lost ({report.loss_percent} %),"
        f" jitter {report.jitter_ms} ms, {report.outcome}, {report.ending}"
        + (f", {report.reason}" if report.reason else "")
    )
    if report.recording:
        click.echo(f"recorded in {report.recording} (caller left, agent right)")


def _milliseconds(time: float | None) -> str:
    return "-" if time is None else f"{time:.0f} ms"
