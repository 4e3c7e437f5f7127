"""What a client does after each answer that a server, or what stands in for it, may give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests.client.fake_server import (
    CUT,
    DELETED,
    PING,
    STREAM_ID,
    FakeServer,
    Reply,
    block,
    done,
    failed,
    problem,
    running_fake_server,
    start,
)
from tests.client.runtimes import SCRIPT_RUNTIME, PythonRuntime, Runtime, Seen, Task, running_script

BEGUN = Reply([start(), block(1, "one ")], cut=True)
REST = Reply([block(2, "two"), done(3)])
HTML = "text/html"
OBSERVE_SECONDS = 60.0


@pytest.fixture(params=["python", SCRIPT_RUNTIME])
async def client(request: pytest.FixtureRequest, find_program: Callable[[str], str]) -> AsyncIterator[Runtime]:
    """Return a client without a page."""
    if request.param == "python":
        yield PythonRuntime()
        return
    async with running_script(find_program(SCRIPT_RUNTIME)) as runtime:
        yield runtime


async def observe(client: Runtime, server: FakeServer, **options: object) -> Seen:
    """Read an answer of ``server`` to its end."""
    task = Task(server.url, "count", **options)  # type: ignore[arg-type]
    async with asyncio.timeout(OBSERVE_SECONDS):
        return await client.observe(task)


def assert_whole(seen: Seen) -> None:
    """Assert that the answer arrived once, with one ending."""
    assert (seen.text, seen.ending) == ("one two", "end")
    assert seen.types == ["start", "text", "text", "done"]
    assert seen.positions == [0, 1, 2, 3]


async def test_a_cut_answer_is_resumed_after_its_last_event(client: Runtime) -> None:
    async with running_fake_server([BEGUN, REST]) as server:
        assert_whole(await observe(client, server))
    assert server.methods == ["POST", "GET"]
    assert server.requests[1].path == f"/api/chat/streams/{STREAM_ID}"
    assert server.header("Last-Event-ID") == [None, f"{STREAM_ID}:1"]


async def test_an_answer_is_resumed_when_its_response_ends_without_an_ending(client: Runtime) -> None:
    async with running_fake_server([Reply(BEGUN.parts), REST]) as server:
        assert_whole(await observe(client, server))
    assert server.methods == ["POST", "GET"]


async def test_a_request_is_repeated_under_its_key_when_it_is_cut_before_the_start(client: Runtime) -> None:
    half = Reply([start()[:40]], cut=True)
    async with running_fake_server([CUT, half, Reply([*BEGUN.parts, *REST.parts])]) as server:
        assert_whole(await observe(client, server))
    assert server.methods == ["POST", "POST", "POST"]
    assert len(set(server.header("Idempotency-Key"))) == 1 and None not in server.header("Idempotency-Key")
    assert len(set(server.bodies)) == 1


async def test_each_answer_has_a_key_of_its_own(client: Runtime) -> None:
    whole = Reply([*BEGUN.parts, *REST.parts])
    async with running_fake_server([whole, whole]) as server:
        await observe(client, server)
        await observe(client, server)
    assert len(set(server.header("Idempotency-Key"))) == 2


async def test_events_are_given_once_when_they_are_repeated(client: Runtime) -> None:
    async with running_fake_server([BEGUN, Reply([*BEGUN.parts, *REST.parts])]) as server:
        assert_whole(await observe(client, server))


async def test_a_missing_event_is_asked_for_again(client: Runtime) -> None:
    async with running_fake_server([Reply([*BEGUN.parts, done(3)]), REST]) as server:
        assert_whole(await observe(client, server))
    assert server.header("Last-Event-ID") == [None, f"{STREAM_ID}:1"]


async def test_a_block_that_is_cut_is_dropped(client: Runtime) -> None:
    cut = Reply([start(), block(1, "one "), block(2, "two")[:-2]], cut=True)
    async with running_fake_server([cut, REST]) as server:
        assert_whole(await observe(client, server))
    assert server.methods == ["POST", "GET"]


async def test_text_is_whole_when_its_bytes_come_one_by_one(client: Runtime) -> None:
    data = start() + block(1, "é€𝄞\n\nx: ") + done(2)
    parts: list[bytes | float] = []
    for number in range(len(data)):
        parts += [data[number : number + 1], 0.0005]
    async with running_fake_server([Reply(parts)]) as server:
        seen = await observe(client, server)
    assert (seen.text, seen.ending) == ("é€𝄞\n\nx: ", "end")
    assert server.methods == ["POST"]


async def test_a_silent_connection_is_given_up_after_two_keepalives(client: Runtime) -> None:
    silent = Reply([start(0.2), block(1, "one ")], hangs=True)
    async with running_fake_server([silent, REST]) as server:
        seen = await observe(client, server)
        assert_whole(seen)
    assert seen.statuses == ["connecting", "open", "reconnecting", "open"]
    print(f"silent for {server.times[1] - server.times[0]:.2f} s, pauses included; two keepalives are 0.40 s")


async def test_a_silent_connection_is_given_up_when_fetch_has_lost_the_signal(
    find_program: Callable[[str], str],
) -> None:
    """As in Deno, which lets its garbage collector take the signal of a response."""
    silent = Reply([start(0.2), block(1, "one ")], hangs=True)
    async with running_script(find_program(SCRIPT_RUNTIME)) as client, running_fake_server([silent, REST]) as server:
        assert_whole(await observe(client, server, ignores_abort=True))


async def test_a_connection_with_pings_is_kept(client: Runtime) -> None:
    quiet: list[bytes | float] = [0.6, PING] * 5
    async with running_fake_server([Reply([start(1), block(1, "one "), *quiet, *REST.parts])]) as server:
        seen = await observe(client, server)
        assert_whole(seen)
    assert server.methods == ["POST"]
    assert seen.statuses == ["connecting", "open", "quiet", "open"]


@pytest.mark.parametrize(("replies", "code"), [([], "unreachable"), ([BEGUN], "connection_lost")])
async def test_a_client_gives_up_when_the_server_stays_away(client: Runtime, replies: list[Reply], code: str) -> None:
    async with running_fake_server(replies) as server:
        seen = await observe(client, server, give_up_after=1)
    assert seen.ending == code
    assert len(server.requests) > len(replies) + 1, "it was tried more than once"


async def test_a_refusal_is_final_when_nothing_was_started(client: Runtime) -> None:
    for status, code in (
        (422, "invalid_request"),
        (429, "rate_limited"),
        (503, "shutting_down"),
        (401, "unauthorized"),
    ):
        async with running_fake_server([problem(status, code)]) as server:
            seen = await observe(client, server)
        assert (seen.ending, seen.types, server.methods) == (code, [], ["POST"])


async def test_a_refusal_passes_when_a_stream_runs(client: Runtime) -> None:
    refusals = [problem(429, "rate_limited"), problem(503, "store_unavailable"), Reply([b"<p>"], 200, HTML)]
    async with running_fake_server([BEGUN, *refusals, REST]) as server:
        assert_whole(await observe(client, server))
    assert server.methods == ["POST", "GET", "GET", "GET", "GET"]


async def test_a_key_that_is_not_accepted_ends_a_stream_that_runs(client: Runtime) -> None:
    async with running_fake_server([BEGUN, problem(401, "unauthorized")]) as server:
        seen = await observe(client, server)
    assert (seen.text, seen.ending) == ("one ", "unauthorized")


async def test_retry_after_is_waited_for(client: Runtime) -> None:
    async with running_fake_server([BEGUN, problem(503, "shutting_down", **{"Retry-After": "1"}), REST]) as server:
        assert_whole(await observe(client, server))
    assert server.times[2] - server.times[1] >= 0.99


async def test_a_gateways_error_passes(client: Runtime) -> None:
    gateway = [Reply([b"<p>Bad gateway"], status, HTML) for status in (502, 503, 504)]
    async with running_fake_server([*gateway, Reply([*BEGUN.parts, *REST.parts])]) as server:
        assert_whole(await observe(client, server))
    assert server.methods == ["POST"] * 4


@pytest.mark.parametrize(
    "reply",
    [
        Reply([b"<p>Sign in"], 200, HTML),
        Reply([b"not here"], 404, HTML),
        Reply([b"{}"], 200, "application/json"),
        Reply([b"data: hello\n\n"], hangs=True),
        Reply([b"data: hello\nid: 7\n\n"], hangs=True),
    ],
)
async def test_what_is_no_streamserver_is_named(client: Runtime, reply: Reply) -> None:
    async with running_fake_server([reply]) as server:
        seen = await observe(client, server)
    assert (seen.ending, seen.types, server.methods) == ("not_a_streamserver", [], ["POST"])


@pytest.mark.parametrize("number", [2, "end"])
async def test_an_error_event_is_the_one_ending(client: Runtime, number: int | str) -> None:
    async with running_fake_server([Reply([*BEGUN.parts, failed(number, "timeout"), block(3, "more")])]) as server:
        seen = await observe(client, server)
    assert (seen.text, seen.ending, seen.types) == ("one ", "timeout", ["start", "text"])
    assert server.methods == ["POST"]


async def test_nothing_is_read_behind_done(client: Runtime) -> None:
    async with running_fake_server([Reply([*BEGUN.parts, *REST.parts, block(4, "more")], hangs=True)]) as server:
        assert_whole(await observe(client, server))
    assert server.methods == ["POST"]


async def test_stop_deletes_the_stream_and_reads_its_ending(client: Runtime) -> None:
    running = Reply([*BEGUN.parts, 0.5, failed(2, "cancelled")], hangs=True)
    ended = Reply([failed(2, "cancelled")])
    async with running_fake_server([running, ended], [DELETED]) as server:
        seen = await observe(client, server, action="stop", at=1)
    assert (seen.text, seen.ending, seen.stopped) == ("one ", "cancelled", "cancelled")
    assert server.methods.count("DELETE") == 1


async def test_stop_is_repeated_until_the_server_has_it(client: Runtime) -> None:
    deletions = [CUT, problem(503, "store_unavailable"), DELETED]
    async with running_fake_server(
        [Reply(BEGUN.parts, hangs=True), Reply([failed(2, "cancelled")])], deletions
    ) as server:
        seen = await observe(client, server, action="stop", at=1)
    assert (seen.text, seen.ending, seen.stopped) == ("one ", "cancelled", "cancelled")
    assert server.methods == ["POST", "DELETE", "DELETE", "DELETE", "GET"]


async def test_a_second_stop_waits_for_the_first(client: Runtime) -> None:
    deletions = [problem(503, "store_unavailable", **{"Retry-After": "1"}), DELETED, DELETED]
    ended = Reply([failed(2, "cancelled")])
    async with running_fake_server([Reply(BEGUN.parts, hangs=True), ended], deletions) as server:
        seen = await observe(client, server, action="stop_again", at=1)
    assert (seen.ending, seen.stopped, server.methods[-1]) == ("cancelled", "cancelled", "GET")


async def test_a_long_retry_after_does_not_outlast_the_patience(client: Runtime) -> None:
    refusal = problem(503, "shutting_down", **{"Retry-After": "3600"})
    async with running_fake_server([BEGUN, *[refusal] * 20]) as server:
        seen = await observe(client, server, give_up_after=1)
    assert (seen.text, seen.ending) == ("one ", "shutting_down")


async def test_leaving_an_answer_stops_no_stream(client: Runtime) -> None:
    async with running_fake_server([Reply(BEGUN.parts, hangs=True), REST]) as server:
        assert_whole(await observe(client, server, action="reload", at=1))
    assert server.methods == ["POST", "GET"]
    assert server.header("Last-Event-ID") == [None, f"{STREAM_ID}:1"]


async def test_a_resumed_answer_ends_when_there_is_nothing_after_its_position(client: Runtime) -> None:
    async with running_fake_server([Reply(BEGUN.parts, hangs=True), Reply(status=204)]) as server:
        seen = await observe(client, server, action="reload", at=1)
    assert (seen.text, seen.ending, seen.types) == ("one ", "end", ["start", "text"])
