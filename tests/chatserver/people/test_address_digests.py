"""What is kept of an address."""

import ipaddress

import pytest

from chatserver.people.address_digests import AddressDigests

SECRET = "a secret of the tests, 32 bytes long"
UNLIMITED = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("fd00::/8"))

digests = AddressDigests(UNLIMITED, SECRET)


@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "", "a socket"])
def test_who_is_free_of_limits_and_what_is_no_address_has_none(host: str) -> None:
    assert digests.of(host, "epoch") == ""


def test_with_a_secret_it_stays_the_same_and_says_nothing_of_the_address() -> None:
    digest = digests.of("203.0.113.7", "epoch")

    assert len(digest) == 32
    assert digest == AddressDigests((), SECRET).of("203.0.113.7", "another epoch")
    assert digest == digests.of("::ffff:203.0.113.7", "epoch")
    others = {
        digests.of("203.0.113.8", "epoch"),
        AddressDigests(UNLIMITED, SECRET[1:]).of("203.0.113.7", "epoch"),
        AddressDigests(UNLIMITED).of("203.0.113.7", "epoch"),
        AddressDigests(UNLIMITED).of("203.0.113.7", "another epoch"),
    }
    assert digest not in others
    assert len(others) == 4


def test_of_ipv6_it_is_that_of_the_subscriber() -> None:
    assert digests.of("2001:db8::1", "") == digests.of("2001:db8::ffff:1", "")
    assert digests.of("2001:db8::1", "") != digests.of("2001:db8:0:1::1", "")
