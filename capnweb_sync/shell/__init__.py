"""Cap'n Web from the shell: `python -m capnweb_sync`, installed as `capnweb`.

| module | what it does |
|---|---|
| `program` | takes the command line apart, and ends the process as a shell expects |
| `call` | `capnweb call URL METHOD [ARGUMENT …]` |
| `arguments` | what is typed, as values |
| `output` | values, as JSON |
| `wire` | shows each message |

It uses the library as any program does, by its public names.
"""

from .program import main

__all__ = ["main"]
