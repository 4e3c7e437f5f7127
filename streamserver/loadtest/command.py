"""The command: plan, progress, table, page, exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from streamserver.loadtest.page import page_of
from streamserver.loadtest.plan import plan_of
from streamserver.loadtest.preflight import unreachable, unwritable
from streamserver.loadtest.result import LoadTestResult
from streamserver.loadtest.run import perform
from streamserver.loadtest.server import ServerDied
from streamserver.loadtest.terminal import live, table_of
from streamserver.loop import EventLoop
from streamserver.runner import raise_descriptor_limit


def run_load_test(arguments: argparse.Namespace) -> int:
    """Run the load test that the flags describe.

    Return 0; 1 if a promise was broken or more than 1 % of the streams were refused; 2 if the test could not run.
    """
    try:
        plan = plan_of(arguments)
        api_key = None if plan.api_key_env is None else os.environ[plan.api_key_env]
    except ValueError as error:
        return _cannot(str(error))
    except KeyError:
        return _cannot(f"${plan.api_key_env} is not set")
    if wrong := unreachable(plan.url) or unwritable(arguments.report):
        return _cannot(wrong)
    raise_descriptor_limit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server that was started for the test must be ended
    console = Console(stderr=True)
    try:
        with live(plan, console) as show, asyncio.Runner(loop_factory=EventLoop) as runner:
            result = runner.run(perform(plan, api_key, show))
    except ServerDied as error:
        return _cannot(f"the server did not start: {error}")
    except KeyboardInterrupt:
        return _cannot("interrupted before the first stream")
    return _report(result, arguments, console)


def _report(result: LoadTestResult, arguments: argparse.Namespace, console: Console) -> int:
    """Print the result, and write its page if one was asked for. Return the exit status."""
    if arguments.json:
        sys.stdout.write(json.dumps(result.summary(), indent=2) + "\n")
    else:
        Console().print(table_of(result))
    if arguments.report is not None:
        try:
            Path(arguments.report).write_text(page_of(result), "utf-8")
        except OSError as error:
            return _cannot(f"cannot write {arguments.report}: {error.strerror}")
        console.print(f"report: {arguments.report}")
    return 0 if result.passed else 1


def _cannot(why: str) -> int:
    sys.stderr.write(f"streamserver load: {why}\n")
    return 2
