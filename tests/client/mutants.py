"""Mutants of the JavaScript client's logic, each of which ``test_logic.py`` must catch.

``python -m tests.client.mutants`` makes one change at a time to a copy of the source, and runs the tests with it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.client.runtimes import CLIENT_VARIABLE, ROOT, SOURCE
from tests.support.commands import run_command
from tests.support.server import clean_environ

TEST_SECONDS = 120.0
TAKE = "for (const block of blocks) if (!this.#over) this.#take(block);\n        heard();"

MUTANTS: tuple[tuple[str, str, str], ...] = (
    # What the client then does, the text, and its replacement.
    ("resumes from the start", "if (next) headers.set(", "if (false) headers.set("),
    ("resumes one event too early", ":${next - 1}`", ":${next - 2}`"),
    ("resumes one event too late", ":${next - 1}`", ":${next}`"),
    ("gives repeated events", "if (number < next) return;", ""),
    ("does not notice a gap", "if (number > next) throw", "if (false) throw"),
    ("takes a cut block for a whole one", "rest = blocks.pop();", "rest = blocks.at(-1);"),
    ("decodes each chunk for itself", "{ stream: true }", "{ stream: false }"),
    (
        "has a new key for each attempt",
        'headers.set("Content-Type"',
        'headers.set("Idempotency-Key", randomKey());\n      headers.set("Content-Type"',
    ),
    ("sends no key", 'this.#headers.set("Idempotency-Key", idempotencyKey);', ""),
    ("has one key for all answers", "randomKey(), keepaliveSeconds", '"the same", keepaliveSeconds'),
    ("starts again instead of resuming", "if (!this.id) {\n      headers.set", "if (true) {\n      headers.set"),
    (
        "takes the end of a response for an ending",
        "if (this.#over) return;\n      if (error",
        "if (!error) return this.#end();\n      if (error",
    ),
    ("never notices silence", "setTimeout(silent,", "setTimeout(() => {},"),
    ("notices silence late", "const SILENCE = 1.8", "const SILENCE = 180"),
    ("takes a quiet model for a dead connection", "const SILENCE = 1.8", "const SILENCE = 0.3"),
    ("does not learn the keepalive", "this.#keepalive = event.keepalive_seconds", "this.#keepalive = this.#keepalive"),
    ("does not count pings as life", TAKE, TAKE.replace("heard", 'if (this.#status !== "quiet") heard')),
    ("never gives up", "if (left <= 0) return", "if (false) return"),
    ("gives up at the first failure", "if (left <= 0) return", "if (true) return"),
    ("goes on after every refusal", "if (!this.#mayPass(error)) return this.#end(error);", ""),
    (
        "takes a passing refusal for the end",
        "return [200, 408, 429].includes(status) || status >= 500;",
        "return false;",
    ),
    ("takes a gateway's error for the end", "(code === NOT_OURS ||", "(false ||"),
    ("does not wait for Retry-After", "(error?.retryAfter ?? 0) * 1000", "0"),
    ("does not repeat the DELETE", "if (this.#stopping) await this.#delete();", ""),
    ("deletes when it is left", "this.#left ||= !this.#over;", "if (this.id && !this.#over) this.#delete();"),
    (
        "takes an error event for a good end",
        'if (type === "error") throw',
        'if (type === "error") return this.#end();\n    if (false) throw',
    ),
    (
        "reads on behind the ending",
        'if (type === "done") this.#end();',
        'if (type === "done") setTimeout(() => this.#end(), 300);',
    ),
    (
        "takes any event stream for a streamserver's",
        "if (!id || (this.id && id !== this.id)) throw",
        "if (false) throw",
    ),
)


async def is_caught(client: Path) -> bool:
    """Return whether a test fails with the mutant."""
    status, out, errors = await run_command(
        *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/client/test_logic.py"),
        *("-k", "node"),
        cwd=ROOT,
        env={**clean_environ(), CLIENT_VARIABLE: str(client)},
        seconds=TEST_SECONDS,
    )
    assert status in (0, 1), out + errors
    return status == 1


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="mutants that hold this text alone")
    only = parser.parse_args().only
    source = SOURCE.read_text("utf-8")
    survivors = []
    for what, text, replacement in MUTANTS:
        if only not in what:
            continue
        assert source.count(text) == 1, f"{what}: the text is there {source.count(text)} times"
        with tempfile.TemporaryDirectory() as folder:
            client = Path(folder) / "client.mjs"
            client.write_text(source.replace(text, replacement), "utf-8")
            began = time.monotonic()
            if not await is_caught(client):
                survivors.append(what)
        verdict = "SURVIVES" if what in survivors else "caught"
        print(f"{verdict} in {time.monotonic() - began:.0f} s: it {what}", flush=True)
    print(f"{len(survivors)} survivors")
    raise SystemExit(bool(survivors))


if __name__ == "__main__":
    asyncio.run(main())
