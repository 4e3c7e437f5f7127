"""Run each measurement for this server, the naive relay and other proxies in turn, and print the table."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.interpreter import describe_interpreter
from benchmarks.lines import LOCAL_LINES, BenchSetup, Figures, Line, Size, StartServer, models, warm_up
from benchmarks.processes import (
    ROOT,
    Process,
    busy_seconds,
    own_seconds,
    running_naive,
    running_server,
    running_upstream,
)
from benchmarks.proxy import running_proxy
from benchmarks.redis_lines import REDIS_LINES

LINES = (*LOCAL_LINES, *REDIS_LINES)

DIRECT_TARGET = "direct"
NAIVE = "naive"
OTHERS = "other processes, % of a core"


@dataclass(frozen=True)
class Targets:
    """The servers to compare: checkouts of this one, the naive relay, and other proxies by their commands."""

    trees: Mapping[str, Path]
    proxies: Mapping[str, str]
    has_naive: bool

    @property
    def names(self) -> list[str]:
        return [*self.trees, *([NAIVE] if self.has_naive else []), *self.proxies]

    def of(self, line: Line) -> list[str]:
        """Return those that ``line`` can be measured for: other proxies speak chat completions and nothing else."""
        proxies = self.proxies if not line.ours_only or (line.wire == "chat" and not line.counted) else ()
        return [name for name in self.names if name in self.trees or name in proxies or not line.ours_only]

    def wire(self, target: str, line: Line) -> str:
        return "chat" if target in self.proxies else line.wire

    def starter(self, target: str, upstream: Process, line: Line, size: Size, folder: Path) -> StartServer:
        """Return the function that starts a server of ``target``."""
        if target in self.proxies:
            return lambda _: running_proxy(self.proxies[target], folder, upstream)
        if target not in self.trees:
            return lambda _: running_naive(folder, upstream)
        patient = {"server": {"send_timeout_seconds": 600}} if line.patient else {}
        tree, names = self.trees[target], models(size)

        def start(config: Mapping[str, Any]) -> AbstractContextManager[Process]:
            tables = {**patient, **config}
            return running_server(folder, upstream, names, tree=tree, config=tables, counted=line.counted)

        return start


Measured = dict[str, dict[str, list[Figures]]]
"""By line and target, one entry a round."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.lines) - {line.name for line in LINES} - {"all"}:
        parser.error(f"there is no line {', '.join(sorted(unknown))}")
    names = arguments.lines or [line.name for line in LINES if not line.extra]
    lines = [line for line in LINES if line.name in names or "all" in names]
    targets = Targets(
        trees=dict(_tree(text) for text in arguments.tree) or {"ours": ROOT},
        proxies=dict(text.partition("=")[::2] for text in arguments.proxy),
        has_naive=not arguments.no_naive,
    )
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        measured, failures = _measure(lines, targets, Size(arguments.quick), arguments.rounds, Path(folder))
    if arguments.json:
        print(
            json.dumps(
                {
                    "interpreter": describe_interpreter(),
                    "medians": _medians(measured),
                    "rounds": measured,
                    "failures": failures,
                },
                indent=2,
            )
        )
    else:
        print(_table(lines, targets.names, _medians(measured)))
        print(_disturbance(measured))
        print(describe_interpreter())
    for failure in dict.fromkeys(failures):
        print(f"failed: {failure} ({failures.count(failure)} times)", file=sys.stderr)
    return 1 if any(failure.startswith(tuple(targets.trees)) for failure in failures) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    choices = [line.name for line in LINES]
    parser.add_argument("lines", nargs="*", metavar="line", help=f"{', '.join(choices)} or all")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured; default: 3")
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything, to see that it works")
    parser.add_argument("--no-naive", action="store_true", help="without the yardstick")
    parser.add_argument(
        "--tree", action="append", default=[], metavar="NAME=FOLDER", help="compare these checkouts; default: this one"
    )
    parser.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="compare another proxy of chat completions too; the command finds PORT, UPSTREAM and FOLDER in its "
        "environment, as benchmarks/proxies/nginx.sh does",
    )
    parser.add_argument("--json", action="store_true", help="every round's figures, as JSON")
    return parser


