"""The promises of the wire contract under load. No assertion depends on speed."""

from __future__ import annotations

from collections import Counter

from streamserver.loadtest.plan import Plan
from streamserver.loadtest.result import LoadTestResult
from streamserver.loadtest.run import perform
from streamserver.runner import raise_descriptor_limit
from tests.conftest import StartServer
from tests.load.readers import descriptors, stalled_readers, until

STREAMS = 2000
STALLED = 20
THIRD = 1 / 3
CONFIG = {
    "providers": {
        # Every stream waits this long for its first token, so that all are open at the same time.
        "echo": {"kind": "echo", "first_delay_ms": 3000, "delay_ms": 50},
        "flood": {"kind": "echo", "delay_ms": 0, "burst": 100},
    },
    # As many as there are streams: a leaked slot would be missing in the second round.
    "limits": {
        "max_streams": STREAMS + STALLED,
        "max_streams_per_user": STREAMS + STALLED,
        "requests_per_minute": 1_000_000,
        "max_prompt_chars": 1_000_000,
        "max_conversation_chars": 1_000_000,
    },
    "server": {"send_timeout_seconds": 5},
    "resume": {"retention_seconds": 60},
}


async def test_all_promises_hold_for_two_thousand_streams_with_cancels_cuts_and_stalls(
    start_server: StartServer,
) -> None:
    raise_descriptor_limit(STREAMS)
    server = await start_server(CONFIG)
    before = descriptors(server.process.pid)
    for round_ in (1, 2):
        plan = Plan(
            url=server.url,
            streams=STREAMS,
            concurrency=STREAMS,
            prompt_tokens=30,
            cancel_rate=THIRD,
            resume_rate=THIRD,
            slow_readers=0.02,
            echoes=True,
        )
        async with stalled_readers(server.port, "flood", STALLED):
            result = await perform(plan, None, lambda result: None)
            _assert_promises(result)
            await until(lambda: len(server.records()) == round_ * (STREAMS + STALLED), "a record of every stream")  # noqa: B023
            await until(lambda: descriptors(server.process.pid) <= before, "every descriptor back")
    records = server.records()
    assert len({record["request_id"] for record in records}) == len(records), "one record for each stream"
    statuses = Counter(record["status"] for record in records)
    assert statuses.keys() == {"done", "cancelled"}
    assert statuses["cancelled"] >= 2 * result.outcomes["stopped"]
    assert not server.records("crash")


def _assert_promises(result: LoadTestResult) -> None:
    assert result.kept, result.broken
    assert (result.lost, result.doubled, result.truncated) == (0, 0, 0)
    assert result.outcomes.keys() <= {"done", "left", "stopped"}, result.outcomes
    assert result.outcomes.total() == STREAMS
    assert min(result.outcomes.values()) > STREAMS * THIRD / 4, "each kind of reader occurred"
    assert result.cuts > STREAMS * THIRD / 2
