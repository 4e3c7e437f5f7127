"""The server, counting its byte code: ``python benchmarks/counted.py REPORT ARGUMENT…``.

From SIGUSR1 to SIGUSR2 every instruction that Python executes is counted, and every call; at SIGUSR2 the counts go to
REPORT as JSON: by function, the most first. Slower by far, and the same however busy the machine is: what a change
does to the code that runs shows here to the instruction, where times drown in noise.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any


class InstructionCounter:
    """A counter of instructions by code object."""

    def __init__(self, report: Path) -> None:
        self._report = report
        self._instructions: Counter[CodeType] = Counter()
        self._calls: Counter[CodeType] = Counter()

    def start(self, *_: object) -> None:
        sys.settrace(self._call)

    def stop(self, *_: object) -> None:
        sys.settrace(None)
        functions = [
            (f"{code.co_qualname} ({Path(code.co_filename).name}:{code.co_firstlineno})", count, self._calls[code])
            for code, count in self._instructions.most_common()
            if code.co_filename != __file__
        ]
        self._instructions.clear()
        self._calls.clear()
        written = self._report.with_suffix(".new")
        written.write_text(json.dumps(functions), "utf-8")
        written.rename(self._report)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        # Also where a generator goes on.
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        self._calls[frame.f_code] += 1
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            self._instructions[frame.f_code] += 1
        return self._step


def main() -> int:
    sys.path.pop(0)  # this folder
    report = Path(sys.argv.pop(1))
    counting = InstructionCounter(report)
    signal.signal(signal.SIGUSR1, counting.start)
    signal.signal(signal.SIGUSR2, counting.stop)
    from streamserver.cli import main as serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
