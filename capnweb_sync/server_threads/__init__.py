"""Cap'n Web over WebSocket in WSGI servers with threads: this is its table of contents.

| file | what lives there |
|---|---|
| `servers` | which server runs the application, its socket, and how many connections it can hold |
| `line_socket` | `LineSocket`: a `Line` as simple-websocket uses a socket |
| `connection` | `ThreadedConnection`: one open WebSocket, the transport of its session |
| `connections` | `ThreadedConnections`: all of them in this process; capacity and the end |

A connection is the thread in which the server has called the application: it reads, and sends what
the kernel would not take at once. The conversation runs in the iterator of the response, when
whatever belongs to the request is over, and is RFC 6455 by the package simple-websocket (the extra
`threads`).
Nothing is imported here: whether the server can do it is said without that package, too.
"""
