"""For the tests of programs that use `capnweb_sync`: both ends of a connection in one process.

| module | what it does |
|---|---|
| `pairs` | `pair(main)`: a client and a server that are connected without a socket |
| `settling` | knows when everything that was set off is done |
| `pytest` | the same as a fixture: `pytest_plugins = ["capnweb_sync.testing.pytest"]` |
"""

from .pairs import Pair, pair

__all__ = ["Pair", "pair"]
