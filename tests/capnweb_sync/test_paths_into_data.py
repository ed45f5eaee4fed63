"""Paths into objects of data classes, which are sent in their plain form."""

import enum
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from capnweb_sync import RemoteError, RemoteTypeError, RpcTarget, undefined

from .loopback import Loopback


class Suit(enum.Enum):
    HEARTS = "hearts"


@dataclass
class Card:
    suit: Suit
    number: int
    more: Any = None


class Deck(msgspec.Struct, rename="camel"):
    top_card: Card


class Cards(RpcTarget):
    def top(self, more: Any = None) -> Card:
        return Card(Suit.HEARTS, 7, more=more)

    def decks(self) -> list[Deck]:
        return [Deck(self.top())]

    @property
    def best(self) -> Card:
        return self.top()

    def bad(self) -> Card:
        return self.top(more=[Cards()])


def test_the_parts_of_data_of_a_class_are_those_of_its_plain_form() -> None:
    api = Loopback(Cards()).api

    assert api.top({"a": [5]}).more.a[0].result() == 5
    assert api.decks()[0].topCard.suit.result() == "hearts"
    assert api.best.number.result() == 7
    assert api.decks().map(lambda deck: deck.topCard.number).result() == [7]
    assert api.top(api.top().number).more.result() == 7
    assert [api.top()[name].result() for name in ("__class__", "none", "_x")] == [undefined] * 3
    assert api.decks()[0].top_card.result() is undefined


def test_capabilities_in_data_of_a_class_are_out_of_reach_by_a_path_too() -> None:
    with pytest.raises(RemoteTypeError, match="Card can't be sent: what is in it must be data"):
        Loopback(Cards()).api.bad().more[0].top().result()


def test_opening_data_of_a_class_is_paid_for_like_a_copy() -> None:
    cards = Loopback(Cards()).api
    many = cards.top([[0] * 1000] * 1000)

    promises = cards.map(lambda _: [many.more[0][0] for _ in range(20)])

    with pytest.raises(RemoteError, match="would have to be copied"):
        promises.result()
