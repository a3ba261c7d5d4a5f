"""The phone's turns come in the order in which they were written."""

import click
import pytest
from click.testing import CliRunner

from callfleet_agent.app.cli.call import call, show, turns_of
from callfleet_agent.app.cli.root import callfleet
from callfleet_agent.app.phone.report import CallReport, TurnReport


def parsed(*arguments: str) -> list[tuple[str, str]]:
    context = call.make_context("call", ["sip:a@127.0.0.1", *arguments])
    written: list[tuple[str, str]] = context.meta["turns"]
    return written


def test_turns_of_all_kinds_keep_their_order() -> None:
    written = parsed("--say", "one", "--dtmf", "42", "--say", "two", "--play", "a.wav")
    turns = turns_of(written)
    assert [turn.shown for turn in turns] == ["one", "[keys 42]", "two", "[a.wav]"]
    assert [turn.kind for turn in turns] == ["say", "keys", "say", "play"]


def test_an_interruption_belongs_to_the_turn_after_it() -> None:
    turns = turns_of(parsed("--say", "a", "--barge-in", "1.5", "--say", "b", "--say", "c"))
    assert [turn.barge_in_s for turn in turns] == [None, 1.5, None]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--barge-in", "1"), "a turn must follow"),
        (("--barge-in", "soon", "--say", "a"), "no number"),
        (("--barge-in", "61", "--say", "a"), "0 to 60"),
        (("--dtmf", "12x"), "only 0 to 9"),
        (("--dtmf", ""), "only 0 to 9"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(click.UsageError, match=complaint):
        turns_of(parsed(*arguments))


def test_the_report_of_a_call_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    report = CallReport(outcome="ok", setup_ms=12.3, codec="PCMU", ended_by="agent")
    report.turns = [TurnReport("say", "hello", 432.1), TurnReport("say", "bye")]
    report.recording = "call.wav"
    show(report)
    text = capsys.readouterr().out
    assert "432 ms" in text
    assert "silent after" not in text
    assert "ended by agent" in text
    assert "call.wav" in text


def test_an_interruption_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = CallReport(outcome="ok", setup_ms=12.3, codec="PCMU", ended_by="agent")
    report.turns = [TurnReport("say", "hello", 432.1, 345.6), TurnReport("say", "bye", 400.0)]
    show(report)
    header, hello, bye, _ = capsys.readouterr().out.splitlines()
    assert header.split() == ["turn", "answer", "agent", "silent", "after"]
    assert hello.split() == ["hello", "432", "ms", "346", "ms"]
    assert bye.split() == ["bye", "400", "ms", "-"]


def test_a_refused_call_says_when_to_try_again(capsys: pytest.CaptureFixture[str]) -> None:
    show(CallReport(outcome="refused", status=503, reason="Draining", retry_after_s=60))
    assert capsys.readouterr().out == "refused: 503 Draining, try again in 60 s\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([""], "SIP-URI: malformed host"),
        (["sip:"], "SIP-URI: malformed host"),
        (["http://example.com"], "SIP-URI: is no SIP address"),
        (["tel:+15550100"], "SIP-URI: is no SIP address"),
        (["sip:a@127.0.0.1:99999"], "SIP-URI: port out of range"),
        (["sip:a b@127.0.0.1"], "SIP-URI: malformed uri"),
        (["sips:a@127.0.0.1"], "SIP-URI: this phone speaks UDP and TCP, without TLS"),
        (["sip:a@127.0.0.1;transport=tls"], "SIP-URI: this phone speaks UDP and TCP"),
        (["sip:a@127.0.0.1", "--via", "proxy:first"], "--via: malformed port"),
        (["sip:a@127.0.0.1", "--via", "sips:proxy"], "--via: this phone speaks"),
        (["sip:a@127.0.0.1", "--from", "me and you"], "--from: malformed uri"),
        (["sip:a@127.0.0.1", "--bind", "eth0"], "--bind: is no IP address"),
        (["sip:a@127.0.0.1", "--bind", "192.0.2.7", "--no-text"], "--bind: cannot use 192.0.2.7: "),
        (["sip:a@127.0.0.1", "--record", "/no/such/folder/a.wav"], "no such folder"),
        (["sip:a@127.0.0.1", "--record", "/"], "--record"),
        (["sip:a@127.0.0.1", "--answer-timeout", "0"], "--answer-timeout"),
        (["sip:a@127.0.0.1", "--listen", "-1"], "--listen"),
    ],
)
def test_a_call_that_cannot_be_made_names_the_option(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(callfleet, ["call", *arguments])
    assert complaint in result.stderr
    assert result.exit_code == (1 if "cannot use" in complaint else 2)
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("command", ["", "call", "run", "serve", "serve agent", "serve demo-bank"])
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(callfleet, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_version() -> None:
    assert CliRunner().invoke(callfleet, ["version"]).output.startswith("callfleet 0.")
