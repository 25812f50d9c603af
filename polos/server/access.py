"""Who asks, what of it they may see, and whether they may change anything.

Three ways in, in this order: a key (the API only, and one project), Flower's own authentication
where it has one, and else nobody but this machine. Flower itself is of no help with the last: it
shows its pages to everybody then.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NoBase64
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RequestHandler

from polos.client.wire import PROJECT_HEADER, REQUEST_HEADER, project_text
from polos.server.addresses import has_authentication, is_local
from polos.server.served import Served

_KEY = 'Bearer realm="polos"'
_PASSWORD = 'Basic realm="flower"'
# Where a browser may say that a request comes from: a page of this site, or what its user typed.
_OWN_SITES = ("same-origin", "none")
_CLOSED = (
    "this Flower has no authentication, so Polos answers only to the machine that it runs on: "
    "addressed as localhost, and through no proxy. Start Flower with --basic_auth=user:password "
    "or --auth (OAuth){}. FLOWER_UNAUTHENTICATED_API=true opens everything to everybody"
)
_OR_KEY = ", or give the program a key of 'polos keys create NAME'"


class Refused(Exception):
    """A request that is not answered.

    Attributes:
        status: the HTTP status, 401 or 403.
        challenge: what the header WWW-Authenticate is to say; empty for none.
    """

    def __init__(self, status: int, text: str, challenge: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: for the log: a key's name, Flower's user, or the address.
        project_id: the only project that they see; None for all.
        may_change: whether they may start, cancel, retry, fork and prune.
        sees_masked: whether they may have values in the codec's encoding, which is not masked:
            programs that own them. What people read is masked for everybody (``Served.shown``).
    """

    name: str
    project_id: str | None = None
    may_change: bool = True
    sees_masked: bool = False


async def caller_of(handler: RequestHandler, served: Served) -> Caller:
    """Who sends a request.

    Args:
        handler: a handler of Flower's; a true ``is_page`` says that keys don't open it, and that
            Flower's login is offered by other means.
        served: looks keys up.

    Raises:
        Refused: it is not to be answered.
        StoreUnavailable: the database, which has the keys, can't be reached.
    """
    is_page = bool(getattr(handler, "is_page", False))
    may_change = not getattr(_options(handler), "read_only", False)
    key = None if is_page else _key_of(handler.request)
    if key is not None:
        return await _owner(key, handler.request, served, may_change)
    if has_authentication(_options(handler)):
        return Caller(_user(handler, is_page), may_change=may_change)
    local = is_local(handler.request)
    if not local and not getattr(handler, "unauthenticated_api", False):
        text = _CLOSED.format("" if is_page else _OR_KEY)
        raise Refused(403, text) if is_page else Refused(401, text, _KEY)
    return Caller(handler.request.remote_ip or "", may_change=may_change, sees_masked=local)


def check_change(handler: RequestHandler, caller: Caller) -> None:
    """See to it that a request may change something, and that it is not another site's doing.

    A form can't set headers, and a script only on its own site. A browser says where a request
    comes from; where it says nothing of that, it names the origin.

    Raises:
        Refused: it may not.
    """
    if not caller.may_change:
        raise Refused(403, "this Flower runs with --read_only: nothing can be changed through it")
    if caller.project_id is not None:
        # A key: nobody else's page can send it.
        return
    headers = handler.request.headers
    if headers.get(REQUEST_HEADER) != "1":
        raise Refused(403, f"a change needs the header '{REQUEST_HEADER}: 1', or a key")
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site is not None and site not in _OWN_SITES:
        raise Refused(403, "the request comes from another site")
    if site is None and origin is not None and urlsplit(origin).netloc != handler.request.host:
        raise Refused(403, f"the request comes from another site, {origin[:200]!r}")


def _key_of(request: HTTPServerRequest) -> str | None:
    """What a request gives as its key, whatever that may be; None where it gives none."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _refusal_of(key: str) -> str:
    makes = "'polos keys create NAME' makes one"
    if not key:
        return f"the header Authorization has no key behind 'Bearer'; {makes}"
    return f"the key is unknown, or was revoked; {makes}"


async def _owner(key: str, request: HTTPServerRequest, served: Served, may_change: bool) -> Caller:
    found = await served.keys.opened_by(key)
    if found is None:
        raise Refused(401, _refusal_of(key), _KEY)
    asked = request.headers.get(PROJECT_HEADER)
    if asked is not None and asked not in {found.project_id, project_text(found.project_id)}:
        raise Refused(403, f"the key opens another project than {asked[:255]!r}")
    return Caller(found.name, found.project_id, may_change, sees_masked=True)


def _user(handler: RequestHandler, is_page: bool) -> str:
    """Whom Flower takes somebody for."""
    asks_password = bool(_options(handler).basic_auth)
    ways = (*([_PASSWORD] if asks_password else []), *([] if is_page else [_KEY]))
    challenge = ", ".join(ways)
    try:
        user = handler.current_user
    except HTTPError as error:
        text = "Flower asks for a user and a password"
        raise Refused(401, f"{text}{'' if is_page else _OR_KEY}", challenge) from error
    if not user:
        text = "log in to Flower" + ("" if is_page else _OR_KEY)
        raise Refused(401, text, challenge)
    return user if isinstance(user, str) else _user_of_password(handler.request)


def _user_of_password(request: HTTPServerRequest) -> str:
    """The user of a header that Flower has checked."""
    _, _, credentials = request.headers.get("Authorization", "").partition(" ")
    try:
        return b64decode(credentials).decode(errors="replace").partition(":")[0]
    except NoBase64:
        return ""


def _options(handler: RequestHandler) -> Any:
    """Flower's options."""
    application: Any = handler.application
    return application.options
