"""`python -m chatserver admin …`: a client of a running server's `Admin`, over the wire like any
other.

| file | what lives there |
|---|---|
| `connection` | finding the server, and being let in |
| `tables` | answers as tables for people, as JSON for programs |
| `watch` | a view of all of it that goes on |
| `command_line` | the commands, and what each asks and shows |
"""
