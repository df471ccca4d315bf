"""Who may do what: a request's token or session gives its caller, whose role must suffice.

A route says which role it needs by ``Depends(viewer)``, ``Depends(operator)`` or
``Depends(admin)``, and gets the caller. What changes something is written into the audit log
before it is done.
"""

import hmac
import ipaddress
import logging
import math
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from evomerge.errors import AccessError
from evomerge.runs.ledger.database import Ledger
from evomerge.service.audit import Audit
from evomerge.service.failures import Failures
from evomerge.service.guard import install
from evomerge.service.sessions import Sessions, csrf_of
from evomerge.service.tokens import Caller, Role, Tokens, hash_of, prefix_of

logger = logging.getLogger(__name__)

CSRF_HEADER = "X-CSRF-Token"
_SAFE = ("GET", "HEAD", "OPTIONS")
_LOCAL = Caller("local", Role.ADMIN)
_BEARER = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token of 'evomerge token create'."
)


class Access:
    """What decides who a caller is.

    Args:
        ledger: Holds tokens, sessions and the audit log.
        no_auth: Take everybody for an admin; only for a service that listens on this machine.
    """

    def __init__(self, ledger: Ledger, *, no_auth: bool = False) -> None:
        self.tokens = Tokens(ledger)
        self.sessions = Sessions(ledger)
        self.audit = Audit(ledger)
        self.failures = Failures()
        self.no_auth = no_auth

    def caller(self, request: Request) -> Caller:
        """Return who sent ``request``.

        Raises:
            HTTPException: 401: nobody knows; 403: another site made a browser send it; 429: too
                many failures.
        """
        if self.no_auth:
            _check_local(request)
            return _LOCAL
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, text = header.partition(" ")
            if scheme.lower() != "bearer":
                raise _unknown("found an Authorization header without 'Bearer TOKEN'")
            return self.holder(request, text.strip())
        value = request.cookies.get(cookie_name(request))
        if value is None:
            raise _unknown("this needs a token")
        # Each cookie by itself: a page that is open overnight shuts out nobody else.
        own = hash_of(value)[:12]
        caller = self._guarded(request, own, lambda: self.sessions.caller(value))
        if request.method not in _SAFE:
            check_same_site(request)
            found = request.headers.get(CSRF_HEADER, "")
            if not hmac.compare_digest(found.encode(), csrf_of(value).encode()):
                raise HTTPException(
                    403,
                    f"the header {CSRF_HEADER} is missing or wrong. Send what "
                    "GET /api/v1/session gives as csrf.",
                )
        return caller

    def holder(self, request: Request, text: str) -> Caller:
        """Return who holds the token ``text``.

        Raises:
            HTTPException: 401: nobody does; 429: too many failures.
        """
        return self._guarded(request, prefix_of(text), lambda: self.tokens.caller(text))

    def _guarded(
        self, request: Request, prefix: str, look_up: Callable[[], Caller | None]
    ) -> Caller:
        address = address_of(request)
        wait_s = self.failures.wait_s(address, prefix)
        if wait_s > 0:
            raise HTTPException(
                429,
                "too many failed tries from this address. Wait a minute, and check the token.",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )
        caller = look_up()
        if caller is None:
            self.failures.add(address, prefix)
            logger.warning("refused address=%s token=%s path=%r", address, prefix, request.url.path)
            raise _unknown("this token or session is unknown, or has ended")
        return caller


def _needs(role: Role, *, changes: bool = True) -> Callable[..., Caller]:
    """Return the dependency of routes that need ``role``; what they do may change nothing."""

    def allowed(
        request: Request,
        _bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    ) -> Caller:
        access = access_of(request)
        caller = access.caller(request)
        if changes and request.method not in _SAFE:
            request.state.audit_entry = access.audit.begin(
                caller,
                address=address_of(request),
                method=request.method,
                path=request.url.path,
            )
        if not caller.role.includes(role):
            raise HTTPException(
                403,
                f"{caller.name!r} is a {caller.role.value}, and this needs the role {role.value}. "
                "Ask whoever runs the service for another token.",
            )
        return caller

    return allowed


viewer = _needs(Role.VIEWER)
operator = _needs(Role.OPERATOR)
asking = _needs(Role.OPERATOR, changes=False)
admin = _needs(Role.ADMIN)

Viewer = Annotated[Caller, Depends(viewer)]
Operator = Annotated[Caller, Depends(operator)]
Asking = Annotated[Caller, Depends(asking)]
Admin = Annotated[Caller, Depends(admin)]


def access_of(request: Request) -> Access:
    """Return the service's ``Access``."""
    found: Access = request.app.state.service.access
    return found


def still_allowed(request: Request) -> bool:
    """Say if who sent ``request`` is still somebody: for answers that go on for long."""
    try:
        access_of(request).caller(request)
    except HTTPException:
        return False
    return True


def note(request: Request, text: str) -> None:
    """Say in the audit log what came of ``request``, in words."""
    request.state.audit_detail = text


def address_of(request: Request) -> str:
    """Return where ``request`` comes from."""
    return request.client.host if request.client else "unknown"


def cookie_name(request: Request) -> str:
    """Return the name of the session's cookie; browsers send cookies to every port of a host."""
    _, port = request.scope.get("server") or ("", None)
    return f"evomerge_session_{port or 0}"


def is_loopback(host: str) -> bool:
    """Say if only this machine reaches ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_bind(host: str, *, no_auth: bool) -> None:
    """Refuse to listen for other machines without tokens.

    Raises:
        AccessError: ``no_auth`` is wanted on an address that other machines reach.
    """
    if no_auth and not is_loopback(host):
        raise AccessError(
            f"--no-auth with --host {host} would let everybody who reaches this machine in. Listen "
            "on 127.0.0.1, or leave out --no-auth and make tokens: evomerge token create NAME"
        )


def check_same_site(request: Request) -> None:
    """Refuse what another site makes a browser send.

    Raises:
        HTTPException: 403: another site did.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        foreign = site not in ("same-origin", "none")
    else:
        foreign = origin is not None and _host_of(origin) != request.headers.get("host")
    if foreign:
        raise HTTPException(
            403,
            f"another site ({origin or site}) sent this. Only pages of this service may change "
            "something with a browser's session.",
        )


def _check_local(request: Request) -> None:
    """Refuse pages of other sites, also those whose name was made to lead to this machine."""
    host = request.headers.get("host", "")
    if not is_loopback(_hostname_of(f"//{host}") or ""):
        raise HTTPException(
            403,
            f"got the host {host!r}, and a service with --no-auth answers only to 127.0.0.1, "
            "localhost and [::1].",
        )
    if request.method not in _SAFE:
        check_same_site(request)


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


def _hostname_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _unknown(found: str) -> HTTPException:
    return HTTPException(
        401,
        f"{found}. Send 'Authorization: Bearer TOKEN'; 'evomerge token create' makes tokens.",
        headers={"WWW-Authenticate": "Bearer"},
    )


__all__ = [
    "Access",
    "Admin",
    "Asking",
    "Caller",
    "Operator",
    "Role",
    "Viewer",
    "access_of",
    "admin",
    "asking",
    "check_bind",
    "install",
    "note",
    "operator",
    "still_allowed",
    "viewer",
]
