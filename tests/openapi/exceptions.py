"""Hooks for schemathesis: rules of the API that a JSON schema cannot express.

See ``schemathesis.toml``.
"""

from __future__ import annotations

import json
import re
from typing import Any

import schemathesis
from schemathesis import HookContext, Response
from schemathesis.core.failures import Failure

REFUSED = (
    (422, r"The (whole request|newest user turn) has \d+ characters of text; the most is \d+ \(limits\.\w+\)\."),
    (422, r"messages is empty\."),  # none of them says anything
    (422, r"Expected a whole number from 1\."),  # written as 1.0
    (422, r"There is more than one idempotency key\."),  # the query's is another than the header's
    (422, r"This idempotency key was used for another request\."),  # of before
    (400, r"Last-Event-ID is of another stream than the path\."),
)
"""Statuses and messages of refusals that the description cannot predict, each with the reason."""
POSITION = re.compile(r"[A-Za-z0-9_-]{1,128}:([0-9]{1,100}|end)")


def filter_failure(context: HookContext, failure: Failure, case: Any, response: Response) -> bool:
    """Return whether a finding of schemathesis is a failure."""
    if failure.code == "ST202":
        return not is_excepted(response)
    if failure.code == "ST201":
        return not has_position(case) and "x-schemathesis-unknown-property" not in (case.headers or {})
    return True


def is_excepted(response: Response) -> bool:
    if "problem+json" not in str(response.headers.get("content-type")):
        return True  # an error in a vendor's form: its wire has tests of its own
    detail = json.loads(response.content)["detail"]
    return any(response.status_code == status and re.fullmatch(words, detail) for status, words in REFUSED)


def has_position(case: Any) -> bool:
    """Return whether a request attaches to a stream, which makes its other fields irrelevant."""
    said: dict[str, object] = {**(case.query or {}), **(case.headers or {})}
    return any(POSITION.fullmatch(str(said.get(name))) for name in ("last_event_id", "Last-Event-ID"))


schemathesis.hook(filter_failure)
