"""Property tests: an ordinary run draws the same examples each time, and ``scripts/test explore`` draws new ones."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

ORDINARY_EXAMPLES = 100
EXPLORE_FACTOR = 30


def register_profiles() -> None:
    """Register the profiles ``explore`` and ``tests``, and make ``tests`` the default."""
    # A busy machine is no failure.
    unhurried = settings(
        settings.get_profile("default"), deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
    settings.register_profile("explore", unhurried, max_examples=ORDINARY_EXAMPLES * EXPLORE_FACTOR)
    settings.register_profile("tests", unhurried, max_examples=ORDINARY_EXAMPLES, derandomize=True)
    settings.load_profile("tests")


def profile() -> settings:
    """Return the settings that a property test has if it names none."""
    assert settings.default is not None
    return settings.default


def examples(count: int) -> settings:
    """Return settings for ``count`` examples in an ordinary run, and proportionally more in an exploration."""
    return settings(max_examples=count * profile().max_examples // ORDINARY_EXAMPLES)


def draw_no_constants_of_modules() -> None:
    """Make examples independent of which modules of the program are loaded, and so of the tests that ran before.

    Hypothesis has no setting for it. It draws the constants in the source of what is in ``sys.modules``:
    https://hypothesis.readthedocs.io/en/latest/changelog.html#v6-131-1
    """
    none = Constants()
    providers._get_local_constants = lambda: none
