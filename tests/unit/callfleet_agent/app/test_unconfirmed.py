"""What waits for a yes is kept for a moment, in this process."""

from uuid import UUID

from callfleet_agent.app.unconfirmed import KEPT_S, MOST, Unconfirmed

ONE, OTHER = UUID(int=1), UUID(int=2)


class Now:
    s = 0.0

    def __call__(self) -> float:
        return self.s


def test_it_is_taken_once_by_its_session() -> None:
    kept = Unconfirmed()
    kept.keep(ONE, "4271")
    assert kept.take(OTHER) is None
    assert (kept.take(ONE), kept.take(ONE)) == ("4271", None)
    assert "4271" not in repr(kept)


def test_the_next_turn_forgets_it() -> None:
    kept = Unconfirmed()
    kept.keep(ONE, "4271")
    kept.keep(ONE, None)
    assert kept.take(ONE) is None


def test_it_is_kept_for_a_moment() -> None:
    now = Now()
    kept = Unconfirmed(now)
    kept.keep(ONE, "4271")
    kept.keep(OTHER, "9083")
    now.s = KEPT_S - 1
    assert kept.take(ONE) == "4271"
    now.s = KEPT_S
    assert kept.take(OTHER) is None
    kept.keep(OTHER, "9083")
    now.s = 2 * KEPT_S
    kept.keep(ONE, None)
    now.s = KEPT_S
    assert kept.take(OTHER) is None


def test_so_many_are_kept() -> None:
    kept = Unconfirmed()
    for number in range(MOST + 1):
        kept.keep(UUID(int=number), "1")
    assert kept.take(UUID(int=0)) is None
    assert kept.take(UUID(int=1)) == "1"
