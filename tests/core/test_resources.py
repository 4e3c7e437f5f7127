"""What a stream occupies: it is all released, once, whatever fails."""

from __future__ import annotations

import pytest

from providers.bracket import Bracket
from streamserver.core.resources import Resources


def test_resources_are_released_in_reverse_order() -> None:
    calls: list[str] = []
    with Resources() as resources:
        resources.callback(calls.append, "first")
        resources.enter_context(Bracket(lambda: calls.append("entered"), lambda: calls.append("left")))
        resources.callback(calls.append, "last")
        assert calls == ["entered"]
    assert calls == ["entered", "last", "left", "first"]


def test_resources_are_released_by_their_new_holder_alone() -> None:
    calls: list[str] = []
    with Resources() as resources:
        resources.callback(calls.append, "released")
        taken = resources.pop_all()
    assert calls == []
    taken.close()
    taken.close()
    assert calls == ["released"]


def test_every_resource_is_released_when_some_releases_fail() -> None:
    calls: list[str] = []

    def fail(reason: str) -> None:
        calls.append(reason)
        raise ValueError(reason)

    resources = Resources()
    for reason in ("a", "b"):
        resources.callback(calls.append, "between")
        resources.callback(fail, reason)
    with pytest.raises(ValueError, match="a") as failure:
        resources.close()
    assert calls == ["b", "between", "a", "between"]
    assert isinstance(failure.value.__context__, ValueError), "the first failure is told as well"


def test_a_context_that_cannot_be_entered_is_not_left() -> None:
    calls: list[str] = []

    def refuse() -> None:
        raise ValueError

    with pytest.raises(ValueError), Resources() as resources:
        resources.enter_context(Bracket(refuse, lambda: calls.append("left")))
    assert calls == []
