"""What a load test does: its flags, and what each of its readers is to do."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable

import msgspec

from streamserver.commands.base import complete_files

ALIASES = {"openai": "chat", "anthropic": "messages"}

DEFAULT_STREAMS = 1000
DEFAULT_CONCURRENCY = 100
MAX_PLANNED_STREAMS = 10_000_000
GRACE_SECONDS = 30
"""How long a reader that is going to be cut asks the server to wait for its return."""
MAX_CUTS = 3


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """The behaviour of one reader; counts are of tokens since the stream's start."""

    leave_after: int | None = None
    """Close the connection, and not come back."""
    stop_after: int | None = None
    """Stop the stream by ``DELETE``, and read on to its ending."""
    cut_after: tuple[int, ...] = ()
    """Close the connection and come back with ``Last-Event-ID``."""
    slow: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A load test. Shares are from 0 to 1."""

    url: str | None = None
    """None: a server with the echo provider is started for the test."""
    api: str = "native"
    """A name in :data:`~streamserver.loadtest.wires.LOAD_WIRES`."""
    streams: int | None = None
    rate: float | None = None
    """Streams started per second, whatever becomes of the others (open loop)."""
    concurrency: int | None = None
    """Streams at a time (closed loop). Exactly one of ``rate`` and ``concurrency`` is set."""
    duration: float | None = None
    """Seconds for which streams are started."""
    prompt_tokens: int = 100
    cancel_rate: float = 0.0
    resume_rate: float = 0.0
    slow_readers: float = 0.0
    provider: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    echoes: bool = False
    """The answer is the prompt, so that the text can be checked too."""

    @property
    def most_streams(self) -> int:
        """How many streams are started at the most."""
        return MAX_PLANNED_STREAMS if self.streams is None else self.streams

    def prompt(self) -> str:
        """Return a prompt of ``prompt_tokens`` words, which the echo provider answers with as many tokens."""
        return " ".join(f"w{number}" for number in range(self.prompt_tokens))

    def behaviour(self, number: int) -> Behaviour:
        """Return what the reader of stream ``number`` does; the same in every run of the plan."""
        dice = random.Random(number)
        slow = dice.random() < self.slow_readers
        fate = dice.random()
        if fate < self.cancel_rate:
            after = dice.randint(1, self.prompt_tokens)
            if self.api == "native" and dice.random() < 0.5:
                return Behaviour(stop_after=after, slow=slow)
            return Behaviour(leave_after=after, slow=slow)
        if fate < self.cancel_rate + self.resume_rate:
            cuts = sorted(dice.randint(1, self.prompt_tokens) for _ in range(dice.randint(1, MAX_CUTS)))
            return Behaviour(cut_after=tuple(dict.fromkeys(cuts)), slow=slow)
        return Behaviour(slow=slow)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of ``streamserver load``."""
    at_least_one, share = _number(int, 1), _number(float, 0, 1)
    add = parser.add_argument
    add("--url", help="the server, as http://host:port; default: one with the echo provider is started")
    add(
        "--api",
        choices=("native", "chat", "openai", "messages", "anthropic", "responses"),
        default="native",
        help="the wire to speak; openai is chat, anthropic is messages; default: native",
    )
    add(
        "--streams",
        type=at_least_one,
        metavar="N",
        help=f"the number of streams to start; default: {DEFAULT_STREAMS}, or as many as start in --duration",
    )
    add("--duration", type=_number(float, 0.1), metavar="SECONDS", help="the seconds in which streams are started")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument(
        "--rate",
        type=_number(float, 0.001),
        metavar="N",
        help="the number of streams to start each second, however many are still open",
    )
    pace.add_argument(
        "--concurrency",
        type=at_least_one,
        metavar="N",
        help=f"the number of streams to keep open: as one ends, the next starts; default: {DEFAULT_CONCURRENCY}",
    )
    add(
        "--prompt-tokens",
        type=at_least_one,
        default=100,
        metavar="N",
        help="words in each prompt; echo answers with as many tokens; default: 100",
    )
    for flag, behaviour in (
        ("--cancel-rate", "leave, or stop their stream"),
        ("--resume-rate", "are cut off, and come back"),
        ("--slow-readers", "read little at a time"),
    ):
        add(flag, type=share, default=0.0, metavar="SHARE", help=f"the share of readers, 0 to 1, that {behaviour}")
    add("--provider", help="the provider to ask for; default: the server's")
    add("--model", help="the model to ask for; default: the provider's")
    add("--api-key-env", metavar="NAME", help="the environment variable that holds the API key to send")
    add(
        "--echoes",
        action="store_true",
        help="check the text too, which is the prompt's; on by default without --url",
    )
    add("--json", action="store_true", help="print the result as JSON")
    complete_files(add("--report", metavar="FILE", help="write the result as a page with plots"))


def plan_of(arguments: argparse.Namespace) -> Plan:
    """Return the plan that the flags describe. Raises :class:`ValueError` where they contradict each other."""
    given = vars(arguments)
    plan = Plan(**{name: given[name] for name in Plan.__struct_fields__ if given.get(name) is not None})
    if plan.cancel_rate + plan.resume_rate > 1:
        raise ValueError("--cancel-rate and --resume-rate are shares of the same readers: together at most 1")
    plan = msgspec.structs.replace(plan, api=ALIASES.get(plan.api, plan.api))
    if plan.api != "native" and plan.resume_rate:
        raise ValueError("--resume-rate needs --api native: the other wires have no resuming")
    if plan.url is not None and not plan.url.startswith(("http://", "https://")):
        raise ValueError("--url begins with http:// or https://")
    if plan.url is None:
        # The server that is started has the echo provider alone.
        plan = msgspec.structs.replace(plan, echoes=True, provider=plan.provider or "echo")
    if plan.rate is None and plan.concurrency is None:
        plan = msgspec.structs.replace(plan, concurrency=DEFAULT_CONCURRENCY)
    if plan.streams is None and plan.duration is None:
        plan = msgspec.structs.replace(plan, streams=DEFAULT_STREAMS)
    return plan


def _number(kind: type[int] | type[float], low: float, high: float = float("inf")) -> Callable[[str], float]:
    """Return an argparse type: a number of that kind in those bounds."""

    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            bounds = f"at least {low}" if high == float("inf") else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"{text} is not {bounds}")
        return value

    parse.__name__ = "number" if kind is float else "whole number"
    return parse
