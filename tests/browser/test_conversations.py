"""Conversations: kept in the browser, found again, deleted, exported; read on after a reload."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.async_api import Locator, expect

from tests.browser.conftest import Watched
from tests.browser.scripts import endless
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import DONE, Exchange, answer, chunk, usage_chunk


def listed(watched: Watched) -> Locator:
    return watched.page.get_by_role("list", name="Conversations").get_by_role("listitem")


async def have(watched: Watched, *questions: str) -> None:
    """Have a conversation of its own about each question."""
    for question in questions:
        await watched.button("New chat").click()
        await (await watched.ask(question)).until("done")


async def test_conversations_are_named_searched_opened_and_deleted(start_server: StartServer, watched: Watched) -> None:
    server = await start_server()
    bodies: list[str] = []
    watched.page.on("request", lambda request: bodies.append(request.post_data or ""))
    await watched.open(server.url)
    await expect(watched.page.get_by_role("list", name="Conversations")).to_be_visible()
    await have(watched, "Name three apples", "Name three pears\nand a plum")
    await expect(listed(watched)).to_have_text(["Name three pears and a plum", "Name three apples"])
    assert [body for body in bodies if "apples" in body and "pears" in body] == []

    await watched.page.reload()
    await expect(watched.turn(0).find(".answer")).to_contain_text("and a plum")
    await listed(watched).last.get_by_role("link").click()
    await expect(watched.turn(0).find(".answer")).to_have_text("Name three apples")
    await expect(watched.page.get_by_role("heading", level=1)).to_have_text("Name three apples")
    await watched.page.go_back()
    await expect(watched.turn(0).find(".answer")).to_contain_text("and a plum")

    search = watched.page.get_by_role("searchbox", name="Search conversations")
    await search.fill("PLUM three")
    await expect(listed(watched)).to_have_text(["Name three pears and a plum"])
    await search.fill("nothing has this")
    await expect(watched.page.locator("#no-conversations")).to_have_text("No conversation has “nothing has this”.")
    await search.fill("")

    await listed(watched).first.get_by_role("button", name="Delete").click()
    await expect(listed(watched)).to_have_text(["Name three apples"])
    await expect(watched.page.locator(".turn")).to_have_count(0)
    await watched.button("Undo").click()
    await expect(listed(watched)).to_have_count(2)


async def test_conversation_is_exported_as_markdown_and_json(
    start_server: StartServer, watched: Watched, tmp_path: Path
) -> None:
    server = await start_server()
    await watched.open(server.url)
    await (await watched.ask("Say *hello* / to us")).until("done")

    async def export(name: str) -> tuple[str, str]:
        async with watched.page.expect_download() as download:
            await watched.button(name).click()
        file = await download.value
        await file.save_as(tmp_path / file.suggested_filename)
        return file.suggested_filename, (tmp_path / file.suggested_filename).read_text("utf-8")

    name, markdown = await export("Export as Markdown")
    assert name == "say-hello-to-us.md"
    assert markdown == (
        "# Say *hello* / to us\n\n## Question\n\nSay *hello* / to us\n\n## Answer\n\nSay *hello* / to us\n"
    )
    name, text = await export("Export as JSON")
    exported = json.loads(text)
    assert name == "say-hello-to-us.json"
    assert exported["messages"] == [
        {"role": "user", "content": "Say *hello* / to us"},
        {"role": "assistant", "content": "Say *hello* / to us"},
    ]
    record = await server.record()
    (turn,) = exported["turns"]
    assert (turn["state"], turn["finish_reason"], turn["request_id"]) == ("done", "stop", record["request_id"])
    assert "stream_id" not in turn, "a client that has it may read the stream"


async def test_conversations_lie_behind_a_button_on_a_phone(start_server: StartServer, phone: Watched) -> None:
    server = await start_server()
    await phone.open(server.url)
    await have(phone, "one", "two")
    names = phone.page.get_by_role("list", name="Conversations")
    await expect(names).to_be_hidden()
    toggle = phone.button("Conversations")
    await toggle.click()
    await expect(names).to_be_visible()
    await phone.page.keyboard.press("Escape")
    await expect(names).to_be_hidden()
    await expect(toggle).to_be_focused()
    await toggle.click()
    await names.get_by_role("link", name="one").click()
    await expect(names).to_be_hidden()
    await expect(phone.turn(0).find(".answer")).to_have_text("one")


async def test_reload_in_mid_answer_reads_on(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one "))
        await watched.turn(1).shows("one")
        await watched.page.reload()
        await watched.turn(1).shows("one")
        await exchange.send(chunk("two") + chunk(finish="stop") + usage_chunk(3, 2) + DONE)

    upstream = await start_upstream(answer("Aye"))
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    await (await watched.ask("First")).until("done")
    upstream.script = script
    turn = await watched.ask("Count")
    await turn.until("done")
    assert await turn.text() == "one two"
    assert await turn.text("dd.usage") == "3 in + 2 out"
    assert len(upstream.exchanges) == 2, "what was reloaded was not asked again"
    assert await watched.turn(0).text() == "Aye"
    await (await watched.ask("And then?")).until("done")
    assert "one two" in json.dumps(upstream.exchanges[2].json()["messages"])


async def test_reload_keeps_what_had_come_when_the_server_has_forgotten_the_answer(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(endless)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    turn = await watched.ask("Go on")
    await turn.shows("word")
    await watched.page.evaluate("() => dispatchEvent(new Event('pagehide'))")
    forgotten = {"code": "not_found", "detail": "unknown stream", "request_id": "r"}
    await watched.page.route(
        re.compile(r"/api/chat/streams/"),
        lambda route: route.fulfill(status=404, content_type="application/problem+json", body=json.dumps(forgotten)),
    )
    await watched.page.reload()
    await turn.until("failed")
    assert await turn.text() == "word"
    assert "What had come until then is kept." in await turn.text(".failure .message")


async def test_answer_goes_on_while_another_conversation_is_shown(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.start_stream()
        await exchange.send(chunk("one "))
        await watched.turn(0).shows("one")
        await watched.button("New chat").click()
        await expect(watched.button("Send")).to_be_visible()
        await exchange.send(chunk("two") + chunk(finish="stop") + DONE)

    upstream = await start_upstream(script)
    server = await start_server(openai_at(upstream))
    await watched.open(server.url)
    await watched.ask("Count")
    assert (await server.record())["status"] == "done"
    await listed(watched).get_by_role("link", name="Count").click()
    await watched.turn(0).until("done")
    assert await watched.turn(0).text() == "one two"


async def test_full_storage_is_told_and_the_answer_stays(start_server: StartServer, watched: Watched) -> None:
    server = await start_server()
    await watched.page.add_init_script(
        "IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError'); }"
    )
    await watched.open(server.url)
    turn = await watched.ask("Hello")
    await turn.until("done")
    await expect(watched.page.locator("#not-lasting")).to_contain_text("storage is full")
    assert await turn.text() == "Hello"
