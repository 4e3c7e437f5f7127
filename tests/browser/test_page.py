"""The demo page, as the person in front of it sees it."""

from __future__ import annotations

import re

from playwright.async_api import expect

from tests.browser.conftest import Watched
from tests.browser.scripts import shown_one_by_one
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import DONE, Exchange, Tap, answer, chunk, usage_chunk

BELOW = "() => { const s = document.getElementById('scroller'); return s.scrollHeight - s.scrollTop - s.clientHeight; }"
SCROLL_UP = """() => new Promise((scrolled) => {
  const scroller = document.getElementById("scroller");
  scroller.addEventListener("scroll", scrolled, { once: true });
  scroller.scrollTop = 0;
})"""


async def test_a_whole_answer_is_shown_with_its_figures(start_server: StartServer, watched: Watched) -> None:
    server = await start_server()
    await watched.open(server.url)
    turn = await watched.ask("one two  three\nfour")
    await turn.until("done")
    assert await turn.text() == "one two  three\nfour"
    assert await turn.text(".asked") == "one two  three\nfour"
    assert re.fullmatch(r"\d+ ms|[\d.]+ s", await turn.text("dd.ttft"))
    assert await turn.text("dd.usage") == "4 in + 4 out"
    assert await turn.text("dd.finish") == "stop"
    record = await server.record()
    assert await turn.text(".request-id") == record["request_id"]
    await expect(watched.message).to_be_focused()
    assert watched.complaints == []


async def test_caret_stands_behind_the_newest_text(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    carets = """() => [...document.querySelectorAll(".answer, .answer *")]
      .filter((element) => getComputedStyle(element, "::after").content !== "none")
      .map(({ localName, textContent }) => [localName, textContent])"""
    tap = Tap()
    upstream = await start_upstream(tap.script)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    turn = await watched.ask("Count")
    await expect(turn.find(".state")).to_have_text("Waiting for the first token…")
    assert await watched.page.evaluate(carets) == [["div", ""]]
    for piece, caret in (
        ("Here:\n\n- one\n  - deep\n- two", ["p", "two"]),
        ("\n\nand\n\n```\ncode", ["pre", "code"]),
        ("\n```\n\nlast", ["p", "last"]),
    ):
        tap(piece)
        await turn.shows(caret[1])
        assert await watched.page.evaluate(carets) == [caret]
    tap(None)
    await turn.until("done")
    assert await watched.page.evaluate(carets) == []


async def test_the_prompt_stays_out_of_every_address(start_server: StartServer, watched: Watched) -> None:
    server = await start_server()
    addresses: list[str] = []
    watched.page.on("request", lambda request: addresses.append(request.url))
    await watched.open(server.url)
    await (await watched.ask("xylophone")).until("done")
    assert any("/api/chat/stream" in address for address in addresses)
    assert not [address for address in addresses if "xylophone" in address]


async def test_a_follow_up_carries_the_conversation(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(answer("Blue", "."))
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    await (await watched.ask("Which colour?")).until("done")
    await (await watched.ask("Why?")).until("done")
    said = [(each["role"], each["content"]) for each in upstream.exchanges[1].json()["messages"]]
    assert said == [("user", "Which colour?"), ("assistant", "Blue."), ("user", "Why?")]


async def test_the_options_reach_the_provider(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(answer("Aye"))
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    await watched.page.click("#options-toggle")
    await watched.page.fill("#system", "Be brief.")
    await watched.page.fill("#max_tokens", "17")
    await watched.page.fill("#temperature", "0.5")
    await (await watched.ask("Hello")).until("done")
    sent = upstream.exchanges[0].json()
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert 17 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    assert sent["temperature"] == 0.5


async def test_what_a_model_writes_is_never_html(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    hostile = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script><svg onload='window.hacked=1'>"

    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        call = {"index": 0, "id": "c", "type": "function", "function": {"name": hostile, "arguments": hostile}}
        await exchange.send(chunk(choices=[{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]))
        await exchange.send(
            chunk(choices=[{"index": 0, "delta": {"reasoning_content": hostile}, "finish_reason": None}])
        )
        await exchange.send(chunk(hostile) + chunk(finish="stop") + usage_chunk(1, 1) + DONE)

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    turn = await watched.ask(hostile)
    await turn.until("done")
    for selector in (".asked", ".answer", ".reasoning .aside-text", ".call .aside-text", ".call .call-name"):
        assert await turn.text(selector) == hostile
    assert await turn.find(":is(.asked, .answer, .reasoning, .calls) :is(img, script, svg)").count() == 0
    assert await watched.page.evaluate("() => window.hacked") is None
    assert watched.complaints == []


async def test_the_view_follows_the_answer_until_the_person_scrolls_up(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    page = watched.page
    pieces = ["line\n" * 100 + word for word in ("FIRST\n", "SECOND\n", "THIRD\n")]
    upstream = await start_upstream(shown_one_by_one(watched, pieces))
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    await (await watched.ask("Follow")).until("done")
    assert await page.evaluate(BELOW) < 8

    upstream.script = shown_one_by_one(watched, pieces, before_last=lambda: page.evaluate(SCROLL_UP))
    await (await watched.ask("Stay")).until("done")
    assert await page.evaluate("() => document.getElementById('scroller').scrollTop") == 0
    await page.click("#to-latest")
    assert await page.evaluate(BELOW) < 8
    await expect(page.locator("#to-latest")).to_be_hidden()
