"""Peer: Flask-SocketIO on gevent, its production server for one process.

gevent-websocket is installed beside it, as its deployment page asks. Usage:
flask_socketio_server.py PORT
"""

from gevent import monkey

monkey.patch_all()

import sys
import time

from flask import Flask, session
from flask_socketio import SocketIO, emit

app = Flask(__name__)
app.config["SECRET_KEY"] = "bench"  # signs nothing here: a session lives in memory
socketio = SocketIO(app, async_mode="gevent", http_compression=False)
last_id = 0


@socketio.on("join")  # type: ignore[untyped-decorator]
def join(user: str) -> None:
    session["user"] = user
    emit("welcome")


@socketio.on("chat")  # type: ignore[untyped-decorator]
def chat(text: str) -> None:
    global last_id
    last_id += 1
    stamp = int(time.time() * 1000)
    event = {"id": last_id, "type": "chat", "user": session["user"], "text": text, "time": stamp}
    emit("message", event, broadcast=True)


socketio.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_output=False)
