"""The metric of open breakers."""

from __future__ import annotations

from providers.build import ResiliencePolicy, build_catalog
from providers.catalog import Catalog
from providers.errors import UpstreamUnavailable
from providers.registry import load_registry
from providers.resilience.breaker import FAILURES_TO_OPEN
from providers.transport import AiohttpTransport
from streamserver.telemetry.metrics import Metrics

POLICY = ResiliencePolicy(first_token=1, idle=1, attempts=1, max_wait=0)


def catalog(*names: str) -> Catalog:
    tables = {name: {"kind": "echo"} for name in names}
    return build_catalog(
        tables,
        default=names[0],
        registry=load_registry(),
        environ={},
        transport=AiohttpTransport(),
        policy=POLICY,
    )


def open_breaker(each: Catalog, name: str) -> None:
    configured = each.get(name)
    assert configured is not None
    for _ in range(FAILURES_TO_OPEN):
        configured.breaker.record_failure(UpstreamUnavailable())


def left_out(metrics: Metrics) -> dict[str, str]:
    lines = (line for line in metrics.render().decode().splitlines() if line.startswith("streamserver_provider_left"))
    return {line.split('"')[1]: line.rpartition(" ")[2] for line in lines}


async def test_provider_is_not_left_out_when_it_is_no_longer_configured() -> None:
    metrics, before, after = Metrics(), catalog("a", "b"), catalog("b")
    metrics.track(before)
    open_breaker(before, "a")
    open_breaker(before, "b")
    assert left_out(metrics) == {"a": "1.0", "b": "1.0"}
    metrics.track(after)
    assert left_out(metrics) == {"a": "0.0", "b": "0.0"}, "the new b has not failed yet"
    await before.aclose()
    await after.aclose()


async def test_breaker_of_a_replaced_catalog_is_not_shown() -> None:
    metrics, before, after = Metrics(), catalog("a"), catalog("a")
    metrics.track(before)
    metrics.track(after)
    open_breaker(before, "a")
    assert left_out(metrics) == {"a": "0.0"}
    open_breaker(after, "a")
    assert left_out(metrics) == {"a": "1.0"}
    await before.aclose()
    await after.aclose()


async def test_provider_is_no_longer_left_out_when_it_answers() -> None:
    metrics, only = Metrics(), catalog("a")
    metrics.track(only)
    open_breaker(only, "a")
    only.default.breaker.record_token()
    assert left_out(metrics) == {"a": "0.0"}
    await only.aclose()
