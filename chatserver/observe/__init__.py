"""What an operator sees of a running server: this is its table of contents.

| file | what lives there |
|---|---|
| `visits` | each connection, from its beginning to its end |
| `start` | what the server says of itself when it starts |
"""
