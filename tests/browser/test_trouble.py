"""What goes wrong is told to the person: refusals, failures, silence."""

from __future__ import annotations

import json
import re

from playwright.async_api import expect

from tests.browser.conftest import Watched
from tests.browser.scripts import endless
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import Exchange, answer, chunk


async def test_a_refusal_is_shown_beside_its_field_and_keeps_the_prompt(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server({"limits": {"max_prompt_chars": 10}})
    await watched.open(server.url)
    await watched.page.fill("#prompt", "x" * 11)
    await watched.page.click("#send")
    refusal = watched.page.locator("#prompt-refusal")
    await expect(refusal).to_contain_text("has 11 characters of text; the most is 10")
    await expect(watched.page.locator("#prompt")).to_have_value("x" * 11)
    await expect(watched.page.locator("#prompt")).to_be_focused()
    turn = await watched.ask("short")
    await turn.until("done")
    await expect(refusal).to_be_hidden()


async def test_a_wrong_option_is_shown_though_the_options_were_closed(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server()
    await watched.open(server.url)
    await watched.page.click("#options-toggle")
    await watched.page.fill("#temperature", "3")
    await watched.page.click("#options-toggle")
    await watched.page.fill("#prompt", "Hello")
    await watched.page.click("#send")
    await expect(watched.page.locator("#temperature-refusal")).to_contain_text("from 0 to 2")
    await expect(watched.page.locator("#temperature")).to_be_focused()


async def test_an_empty_prompt_is_answered_with_what_to_do(start_server: StartServer, watched: Watched) -> None:
    server = await start_server()
    await watched.open(server.url)
    await watched.page.click("#send")
    await expect(watched.page.locator("#prompt-refusal")).to_have_text("Write a question first.")
    assert server.records() == []


async def test_a_provider_that_is_not_ready_says_why_and_offers_another(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server(
        {
            "provider": {"default": "openai"},
            "providers": {"openai": {"kind": "openai", "model": "gpt-4o-mini", "api_key_env": "OPENAI_API_KEY"}},
        }
    )
    await watched.open(server.url)
    reason = watched.page.locator("#provider-reason")
    await expect(reason).to_have_text("openai is not ready: OPENAI_API_KEY is not set.")
    failed = await watched.ask("Hello")
    await failed.until("failed")
    assert await failed.text(".failure h3") == "This server has no working key for the provider"
    assert await failed.text(".failure .message") == (
        "This server has no usable key for the provider: OPENAI_API_KEY is not set."
    )
    assert "provider_auth" in await failed.text(".failure .small-print")
    await watched.page.click("#use-ready")
    await expect(reason).to_be_hidden()
    turn = await watched.ask("Hello")
    await turn.until("done")
    assert await turn.text() == "Hello"


async def test_a_rate_limit_is_a_sentence_with_a_countdown(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    async def limited(exchange: Exchange) -> None:
        await exchange.answer(
            429, json.dumps({"error": {"message": "slow", "type": "requests"}}), extra="Retry-After: 100\r\n"
        )

    upstream = await start_upstream(limited)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    turn = await watched.ask("Hello")
    await turn.until("failed")
    assert "limiting requests" in await turn.text(".failure .message")
    retry = turn.button("Retry")
    await expect(retry).to_be_disabled()
    await expect(retry).to_have_text(re.compile(r"Retry in \d+ s"))
    small_print = await turn.text(".failure .small-print")
    assert small_print == f"rate_limited · request {(await server.record())['request_id']}"


async def test_retry_takes_the_place_of_what_failed(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("Hel"))

    upstream = await start_upstream(cut)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    turn = await watched.ask("Hello")
    await turn.until("failed")
    assert await turn.text() == "Hel"
    upstream.script = answer("Hello", "!")
    await turn.button("Retry").click()
    await turn.until("done")
    assert await turn.text() == "Hello!"
    assert await watched.page.locator(".turn").count() == 1
    assert [each["role"] for each in upstream.exchanges[1].json()["messages"]] == ["user"]


async def test_answer_that_a_restarted_server_has_lost_can_be_asked_for_again(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server()
    await watched.open(server.url)
    start = {"stream_id": "A" * 22, "request_id": "r1", "provider": "echo", "model": "echo", "keepalive_seconds": 15}
    begun = f"event: start\nid: {'A' * 22}:0\ndata: {json.dumps(start)}\n\nid: {'A' * 22}:1\ndata: Hel\n\n"
    await watched.page.route(
        "**/api/chat/stream", lambda route: route.fulfill(content_type="text/event-stream", body=begun), times=1
    )
    turn = await watched.ask("Hello")
    await turn.until("failed")
    await expect(turn.find(".failure")).to_contain_text("Retry asks the question again.")
    assert await turn.text() == "Hel"
    await turn.button("Retry").click()
    await turn.until("done")
    assert await turn.text() == "Hello"


async def test_server_that_cannot_be_reached_is_not_taken_for_a_busy_one(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server()
    await watched.page.clock.install()
    await watched.open(server.url)
    await watched.page.route("**/api/chat/stream", lambda route: route.abort("connectionrefused"))
    await watched.message.fill("Hello")
    await watched.button("Send").click()
    waiting = watched.page.locator("#waiting")
    await expect(waiting).to_contain_text("cannot be reached")
    await watched.page.clock.run_for(3_500)
    await expect(waiting).to_contain_text("cannot be reached")
    await watched.page.unroute("**/api/chat/stream")
    await watched.page.clock.run_for(20_000)
    await watched.turn(0).until("done")


async def test_a_key_is_asked_for_only_where_one_is_needed_and_kept_in_the_tab(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server(environ={"STREAMSERVER_KEYS": "ann:correct-horse"})
    page = watched.page
    await page.goto(server.url)
    await page.locator("#key-form").wait_for()
    await page.fill("#key", "wrong")
    await page.keyboard.press("Enter")
    await expect(page.locator("#key-refusal")).to_have_text("This key was not accepted.")
    await page.fill("#key", "correct-horse")
    await page.keyboard.press("Enter")
    await page.locator("#provider:enabled").wait_for()
    await expect(page.locator("#key-form")).to_be_hidden()
    await expect(watched.message).to_be_focused()
    turn = await watched.ask("Hello")
    await turn.until("done")
    assert (await server.record())["user"] == "ann"
    assert await page.evaluate("() => [localStorage.length, document.cookie, location.search]") == [0, "", ""]
    await page.reload()
    await page.locator("#provider:enabled").wait_for()


async def test_a_quiet_model_is_told_from_a_dead_connection(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(openai_at(upstream) | {"server": {"keepalive_seconds": 1}})
    await watched.open(server.url)
    turn = await watched.ask("Go on")
    await expect(turn.find(".state")).to_have_text("The model is quiet…")
    await expect(watched.page.locator("#status")).to_have_text("The model is quiet.")


async def test_failing_server_is_given_up_after_thirty_seconds_and_a_waiting_one_is_not(
    start_server: StartServer, watched: Watched
) -> None:
    server = await start_server()
    await watched.open(server.url)
    outcomes = await watched.page.evaluate(
        """async () => {
          const { patient } = await import("/patience.js");
          const outcomes = [];
          let seconds = 0;
          let fetch;
          const attempt = patient((...request) => fetch(...request), () => seconds * 1000);
          const at = async (time, next, options) => {
            [seconds, fetch] = [time, next];
            outcomes.push(await attempt("/", options).then(({ status }) => status, ({ code, name }) => code ?? name));
          };
          const refuse = async () => { throw new TypeError("refused"); };
          const answer = (status) => async () => ({ status });
          await at(0, refuse);
          await at(29, answer(502));
          await at(29.9, answer(200));
          await at(40, refuse);
          await at(69, refuse, { signal: AbortSignal.abort() });
          await at(70, refuse, { signal: AbortSignal.abort() });
          await at(71, answer(502));
          return outcomes;
        }"""
    )
    assert outcomes == ["TypeError", 502, 200, "TypeError", "TypeError", "TypeError", "unreachable"]
