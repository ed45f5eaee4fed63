"""What the server answers over HTTP, and where a request becomes a WebSocket.

A refusal is a plain HTTP answer before the upgrade, with a sentence for whoever reads it.
"""

import logging
import math
from functools import partial
from typing import Final

from flask import Blueprint, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import WebsocketMismatch
from werkzeug.wrappers import Response as AnyResponse

from capnweb_sync.server import HandshakeError, UpgradeUnavailable, no_room, upgrade
from chatserver import page
from chatserver.errors import RateLimited, Unauthorized
from chatserver.logs import tell
from chatserver.observe.metrics import hidden, may_see
from chatserver.service import ChatService, current_service

logger: Final = logging.getLogger("chatserver")

RPC_PATH: Final = "/rpc/ws"
BATCH_PATH: Final = "/rpc/batch"

WELCOME: Final = """\
This is a chat server. It speaks Cap'n Web over WebSocket at {url}

From a terminal:    python -m chatclient --url {url}
From JavaScript:    import {{ newWebSocketRpcSession }} from "capnweb";
                    const chat = newWebSocketRpcSession("{url}");
                    await chat.join("Alice", {{ onMessage: event => console.log(event) }});
                    await chat.sendMessage("Alice", "Hello everyone!");
"""

NO_WEBSOCKET: Final = """\
This server cannot do WebSocket. Start the chat with one of
    python -m chatserver
    gunicorn -c python:chatserver.gunicorn_conf "chatserver:create_app()"
"""

INHERITED: Final = """\
The chat was opened before this process was forked, and does nothing in it. Start gunicorn without
--preload: each worker opens the chat for itself.
"""

FIRST_REFUSAL: Final = 400
"""The status from which on a request was not done."""

VARIES: Final = [("Vary", "Accept")]
"""A browser gets something else at the same address."""

routes = Blueprint("chat", __name__)


@routes.before_request
def refuse_if_inherited() -> Response | None:
    """The refusal in a process that was forked from the one with the chat."""
    return sentence(503, INHERITED) if current_service().inherited else None


@routes.before_request
def notice_proxy() -> None:
    """Nobody may forward requests unnoticed whose clients are not told apart."""
    current_service().notice_proxy(request.environ)


@routes.before_request
def keep_the_chat_off_the_port_for_metrics() -> None:
    """Whoever may reach that one need not be one who may chat."""
    if hidden(request.environ, current_service().settings):
        abort(404)


@routes.after_app_request
def count_refusal(response: Response) -> Response:
    """Count what was not done, by its status."""
    if response.status_code >= FIRST_REFUSAL:
        current_service().calls.refusals[f"http_{response.status_code}"] += 1
    return response


# Werkzeug takes a request for an upgrade only to the one kind of rule, any other only to the other.
@routes.get(RPC_PATH, websocket=True)
@routes.get(RPC_PATH)
def connect() -> Response:
    """Become a WebSocket, or say why not."""
    service = current_service()
    if service.origins.refuse(request.environ):
        return refuse_page()
    service.admit(request.environ)
    begin = partial(service.begin, service.access.identify_request(request))
    try:
        status, headers = upgrade(request.environ, service.connections, begin)
    except UpgradeUnavailable:
        return sentence(501, NO_WEBSOCKET)
    except HandshakeError as error:
        return refuse_with(error)
    return Response(status=status, headers=headers)


@routes.post(RPC_PATH)
@routes.post(BATCH_PATH)
def batch() -> AnyResponse:
    """Answer a batch of calls: for what needs no events, such as a job that runs by the clock."""
    service = current_service()
    if service.origins.refuse(request.environ):
        return refuse_page()
    if service.connections.draining:
        return refuse_with(no_room())
    return service.batch(service.access.identify_request(request), request.environ)


@routes.get("/healthz")
def alive() -> tuple[Response, int]:
    """For supervisors: 503 if restarting this process would help."""
    return state_of(current_service(), ("ok", "unavailable", "full", "draining"))


@routes.get("/readyz")
def ready() -> tuple[Response, int]:
    """For load balancers: 503 if nobody should be sent here."""
    return state_of(current_service(), ("ok",))


@routes.get("/metrics")
def metrics() -> Response:
    """For Prometheus: what has happened, in all workers."""
    service = current_service()
    if not may_see(request.environ, service.settings):
        return sentence(403, "The figures are for this machine; --metrics-from lets others read.")
    page, content_type = service.metrics.page(request.headers.get("Accept", ""))
    return Response(page, content_type=content_type)


def state_of(service: ChatService, good: tuple[str, ...]) -> tuple[Response, int]:
    """How this worker is, with status 200 if that is one of the `good` ones."""
    state = service.state
    connections = service.connections
    answer = jsonify(status=state, connections=len(connections), memory=connections.kept)
    return answer, 200 if state in good else 503


@routes.get("/")
def welcome() -> Response:
    """The chat for whoever comes with a browser; for others, what this is and how to use it."""
    # No proxy needs to be trusted for its word on TLS: the page goes to the one who sent it.
    secure = request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"
    if page.wanted():
        try:
            return page.index(secure=secure)
        except page.ModulesMissing:
            return sentence(503, page.MISSING, VARIES)
    scheme = "wss" if secure else "ws"
    return sentence(200, WELCOME.format(url=f"{scheme}://{request.host}{rpc_path()}"), VARIES)


@routes.app_errorhandler(RateLimited)
def slow_down(error: RateLimited) -> Response:
    """Too many connections or batches from one address."""
    tell(
        logger,
        logging.INFO,
        "Refused",
        address=request.remote_addr,
        path=request.path,
        code=error.code,
        retry_after=error.retry_after,
    )
    return sentence(429, str(error), [("Retry-After", str(math.ceil(error.retry_after)))])


@routes.app_errorhandler(Unauthorized)
def refuse_token(error: Unauthorized) -> Response:
    """The request says who it is from, and that cannot be believed (RFC 6750, section 3)."""
    return sentence(401, str(error), [("WWW-Authenticate", 'Bearer error="invalid_token"')])


@routes.app_errorhandler(WebsocketMismatch)
def no_websocket_here(error: WebsocketMismatch) -> Response:
    """An upgrade to an address of another kind; Werkzeug calls it a bad request."""
    return sentence(404, f"There is no WebSocket here; it is at {rpc_path()}.")


@routes.app_errorhandler(HTTPException)
def refuse(error: HTTPException) -> Response:
    """Anything else, in a sentence; `Allow` and the like stay."""
    headers = [
        (name, value)
        for name, value in error.get_headers(request.environ)
        if name.lower() not in ("content-type", "content-length")
    ]
    return sentence(error.code or 500, error.description or "", headers)


def rpc_path() -> str:
    """The path of the WebSocket as the client of this request has to write it: the application may
    be mounted under a prefix."""
    return request.script_root + RPC_PATH


def sentence(
    status: int | str, text: str, headers: list[tuple[str, str]] | None = None
) -> Response:
    """A plain answer that a person can read."""
    return Response(text.strip() + "\n", status, headers, content_type="text/plain; charset=utf-8")


def refuse_with(error: HandshakeError) -> Response:
    """The refusal that `error` asks for."""
    return sentence(error.status, error.sentence, error.headers)


def refuse_page() -> Response:
    """The refusal of a page of a site that is not allowed."""
    return sentence(
        403, "Pages of another site may not connect; the server's --allow-origin lets them."
    )
