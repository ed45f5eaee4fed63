"""Names that are taken, by how they look."""

from chatserver.people.lookalikes import Lookalikes

CYRILLIC_VE = "\u0412"


def test_of_several_that_look_the_same_each_is_found_until_it_is_free() -> None:
    taken = Lookalikes()
    taken.add("bom", "Bom")
    taken.add("born", "Born")
    lookalike = f"{CYRILLIC_VE}om"

    assert taken.find(lookalike.lower(), lookalike) == "bom"
    taken.remove("bom", "Bom")
    assert taken.find(lookalike.lower(), lookalike) == "born"
    taken.remove("born", "Born")
    assert taken.find(lookalike.lower(), lookalike) is None
    taken.add("bom", "Bom")
    assert taken.find(lookalike.lower(), lookalike) == "bom"
    assert taken.find("born", "Born") is None
