"""Connecting from blocking code: websocket-client and threads, or an HTTP batch.

connect     `connect()`, and the session that it gives
opening     from a URL to an open WebSocket
transport   the socket, what waits to be sent, and the one thread that reads and sends it
batch       one HTTP request for many calls
"""
