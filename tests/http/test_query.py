"""The query of a request."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from streamserver.core.refusals import Refusal
from streamserver.http.query import read_query


@pytest.mark.parametrize(("allowed", "known"), [({"prompt", "model"}, "model, prompt"), (set(), "none")])
def test_unknown_parameter_is_refused_with_the_names_of_those_there_are(allowed: set[str], known: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_query(make_mocked_request("GET", "/x?promt=a"), frozenset(allowed))
    assert (caught.value.field, caught.value.detail) == ("promt", f"There is no such parameter. Allowed: {known}.")
