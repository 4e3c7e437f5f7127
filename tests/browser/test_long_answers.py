"""An answer of 100,000 tokens: the work for a token does not grow with the answer."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.browser.conftest import Watched
from tests.conftest import StartServer, StartUpstream, openai_at
from tests.support.upstream import DONE, Exchange, chunk, usage_chunk

TOKENS = 99_000
BATCH = 200
FREEZE_MS = 50
LAID_OUT_CHARS = 4 * 8192 + 16_384
"""What may be in one block: a part that finds no space to end at, and what one frame adds."""
COUNT = """() => {
  window.work = { added: 0, long: [] };
  const within = (node) => (node.closest ? node : node.parentElement)?.closest(".answer");
  new MutationObserver((records) => {
    for (const { target, addedNodes } of records) {
      if (within(target)) for (const node of addedNodes) work.added += node.textContent.length;
    }
  }).observe(document.getElementById("turns"), { subtree: true, childList: true });
  new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => work.long.push(Math.round(duration))))
    .observe({ type: "longtask" });
}"""
LONGEST_BLOCK = """() => Math.max(...[...document.querySelectorAll(":is(p, li, code, .part):is(.answer *)")]
  .map(({ childNodes }) => [...childNodes].filter(({ className }) => className !== "part")
    .reduce((sum, { textContent }) => sum + textContent.length, 0)))"""


def piece(number: int) -> str:
    """Return a piece: one third is a single paragraph, one many short blocks, one a single block of code."""
    third, place = divmod(number, TOKENS // 3)
    match third:
        case 0:
            return "word "
        case 1:
            return "\n\n" if place % 80 == 0 else "- item\n" if place % 80 > 70 else "word "
        case _:
            return "\n\n```python\n" if place == 0 else "x = 1\n" if place % 9 == 0 else "y + z "


async def long_answer(exchange: Exchange) -> None:
    await exchange.start_stream()
    for start in range(0, TOKENS, BATCH):
        await exchange.send("".join(chunk(piece(number)) for number in range(start, start + BATCH)))
    await exchange.send(chunk(finish="stop") + usage_chunk(1, TOKENS) + DONE)


async def report(page: Page, what: str) -> None:
    """Print the long tasks. They are the machine's as much as the page's: nothing is asserted of them."""
    long = sorted(await page.evaluate("() => work.long"))
    over = [duration for duration in long if duration > FREEZE_MS]
    print(f"{what}: {len(over)} tasks over {FREEZE_MS} ms, the longest {max(over, default=0)} ms")


async def test_work_for_a_long_answer_is_linear(
    start_server: StartServer, start_upstream: StartUpstream, watched: Watched
) -> None:
    upstream = await start_upstream(long_answer)
    server = await start_server(openai_at(upstream) | {"resume": {"max_log_bytes": 50_000_000}})
    page = watched.page
    await page.add_init_script(f"addEventListener('DOMContentLoaded', {COUNT})")
    await watched.open(server.url)
    turn = await watched.ask("Tell me everything")
    await turn.element.and_(page.locator("[data-state=done]")).wait_for(timeout=120_000)
    length = len(await turn.text())
    assert length > 4 * TOKENS
    assert await page.evaluate("() => work.added") < 3 * length, "what was shown is not shown anew"
    assert await page.evaluate(LONGEST_BLOCK) <= LAID_OUT_CHARS
    await report(page, f"{TOKENS:,} tokens streamed")

    await page.reload()
    await expect(turn.find(".state")).to_have_text("Done")
    await page.wait_for_function(f"() => document.querySelector('.answer').textContent.length === {length}")
    assert await page.evaluate("() => work.added") < 3 * length
    assert await page.evaluate(LONGEST_BLOCK) <= LAID_OUT_CHARS
    await report(page, f"{TOKENS:,} tokens shown after a reload")
