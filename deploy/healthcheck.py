"""Whether the chat in this container is alive: the exit status says so."""

import os
import ssl
import urllib.request

PATIENCE_SECONDS = 2

port = os.environ.get("CHAT_PORT", "8080")
scheme = "https" if os.environ.get("CHAT_TLS_CERTIFICATE") else "http"
# The certificate is not for this address, and nobody else answers at it.
unchecked = ssl.create_default_context()
unchecked.check_hostname = False
unchecked.verify_mode = ssl.CERT_NONE

urllib.request.urlopen(
    f"{scheme}://127.0.0.1:{port}/healthz", timeout=PATIENCE_SECONDS, context=unchecked
)