def _tree(text: str) -> tuple[str, Path]:
    name, _, folder = text.rpartition("=")
    return name or Path(folder).name, Path(folder).resolve()


def _measure(lines: list[Line], targets: Targets, size: Size, rounds: int, folder: Path) -> tuple[Measured, list[str]]:
    measured: Measured = {}
    failures: list[str] = []
    with running_upstream(folder) as upstream:
        for line in lines:
            for round_ in range(rounds):
                for target in [*([DIRECT_TARGET] if line.direct else []), *targets.of(line)]:
                    print(f"{line.name} {round_ + 1}/{rounds} {target}", file=sys.stderr, flush=True)
                    start = targets.starter(target, upstream, line, size, folder)
                    bench = BenchSetup(upstream, size, folder, start, targets.wire(target, line))
                    with nullcontext(upstream) if target == DIRECT_TARGET else start({}) as server:
                        warm_up(bench, server)
                        with _watched(upstream, server) as others:
                            figures = line.measure(bench, server)
                    figures[OTHERS] = others[0]
                    measured.setdefault(line.name, {}).setdefault(target, []).append(figures)
                    failures += [f"{target} {line.name}: {failure}" for failure in bench.failures]
    return measured, failures


@contextmanager
def _watched(*processes: Process) -> Iterator[list[float]]:
    """Measure the CPU time of all other processes while the block runs, in percent of a core."""
    ours = list(dict.fromkeys(processes))

    def spent() -> float:
        return busy_seconds() - own_seconds() - sum(process.cpu_seconds() for process in ours)

    others: list[float] = []
    before, began = spent(), time.perf_counter()
    yield others
    others.append(max(0.0, (spent() - before) / (time.perf_counter() - began) * 100))


def _medians(measured: Measured) -> dict[str, dict[str, Figures]]:
    """Return the rounds' medians; what the upstream alone takes is told, and subtracted where it is added time."""
    return {
        line: _with_added({target: _median(rounds) for target, rounds in targets.items()})
        for line, targets in measured.items()
    }


def _median(rounds: list[Figures]) -> Figures:
    return {name: statistics.median(figures[name] for figures in rounds) for name in rounds[0]}


def _with_added(targets: dict[str, Figures]) -> dict[str, Figures]:
    direct = targets.get(DIRECT_TARGET, {})
    for target, figures in targets.items():
        if target != DIRECT_TARGET:
            added = {f"added {name}": figures[name] - direct[name] for name in direct if name.startswith("TTFT")}
            targets[target] = {**figures, **added}
    return targets


def _table(lines: list[Line], targets: list[str], medians: dict[str, dict[str, Figures]]) -> str:
    """Return Markdown: a row a figure, a column a target, and each other's as a multiple of the first one's."""
    shown = [*targets, *([DIRECT_TARGET] if any(line.direct for line in lines) else [])]
    ratios = [f"{other} / {targets[0]}" for other in targets[1:]]
    rows = [["", *shown, *ratios], ["---", *("---:" for _ in (*shown, *ratios))]]
    for line in lines:
        figures = medians[line.name]
        for name in figures[targets[0]]:
            if name == OTHERS:
                continue
            values = [figures.get(target, {}).get(name, math.nan) for target in shown]
            others = [value / values[0] if values[0] else math.nan for value in values[1 : len(targets)]]
            rows.append([f"{line.title}: {name}", *map(_number, values), *map(_number, others)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )


def _disturbance(measured: Measured) -> str:
    """Describe how busy the machine was with other processes, which makes times worthless."""
    values = [figures[OTHERS] for targets in measured.values() for rounds in targets.values() for figures in rounds]
    return f"\nOther processes took {statistics.median(values):.0f} % of a core meanwhile, at most {max(values):.0f} %."


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "never"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
