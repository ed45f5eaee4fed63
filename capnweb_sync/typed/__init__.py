"""Typed APIs: what type checkers and completion know of a server, and results of the right types.

For each class of the server there are two here, usually written by `capnweb stubs`:

    class _Bank:                                        # what the server's class has
        def open(self, owner: str, /) -> AccountApiPromise: ...

    class BankApi(_Bank, TypedStub): ...                # a reference to one, held
    class BankApiPromise(_Bank, TypedPromise[BankApi]): ...     # one that is under way

They are read, never made: `connect(url, api=BankApi)` gives the stubs and promises of the library,
which look at these classes to know what a result shall be. A Protocol will do as well.

| module | what it does |
|---|---|
| `declared` | `TypedStub` and `TypedPromise`, the bases of such classes |
| `shapes` | reads such classes |
| `results` | converts results to their annotated types |
| `stubs` | the stubs and promises that do all this |
"""

from .declared import MainApi, TypedPromise, TypedStub
from .stubs import with_api

__all__ = ["MainApi", "TypedPromise", "TypedStub", "with_api"]
