"""Run the programs in the first argument, a JSON list, one after the other, and print a list of what they printed."""

from __future__ import annotations

import contextlib
import io
import json
import sys

printed = []
for code in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, {"__name__": "__main__"})
    printed.append(out.getvalue())
print(json.dumps(printed))
