"""OpenAI's own SDK speaks Responses to a real server, over every kind of provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import openai
import pytest

from tests.clients.upstreams import CALL_ID, PROTOCOLS, SIGNATURE, answering, event, tables
from tests.conftest import StartServer, StartUpstream
from tests.support.server import ServerProcess
from tests.support.upstream import Exchange, Upstream, chunk

TOOL = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}, "strict": False}
QUICK = {"retry": {"attempts": 1}}
Connect = Callable[..., Any]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Return ``connect(server)``: a client of a server."""
    async with AsyncExitStack() as stack:

        def made(server: ServerProcess, **options: Any) -> openai.AsyncOpenAI:
            fields = {"api_key": "unused", "base_url": f"{server.url}/v1", "max_retries": 0, "timeout": 30, **options}
            client = openai.AsyncOpenAI(**fields)
            stack.push_async_callback(client.close)
            return client

        yield made


@pytest.fixture(params=PROTOCOLS)
async def over(request: pytest.FixtureRequest, start_server: StartServer, start_upstream: StartUpstream) -> Any:
    """Return ``await over("text")``: an upstream of each protocol that answers so, and a server before it."""

    async def start(*steps: str, **options: Any) -> tuple[ServerProcess, Upstream]:
        upstream = await start_upstream(answering(request.param, *steps, **options))
        return await start_server(tables(upstream, request.param, **QUICK)), upstream

    start.protocol = request.param  # type: ignore[attr-defined]
    return start


async def test_stream_and_whole_answer_are_the_same(over: Any, connect: Connect) -> None:
    server, _ = await over("reasoning", "text")
    client = connect(server)
    async with client.responses.stream(model="up", input="Two and two?") as stream:
        events = [each async for each in stream]
        streamed = await stream.get_final_response()
    whole = await client.responses.create(model="up", input="Two and two?")
    assert [each.sequence_number for each in events] == list(range(len(events)))
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    assert "".join(each.delta for each in events if each.type == "response.output_text.delta") == "Four"
    for response in (streamed, whole):
        assert response.output_text == "Four" and response.status == "completed"
        assert [item.type for item in response.output] == ["reasoning", "message"]
        assert response.output[0].summary[0].text == "Sum it."
        assert (response.usage.input_tokens, response.usage.output_tokens) == (9, 7)
        assert response.id.startswith("resp_") and response.id != "resp_theirs"
    assert {each.response.id for each in events if hasattr(each, "response")} == {streamed.id}


async def test_tools_work_in_two_rounds(over: Any, connect: Connect) -> None:
    server, upstream = await over("reasoning", "call")
    client = connect(server)
    first = await client.responses.create(
        model="up", input="What time is it?", tools=[TOOL], include=["reasoning.encrypted_content"], store=False
    )
    call = first.output[1]
    assert (call.type, call.call_id, call.name) == ("function_call", CALL_ID, "get_time")
    assert json.loads(call.arguments) == {"tz": "UTC"}
    history = [
        {"role": "user", "content": "What time is it?"},
        *(item.model_dump(exclude_none=True) for item in first.output),
        {"type": "function_call_output", "call_id": CALL_ID, "output": "noon"},
    ]
    second = await client.responses.create(model="up", input=history, tools=[TOOL], store=False)
    assert second.status == "completed"
    asked = upstream.exchanges[-1].json()
    match over.protocol:
        case "chat":
            assistant, result = asked["messages"][1:]
            assert assistant["tool_calls"][0]["id"] == result["tool_call_id"] == CALL_ID
            assert result["content"] == "noon"
        case "responses":
            assert [item.get("type") for item in asked["input"][1:]] == [
                "reasoning",
                "function_call",
                "function_call_output",
            ]
            assert asked["input"][1]["encrypted_content"] == SIGNATURE
        case _:
            thinking, use = asked["messages"][1]["content"]
            assert (thinking["thinking"], thinking["signature"]) == ("Sum it.", SIGNATURE)
            assert use["id"] == CALL_ID and use["input"] == {"tz": "UTC"}
            assert asked["messages"][2]["content"][0]["tool_use_id"] == CALL_ID


