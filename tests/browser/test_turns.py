"""Asking again: edit and retry of any turn, finish reasons, and the keys that send."""

from __future__ import annotations

import asyncio
import json

from playwright.async_api import Route, expect

from tests.browser.conftest import Watched
from tests.browser.scripts import endless
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import DONE, Exchange, answer, chunk


async def break_off(exchange: Exchange) -> None:
    await exchange.start_stream()
    await exchange.send(chunk("partial"))


def contents(exchange: Exchange) -> list[str]:
    return [each["content"] for each in exchange.json()["messages"]]


async def test_retry_of_an_earlier_turn_replaces_its_answer_in_place(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(break_off)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    first = await watched.ask("First")
    await first.until("failed")
    upstream.script = answer("second answer")
    await (await watched.ask("Second")).until("done")

    sent, accept = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        sent.set()
        await accept.wait()
        await route.continue_()

    await watched.page.route("**/api/chat/stream", hold)
    upstream.script = answer("whole")
    await first.button("Retry").click()
    await sent.wait()
    assert await first.text() == "partial", "kept until the server has accepted the request"
    accept.set()
    await first.until("done")
    assert await first.text() == "whole"
    assert await watched.turn(1).text() == "second answer"
    assert contents(upstream.exchanges[-1]) == ["First"]
    await watched.page.reload()
    await expect(watched.page.locator(".turn .answer")).to_have_text(["whole", "second answer"])


async def test_refused_retry_keeps_the_partial_answer_and_says_why(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(break_off)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    turn = await watched.ask("First")
    await turn.until("failed")
    problem = {"code": "rate_limited", "detail": "Too many streams.", "request_id": "r1"}
    await watched.page.route(
        "**/api/chat/stream",
        lambda route: route.fulfill(status=429, content_type="application/problem+json", body=json.dumps(problem)),
    )
    await turn.button("Retry").click()
    await expect(watched.page.locator("#trouble")).to_contain_text("Too many streams.")
    assert await turn.text() == "partial"
    await expect(watched.message).to_have_value("")


async def test_retry_stops_an_answer_that_is_under_way(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    turn = await watched.ask("First")
    await turn.shows("word")
    upstream.script = answer("whole")
    await turn.button("Retry").click()
    await upstream.exchanges[0].until_closed()
    await turn.until("done")
    assert await turn.text() == "whole"
    assert await watched.page.locator(".turn").count() == 1


async def test_edited_question_takes_the_place_of_the_turn_and_of_those_after_it(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(answer("Aye"))
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    for question in ("First", "Second", "Third"):
        await (await watched.ask(question)).until("done")
    await watched.message.fill("a draft")
    await watched.turn(1).button("Edit").click()
    await expect(watched.message).to_be_focused()
    await expect(watched.message).to_have_value("Second")
    await expect(watched.page.locator("#editing")).to_contain_text("the turn after it goes")
    await watched.page.keyboard.press("Escape")
    await expect(watched.message).to_have_value("a draft")

    await watched.turn(1).button("Edit").click()
    await watched.message.fill("Other")
    await watched.button("Send").click()
    await expect(watched.page.locator(".turn .asked")).to_have_text(["First", "Other"])
    await watched.turn(1).until("done")
    assert contents(upstream.exchanges[-1]) == ["First", "Aye", "Other"]
    await expect(watched.message).to_have_value("a draft")


async def test_finish_reason_is_explained_in_a_sentence_that_names_it(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("word") + chunk(finish=contents(exchange)[-1]) + DONE)

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    for reason in ("length", "content_filter", "tool_calls", "a_new_word"):
        turn = await watched.ask(reason)
        await turn.until("done")
        assert f"The answer ended with “{reason}”" in await turn.text(".notice")
    turn = await watched.ask("stop")
    await turn.until("done")
    await expect(turn.find(".notice")).to_be_hidden()


async def test_answer_and_request_id_are_copied(start_server: StartServer, watched: Watched) -> None:
    server = await start_server()
    await watched.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await watched.open(server.url)
    turn = await watched.ask("Some *words*\n\n- and a list")
    await turn.until("done")
    read = "() => navigator.clipboard.readText()"
    await turn.button("Copy answer").click()
    assert await watched.page.evaluate(read) == "Some *words*\n\n- and a list"
    await turn.button("Copy the request id").click()
    assert await watched.page.evaluate(read) == (await server.record())["request_id"]


async def test_enter_sends_and_shift_enter_breaks_the_line(start_server: StartServer, watched: Watched) -> None:
    server = await start_server()
    await watched.open(server.url)
    await watched.message.press_sequentially("one")
    await watched.message.press("Shift+Enter")
    await watched.message.press_sequentially("two")
    await watched.message.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    await expect(watched.message).to_have_value("one\ntwo")
    await watched.message.press("Enter")
    await expect(watched.turn(0).find(".asked")).to_have_text("one\ntwo", use_inner_text=True)
    await expect(watched.message).to_have_value("")


async def test_enter_breaks_the_line_on_a_touch_keyboard(start_server: StartServer, phone: Watched) -> None:
    server = await start_server()
    await phone.open(server.url)
    await phone.message.press_sequentially("one")
    await phone.message.press("Enter")
    await phone.message.press_sequentially("two")
    await expect(phone.message).to_have_value("one\ntwo")
    await phone.button("Send").tap()
    await phone.turn(0).until("done")


async def test_suggestion_sends_at_once(start_server: StartServer, watched: Watched) -> None:
    server = await start_server()
    await watched.open(server.url)
    suggestion = watched.page.locator("#ideas button").first
    text = await suggestion.text_content()
    await suggestion.click()
    await watched.turn(0).until("done")
    assert await watched.turn(0).text(".asked") == text
    await expect(watched.message).to_be_focused()


async def test_model_is_chosen_beside_its_provider(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(answer("Aye"))
    server = await start_server(openai_at(upstream, models=["gpt-large"]))
    await watched.open(server.url)
    provider = watched.page.get_by_role("combobox", name="Provider")
    model = watched.page.get_by_role("combobox", name="Model")
    await expect(provider).to_have_value("up")
    await expect(model).to_have_value("gpt-4o-mini")
    await model.select_option("gpt-large")
    await (await watched.ask("Hello")).until("done")
    assert upstream.exchanges[0].json()["model"] == "gpt-large"
