"""Connecting from blocking code: websocket-client and threads, or an HTTP batch.

connect     `connect()`, and the session that it gives
opening     from a URL to an open WebSocket
transport   the thread that reads, and what waits to be sent
batch       one HTTP request for many calls
"""
