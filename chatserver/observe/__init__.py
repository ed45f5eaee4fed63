"""What an operator sees of a running server: this is its table of contents.

| file | what lives there |
|---|---|
| `visits` | each connection, from its beginning to its end |
| `calls` | what clients call, and what is refused |
| `warnings` | what will hurt at night |
| `start` | what the server says of itself when it starts |
| `families` | what is measured, by name |
| `process` | what the system says of this process |
| `figures` | all of it, as it is now |
| `files` | the figures of all workers, in the files of prometheus_client's multiprocess mode |
| `metrics` | `/metrics`: who may see it, and what keeps it fresh |
"""
