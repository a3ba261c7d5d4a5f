"""Where an agent says that it is reached."""

import pytest

from callfleet_agent.app.address import address_toward, advertised_address, outgoing_address
from callfleet_agent.app.errors import AppError


def outgoing() -> str:
    return "192.0.2.9"


@pytest.mark.parametrize(
    ("advertise", "pod_ip", "bind", "expected"),
    [
        ("203.0.113.5", "10.0.0.7", "0.0.0.0", "203.0.113.5"),
        (None, "10.0.0.7", "0.0.0.0", "10.0.0.7"),
        (None, None, "127.0.0.1", "127.0.0.1"),
        (None, None, "0.0.0.0", "192.0.2.9"),
        (None, "", "::", "192.0.2.9"),
        (None, "2001:db8::7", "::", "2001:db8::7"),
    ],
)
def test_the_strongest_word_wins(
    advertise: str | None, pod_ip: str | None, bind: str, expected: str
) -> None:
    found = advertised_address(advertise=advertise, pod_ip=pod_ip, bind=bind, outgoing=outgoing)
    assert found == expected


def test_what_is_no_address_is_named() -> None:
    with pytest.raises(AppError, match=r"--advertise: 'phone\.example' is no IP address"):
        advertised_address(advertise="phone.example", pod_ip=None, bind="::", outgoing=outgoing)


def test_the_way_out_is_an_address() -> None:
    assert advertised_address(
        advertise=outgoing_address(), pod_ip=None, bind="::", outgoing=outgoing
    )


def test_this_machine_is_called_from_loopback() -> None:
    assert address_toward("127.0.0.1") == "127.0.0.1"


def test_a_host_without_an_address_is_called_by_the_usual_way() -> None:
    assert address_toward("agent.invalid") == outgoing_address()
