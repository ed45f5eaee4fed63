"""Cap'n Web from the shell: `python -m capnweb_sync`, installed as `capnweb`.

| module | what it does |
|---|---|
| `program` | takes the command line apart, and ends the process as a shell expects |
| `call` | `capnweb call URL METHOD [ARGUMENT …]` |
| `stubs` | `capnweb stubs MODULE:CLASS` |
| `api_module` | writes the module of a typed API |
| `spelling` | annotations of a server's class, spelled for its callers |
| `arguments` | what is typed, as values |
| `output` | values, as JSON |
| `wire` | shows each message |

It uses the library as any program does, by its public names; `api_module` and `spelling` look at a
server's classes as the library itself does.
"""

from .program import main

__all__ = ["main"]
