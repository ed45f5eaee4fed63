"""The page: what a browser gets at `/`, and the files that it loads from `/web/`.

The files of chatserver/web are served as they are but for lines of comments, and the npm packages
beside them as they come: no bundler. An import map in the page, its one inline element, leads each
`import` to a file whose name has the hash of its content, so browsers keep it for ever. All of it
is read and packed once, when the first browser comes.
"""

import gzip
import hashlib
import json
import re
import sys
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, abort, request

FOLDER: Final = Path(__file__).parent / "web"

PACKAGES: Final = (
    # In wheels that have them.
    FOLDER / "modules",
    # Where scripts/run_server.sh puts them: beside the virtual environment.
    Path(f"{sys.prefix}.web", "node_modules"),
)
"""Where the npm packages may be."""

MODULES: Final = {
    "capnweb": "capnweb/dist/index.js",
    "preact": "preact/dist/preact.mjs",
    "preact/hooks": "preact/hooks/dist/hooks.mjs",
    "htm": "htm/dist/htm.mjs",
}
"""What the page imports from npm, each a single file."""

TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}

MISSING: Final = """\
The modules that the chat's page is built on are not installed. Start the server with
scripts/run_server.sh, which gets them, or install a wheel made by scripts/build_dist.sh.
"""

DIGEST_LETTERS: Final = 16
"""Of the hash, in names: 64 bits tell versions of a file apart."""

FOR_EVER: Final = "public, max-age=31536000, immutable"

HOST: Final = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
"""What may stand in a policy: the client says what host it asks for."""

POLICY: Final = (
    "default-src 'none'",
    "script-src 'self' '{import_map}'",
    "style-src 'self'",
    # The icon with the number of what is unread is drawn by the page.
    "img-src 'self' blob:",
    # Not every browser takes 'self' for WebSockets, too.
    "connect-src 'self'{websockets}",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)

COMMENTS: Final = re.compile(r"^ *(?://.*|/\*\*(?:[^*]|\*(?!/))*\*/)$", re.MULTILINE)
"""Lines of JavaScript that are nothing else: an eighth of what a first visit takes."""

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

PAGE_HEADERS: Final = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

pages = Blueprint("page", __name__)


class ModulesMissing(Exception):
    """The npm packages are not here."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served.

    Attributes:
        body, packed: its content, plain and for `Content-Encoding: gzip`.
        content_type: for the header.
        digest: of the content, for names and ETags.
    """

    body: bytes
    packed: bytes
    content_type: str
    digest: str

    @classmethod
    def of(cls, body: bytes, suffix: str) -> "Asset":
        """Pack and hash a file's content."""
        digest = hashlib.sha256(body).hexdigest()[:DIGEST_LETTERS]
        return cls(body, gzip.compress(body, 9, mtime=0), TYPES[suffix], digest)


@dataclass(frozen=True, slots=True)
class Page:
    """All files.

    Attributes:
        index: the page itself.
        import_map: the source of its import map in the policy, a hash.
        assets: what it loads, by name.
    """

    index: Asset
    import_map: str
    assets: Mapping[str, Asset]


@pages.get("/web/<path:name>")
def file(name: str) -> Response:
    """A file that the page loads, under the name that has its content's hash."""
    try:
        asset = load().assets.get(name)
    except ModulesMissing:
        asset = None
    if asset is None:
        abort(404)
    return answer(asset, FOR_EVER)


def index(*, secure: bool) -> Response:
    """The page. Raises ModulesMissing."""
    page = load()
    response = answer(page.index, "no-cache")
    response.headers.extend(PAGE_HEADERS)
    response.vary.add("Accept")
    websockets = f" {'wss' if secure else 'ws'}://{request.host}"
    policy = "; ".join(POLICY).format(
        import_map=page.import_map,
        websockets=websockets if HOST.fullmatch(request.host) else "",
    )
    response.headers["Content-Security-Policy"] = policy
    return response


def wanted() -> bool:
    """Whether the client of this request prefers a page to plain text, as browsers do."""
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["text/plain"]


def answer(asset: Asset, cache_control: str) -> Response:
    """The file, packed if the client can unpack it, or 304 if it has it already."""
    packed = request.accept_encodings["gzip"] > 0
    response = Response(
        asset.packed if packed else asset.body, content_type=asset.content_type, headers=HEADERS
    )
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = cache_control
    response.vary.add("Accept-Encoding")
    response.set_etag(f"{asset.digest}-gzip" if packed else asset.digest)
    response.make_conditional(request)
    return response


@cache
def load() -> Page:
    """Read everything. Raises ModulesMissing, which is not remembered."""
    imports: dict[str, str] = {}
    assets: dict[str, Asset] = {}

    def add(name: str, body: bytes) -> str:
        """The file's address, as the page writes it."""
        stem, _, suffix = name.rpartition(".")
        asset = Asset.of(body, f".{suffix}")
        hashed = f"{stem}.{asset.digest}.{suffix}"
        assets[hashed] = asset
        return f"./web/{hashed}"

    modules = packages()
    for specifier, module in MODULES.items():
        imports[specifier] = add(f"{specifier}.js", (modules / module).read_bytes())
    addresses: dict[str, str] = {}
    for path in sorted(FOLDER.rglob("*")):
        name = path.relative_to(FOLDER).as_posix()
        if path.suffix in (".js", ".css", ".svg") and not name.startswith("modules/"):
            body = path.read_bytes()
            if path.suffix == ".js":
                body = without_comments(body.decode()).encode()
            addresses[f"./web/{name}"] = add(name, body)
            if path.suffix == ".js":
                imports[f"./web/{name}"] = addresses[f"./web/{name}"]

    import_map = json.dumps({"imports": imports}, separators=(",", ":"))
    preloads = "\n".join(
        f'<link rel="modulepreload" href="{address}">' for address in imports.values()
    )
    html = (FOLDER / "index.html").read_text(encoding="utf-8")
    html = re.sub(r"(?<=\")\./web/[^\"]+", lambda found: addresses[found[0]], html)
    html = html.replace("IMPORT_MAP", import_map).replace("<!-- PRELOADS -->", preloads)
    digest = b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    return Page(Asset.of(html.encode(), ".html"), f"sha256-{digest}", assets)


def without_comments(source: str) -> str:
    """A module with lines left empty that are comments: consoles still name the right ones."""
    return COMMENTS.sub(lambda found: "\n" * found[0].count("\n"), source)


def packages() -> Path:
    """The folder that has the npm packages. Raises ModulesMissing."""
    for folder in PACKAGES:
        if all((folder / module).is_file() for module in MODULES.values()):
            return folder
    raise ModulesMissing