async def test_client_that_leaves_closes_the_providers_connection(over: Any, connect: Connect) -> None:
    server, upstream = await over("text", end=False)
    stream = await connect(server).responses.create(model="up", input="a", stream=True)
    async for each in stream:
        if each.type == "response.output_text.delta":
            break
    await stream.close()
    await (await upstream.exchange()).until_closed()


async def test_earlier_text_may_be_referred_to_by_its_id(over: Any, connect: Connect) -> None:
    server, upstream = await over("text")
    client = connect(server)
    first = await client.responses.create(model="up", input="Two and two?")
    reference = {"type": "item_reference", "id": first.output[0].id}
    history = [{"role": "user", "content": "Two and two?"}, reference, {"role": "user", "content": "Sure?"}]
    async with client.responses.stream(model="up", input=history) as stream:
        assert (await stream.get_final_response()).output_text == "Four"
    assert "Four" in json.dumps(upstream.exchanges[-1].json()) and "item_reference" not in json.dumps(
        upstream.exchanges[-1].json()
    )
    with pytest.raises(openai.NotFoundError) as caught:
        await client.responses.create(model="up", input=[{**reference, "id": "msg_unknown"}])
    assert (caught.value.param, caught.value.code) == ("input", None)
    assert "Item with id 'msg_unknown' not found." in caught.value.message


async def test_response_is_retrieved_resumed_and_deleted(over: Any, connect: Connect) -> None:
    server, _ = await over("text")
    client = connect(server)
    events = [each async for each in await client.responses.create(model="up", input="a", stream=True)]
    response_id = events[0].response.id
    assert await client.responses.retrieve(response_id) == events[-1].response
    for number in (0, 3, len(events) - 2):
        resumed = await client.responses.retrieve(response_id, stream=True, starting_after=number)
        assert [each async for each in resumed] == events[number + 1 :]
    async with client.responses.stream(response_id=response_id, starting_after=2) as stream:
        assert (await stream.get_final_response()).output_text == "Four"
    assert (await client.responses.cancel(response_id)).status == "completed", "a finished one stays as it is"
    await client.responses.delete(response_id)
    for call in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            await call(response_id)
        assert caught.value.message.endswith(f"Response with id '{response_id}' not found.'}}}}") or (
            f"Response with id '{response_id}' not found." in caught.value.message
        )


async def test_background_response_goes_on_alone_and_is_cancelled(over: Any, connect: Connect) -> None:
    server, upstream = await over("text", end=False)
    client = connect(server)
    begun = await client.responses.create(model="up", input="a", background=True)
    assert begun.status == "queued" and begun.background is True
    await upstream.exchange()
    following = await client.responses.retrieve(begun.id, stream=True)
    kinds = []
    async for each in following:
        kinds.append(each.type)
        if each.type == "response.output_text.delta":
            break
    await following.close()
    assert kinds[:3] == ["response.created", "response.queued", "response.in_progress"]
    assert (await client.responses.retrieve(begun.id)).status == "in_progress"
    cancelled = await client.responses.cancel(begun.id)
    assert (cancelled.status, cancelled.error) == ("cancelled", None)
    assert cancelled.output[0].status == "incomplete" and cancelled.output_text.startswith("Fo")
    await upstream.exchanges[0].until_closed()
    ending = [each async for each in await client.responses.retrieve(begun.id, stream=True)][-1]
    assert (ending.type, ending.response.status) == ("response.failed", "cancelled")


async def test_background_stream_survives_its_client(over: Any, connect: Connect) -> None:
    server, upstream = await over("text", end=False)
    client = connect(server)
    stream = await client.responses.create(model="up", input="a", background=True, stream=True)
    first = await anext(aiter(stream))
    assert (first.type, first.response.status) == ("response.created", "queued")
    created = first.response.created_at
    await upstream.exchange()
    await stream.close()
    resumed = await client.responses.retrieve(first.response.id, stream=True, starting_after=0)
    async for each in resumed:
        if each.type.startswith(("response.queued", "response.in_progress")):
            assert each.response.created_at == created
        if each.type == "response.output_text.delta":
            break
    assert not upstream.exchanges[0].closed.is_set()
    assert (await client.responses.retrieve(first.response.id)).created_at == created
    assert (await client.responses.cancel(first.response.id)).created_at == created


