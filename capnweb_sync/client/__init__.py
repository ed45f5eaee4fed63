"""Connecting from blocking code: websocket-client and threads, or an HTTP batch.

connect        `connect()`
session        the session that it gives
opening        from a URL to an open WebSocket
transport      the socket, what waits to be sent, and the one thread that reads and sends it
reconnect      when and whether to come back after a loss
reconnecting   a session that comes back by itself
batch          one HTTP request for many calls
"""
