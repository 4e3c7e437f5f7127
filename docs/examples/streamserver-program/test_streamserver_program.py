from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from streamserver_program import Program, ProgramOptions

from providers import Context
from providers.testing import Behaviour, Harness, ProviderContract
from providers.transport import AiohttpTransport

SCRIPTS: dict[Behaviour, str] = {
    "answers": "printf Hel; printf lo",
    "silent": "exec sleep 60",
    "stalls": "printf Hel; exec sleep 60",
    "fails": "exit 1",
    "breaks": "printf Hel; exit 1",
}


def programs() -> int:
    return sum(len(path.read_text().split()) for path in Path("/proc/self/task").glob("*/children"))


class TestProgram(ProviderContract):
    @asynccontextmanager
    async def harness(self, behaviour: Behaviour) -> AsyncIterator[Harness]:
        options = ProgramOptions(kind="program", command=("sh", "-c", SCRIPTS[behaviour]))
        yield Harness(Program(options, Context("tested", AiohttpTransport())), connections=programs)