async def test_deleted_response_is_stopped(over: Any, connect: Connect) -> None:
    server, upstream = await over("text", end=False)
    client = connect(server)
    begun = await client.responses.create(model="up", input="a", background=True)
    exchange = await upstream.exchange()
    await client.responses.delete(begun.id)
    await exchange.until_closed()
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(begun.id)


FORM = {"message", "type", "param", "code"}
FAILURES: list[tuple[int, str, str, type[openai.APIStatusError], int, str | None, int]] = [
    (400, "{}", "", openai.BadRequestError, 400, None, 1),
    (401, "{}", "", openai.InternalServerError, 502, "provider_auth", 1),
    (429, "{}", "Retry-After: 1\r\n", openai.RateLimitError, 429, "rate_limit_exceeded", 2),
    (
        429,
        '{"error":{"code":"insufficient_quota","type":"insufficient_quota","message":"x"}}',
        "",
        openai.RateLimitError,
        429,
        "insufficient_quota",
        1,
    ),
    (503, "{}", "", openai.InternalServerError, 503, "server_is_overloaded", 2),
    (500, "{}", "", openai.InternalServerError, 500, "upstream_error", 2),
]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("answered", "body", "headers", "error", "status", "code", "requests"), FAILURES, ids=lambda value: str(value)[:24]
)
async def test_failure_before_the_first_piece_is_a_status_that_the_sdk_retries(
    start_server: StartServer,
    start_upstream: StartUpstream,
    connect: Connect,
    stream: bool,
    answered: int,
    body: str,
    headers: str,
    error: type[openai.APIStatusError],
    status: int,
    code: str | None,
    requests: int,
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(answered, body, extra=headers)

    upstream = await start_upstream(script)
    server = await start_server(tables(upstream, "responses", **QUICK))
    with pytest.raises(error) as caught:
        await connect(server, max_retries=1).responses.create(model="up", input="a", stream=stream)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert set(_body(caught.value)) == FORM
    assert len(upstream.exchanges) == requests


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_failure_after_the_first_piece_is_raised_and_not_retried(
    start_server: StartServer, start_upstream: StartUpstream, connect: Connect, protocol: str
) -> None:
    begin = answering(protocol, "text", end=False)

    async def script(exchange: Exchange) -> None:
        exchange.until_closed = _at_once  # type: ignore[method-assign]
        await begin(exchange)

    upstream = await start_upstream(script)
    client = connect(await start_server(tables(upstream, protocol, **QUICK)), max_retries=2)
    stream = await client.responses.create(model="up", input="a", stream=True)
    kinds = []
    with pytest.raises(openai.APIError) as caught:
        async for each in stream:
            kinds.append(each.type)
    assert caught.value.code == "upstream_disconnected"
    assert kinds[-1] == "response.output_item.done"
    with pytest.raises(openai.InternalServerError) as whole:
        await client.with_options(max_retries=0).responses.create(model="up", input="a")
    assert whole.value.status_code == 502
    assert len(upstream.exchanges) == 2


async def _at_once(seconds: float = 0) -> float:
    return 0


async def test_error_frame_of_the_provider_is_replaced_by_ours(
    start_server: StartServer, start_upstream: StartUpstream, connect: Connect
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        created = {"id": "resp_theirs", "object": "response", "status": "in_progress", "output": [], "model": "m"}
        item = {"id": "msg_theirs", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        await exchange.send(
            event("response.created", response=created)
            + event("response.output_item.added", output_index=0, item=item)
            + event("response.output_text.delta", output_index=0, content_index=0, item_id="msg_theirs", delta="Fo")
            + event("error", code="server_error", message="their secret words", param=None)
        )

    client = connect(await start_server(tables(await start_upstream(script), "responses", **QUICK)))
    response_id = ""
    with pytest.raises(openai.APIError) as caught:
        async for each in await client.responses.create(model="up", input="a", stream=True):
            response_id = each.response.id if each.type == "response.created" else response_id
    assert "secret" not in caught.value.message
    failed = await client.responses.retrieve(response_id)
    assert (failed.status, failed.output_text) == ("failed", "Fo")
    assert "secret" not in failed.error.message


async def test_background_failure_is_a_failed_response(
    start_server: StartServer, start_upstream: StartUpstream, connect: Connect
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(500, "{}")

    client = connect(await start_server(tables(await start_upstream(script), "chat", **QUICK)))
    begun = await client.responses.create(model="up", input="a", background=True)
    with pytest.raises(openai.APIError) as caught:
        async for each in await client.responses.retrieve(begun.id, stream=True, starting_after=1):
            assert each.type == "response.in_progress"
    assert caught.value.code == "upstream_error"
    failed = await client.responses.retrieve(begun.id)
    assert (failed.status, failed.error.code) == ("failed", "server_error")


async def test_request_is_found_again_by_its_idempotency_key(over: Any, connect: Connect) -> None:
    server, upstream = await over("text")
    client = connect(server)
    key = {"Idempotency-Key": "key-number-1"}
    first, again = [await client.responses.create(model="up", input="a", extra_headers=key) for _ in range(2)]
    assert first == again and len(upstream.exchanges) == 1
    stream = await client.responses.create(
        model="up", input="b", stream=True, extra_headers={"Idempotency-Key": "key-number-2"}
    )
    events = [each async for each in stream]
    stream = await client.responses.create(
        model="up", input="b", stream=True, extra_headers={"Idempotency-Key": "key-number-2"}
    )
    assert [each async for each in stream] == events and len(upstream.exchanges) == 2


async def test_stream_is_read_on_by_the_native_api(over: Any, connect: Connect) -> None:
    server, _ = await over("text")
    client = connect(server)
    raw = await client.responses.with_raw_response.create(model="up", input="a")
    stream_id = raw.headers["X-Stream-ID"]
    assert raw.headers["x-request-id"] and int(raw.headers["openai-processing-ms"]) >= 0
    answer = await client._client.get(
        f"{server.url}/api/chat/streams/{stream_id}", headers={"Last-Event-ID": f"{stream_id}:1"}
    )
    assert answer.status_code == 200 and b"data: ur" in answer.content and b"data: Fo" not in answer.content


@pytest.fixture
async def echo(start_server: StartServer) -> ServerProcess:
    server: ServerProcess = await start_server(
        {"limits": {"max_body_bytes": 4096}}, environ={"STREAMSERVER_KEYS": "anna:key-a,bob:key-b"}
    )
    return server


async def test_refusals_before_a_handler_have_the_form_of_the_wire(echo: ServerProcess, connect: Connect) -> None:
    client = connect(echo, api_key="key-a")
    with pytest.raises(openai.AuthenticationError) as unauthorized:
        await client.with_options(api_key="wrong").responses.create(model="echo", input="a")
    assert unauthorized.value.code == "invalid_api_key"
    with pytest.raises(openai.APIStatusError) as large:
        await client.responses.create(model="echo", input="a" * 5000)
    assert (large.value.status_code, large.value.code) == (413, "body_too_large")
    for method, path, status in (
        ("GET", "/responses", 405),
        ("GET", "/responses/resp_x/input_items", 404),
        ("PUT", "/responses/resp_x", 405),
        ("POST", "/responses/input_tokens", 404),
        ("POST", "/responses/compact", 404),
    ):
        with pytest.raises(openai.APIStatusError) as unknown:
            await _ask(client, method, path)
        assert unknown.value.status_code == status, path
        assert set(_body(unknown.value)) == FORM, path


async def test_response_of_another_user_is_not_found(echo: ServerProcess, connect: Connect) -> None:
    anna, bob = connect(echo, api_key="key-a"), connect(echo, api_key="key-b")
    response = await anna.responses.create(model="echo", input="hello")
    for call in (bob.responses.retrieve, bob.responses.cancel, bob.responses.delete):
        with pytest.raises(openai.NotFoundError):
            await call(response.id)
    reference = {"type": "item_reference", "id": response.output[0].id}
    with pytest.raises(openai.NotFoundError):
        await bob.responses.create(model="echo", input=[reference])
    assert (await anna.responses.retrieve(response.id)).output_text == "hello"


async def test_response_that_is_not_stored_is_not_found(echo: ServerProcess, connect: Connect) -> None:
    client = connect(echo, api_key="key-a")
    response = await client.responses.create(model="echo", input="hello", store=False)
    assert response.store is False
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="echo", input=[{"type": "item_reference", "id": response.output[0].id}])


async def test_unknown_model_and_hosted_tool_are_refused_by_their_fields(
    start_server: StartServer, start_upstream: StartUpstream, connect: Connect
) -> None:
    upstream = await start_upstream(answering("chat", "text"))
    client = connect(await start_server(tables(upstream, "chat")))
    for stream in (True, False):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model="up", input="a", tools=[{"type": "web_search"}], stream=stream)
        assert (caught.value.param, caught.value.code) == ("tools[0].type", "unsupported_parameter")
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.responses.create(model="nonesuch", input="a")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert upstream.exchanges == []


async def test_timeout_before_the_first_piece_is_a_status(
    start_server: StartServer, start_upstream: StartUpstream, connect: Connect
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.until_closed(60)

    upstream = await start_upstream(script)
    client = connect(await start_server(tables(upstream, "responses", **QUICK, timeouts={"first_token": 0.3})))
    with pytest.raises(openai.InternalServerError) as caught:
        await client.responses.create(model="up", input="a", stream=True)
    assert (caught.value.status_code, caught.value.code) == (504, "timeout")
    await upstream.all_closed()


async def test_draining_server_fails_what_runs_and_refuses_what_comes(
    start_server: StartServer, start_upstream: StartUpstream, connect: Connect
) -> None:
    upstream = await start_upstream(answering("chat", "text", end=False))
    server = await start_server(tables(upstream, "chat"))
    stream = await connect(server).responses.create(model="up", input="a", stream=True)
    with pytest.raises(openai.APIError) as caught:
        async for each in stream:
            if each.type == "response.output_text.delta":
                server.terminate()
    assert caught.value.code == "shutting_down"


async def test_unknown_fields_and_frames_pass_a_provider_of_the_same_protocol(
    start_server: StartServer, start_upstream: StartUpstream, connect: Connect
) -> None:
    upstream = await start_upstream(answering("responses", "text"))
    client = connect(await start_server(tables(upstream, "responses")))
    body = {"truncation": "auto", "vendor_option": {"a": [1]}, "tools": [{"type": "web_search"}]}
    response = await client.responses.create(model="up", input="a", metadata={"k": "v"}, extra_body=body)
    assert response.vendor_field == 1
    asked = upstream.exchanges[0].json()
    assert {name: asked[name] for name in body} == body and asked["metadata"] == {"k": "v"}
    assert asked["store"] is False and asked["stream"] is True and "background" not in asked


async def test_grace_lets_an_answer_be_read_on(over: Any, connect: Connect) -> None:
    server, upstream = await over("text", end=False)
    client = connect(server)
    stream = await client.responses.create(model="up", input="a", stream=True, extra_headers={"X-Stream-Grace": "30"})
    numbers = []
    response_id = ""
    async for each in stream:
        response_id = response_id or each.response.id
        numbers.append(each.sequence_number)
        if each.type == "response.output_text.delta":
            break
    await stream.close()
    resumed = await client.responses.retrieve(response_id, stream=True, starting_after=numbers[-1])
    following = await anext(aiter(resumed))
    assert (following.sequence_number, following.type) == (numbers[-1] + 1, "response.output_text.delta")
    assert not upstream.exchanges[0].closed.is_set()
    await client.responses.cancel(response_id)
    await asyncio.wait_for(upstream.exchanges[0].closed.wait(), 60)


async def test_chunks_of_any_provider_are_one_text(
    start_server: StartServer, start_upstream: StartUpstream, connect: Connect
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send("".join(map(chunk, ["a\r", "\n", "\u2028", "b"])) + chunk(finish="length"))

    client = connect(await start_server(tables(await start_upstream(script), "chat")))
    response = await client.responses.create(model="up", input="a")
    assert response.output_text == "a\r\n\u2028b"
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")


async def _ask(client: openai.AsyncOpenAI, method: str, path: str) -> object:
    calls: dict[str, Callable[..., Any]] = {"GET": client.get, "POST": client.post, "PUT": client.put}
    return await calls[method](path, cast_to=object)


def _body(error: openai.APIError) -> dict[str, Any]:
    assert isinstance(error.body, dict)
    return error.body
