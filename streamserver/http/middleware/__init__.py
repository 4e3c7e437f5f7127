"""The middleware around every handler, from the outside in.

The order is the meaning: every request has an id before anything can fail; every failure further in is answered in
the form of its API; a request without permission is refused before anything of it is read.
"""

from __future__ import annotations

from streamserver.http.middleware.auth import authenticate
from streamserver.http.middleware.browsers import guard_browsers
from streamserver.http.middleware.errors import answer_failures
from streamserver.http.middleware.request_id import identify
from streamserver.http.middleware.timeouts import enforce_deadlines

MIDDLEWARE = (identify, answer_failures, enforce_deadlines, guard_browsers, authenticate)

__all__ = ["MIDDLEWARE"]
