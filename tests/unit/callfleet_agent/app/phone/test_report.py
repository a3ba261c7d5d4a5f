"""A call's report sums up its turns."""

from callfleet_agent.app.phone.report import CallReport, TurnReport, percentile


def test_percentiles() -> None:
    assert percentile([], 50) is None
    assert percentile([412.34], 95) == 412.3
    assert percentile([float(n) for n in range(1, 102)], 95) == 96.0


def test_json_has_the_summaries() -> None:
    report = CallReport(turns=[TurnReport("say", "a", 100.0), TurnReport("say", "b", None)])
    data = report.as_json()
    assert data["answer_p50_ms"] == 100.0
    assert data["turns"][1]["answer_ms"] is None
