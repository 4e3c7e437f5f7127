"""Pacing: a burst is shown evenly, unless less motion is preferred."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.client.fake_server import Reply, block, done, running_fake_server, start
from tests.client.runtimes import SCRIPT_RUNTIME, SOURCE, script_command
from tests.support.commands import output_of

BURST = ["aé€𝄞" * 50, "b" * 300, "c" * 100]
BYTES = b"".join([start(), *(block(number, text) for number, text in enumerate(BURST, 1)), done(4)])


async def test_a_burst_is_shown_evenly_unless_less_motion_is_preferred(find_program: Callable[[str], str]) -> None:
    reply = Reply([BYTES])
    async with running_fake_server([reply, reply, reply]) as server:
        command = script_command(find_program(SCRIPT_RUNTIME), "smooth.js")
        seen = json.loads(await output_of(*command, SOURCE, server.url))
    assert {seen[how]["text"] for how in seen} == {seen[how]["whole"] for how in seen} == {"".join(BURST)}
    assert seen["plain"]["lengths"] == seen["reduced"]["lengths"] == [200, 300, 100]
    lengths = seen["smooth"]["lengths"]
    assert len(lengths) > len(BURST), "in pieces"
    print(
        f"600 characters in {len(lengths)} pieces, {min(lengths)} to {max(lengths)} characters, "
        f"in {seen['smooth']['milliseconds']} ms; without pacing in {seen['plain']['milliseconds']} ms"
    )
