"""A project that has installed the JavaScript client, as npm packs it, beside what the tests install."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.client.runtimes import ROOT
from tests.support.commands import output_of

PACKAGE = "llm-streamserver-client"
COMPILER_OPTIONS = '{"compilerOptions":{"experimentalDecorators":true,"useDefineForClassFields":false}}'


class Project:
    """A folder with ``node_modules``."""

    def __init__(self, folder: Path, node: str) -> None:
        self.folder = folder
        self.node = node

    @property
    def package(self) -> Path:
        return self.folder / "node_modules" / PACKAGE

    async def install(self, node_modules: Path | None) -> None:
        """Pack and unpack the client; ``node_modules`` are further packages."""
        npm = Path(self.node).resolve().parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
        source = ROOT / "web/client"
        name = await output_of(self.node, npm, "pack", "--silent", "--pack-destination", self.folder, cwd=source)
        (self.folder / "node_modules").mkdir()
        for path in node_modules.iterdir() if node_modules is not None else ():
            (self.folder / "node_modules" / path.name).symlink_to(path)
        with tarfile.open(self.folder / name.strip()) as archive:
            if hasattr(tarfile, "data_filter"):  # Python 3.11.0 to 3.11.3 have no filters
                archive.extractall(self.folder, filter="data")
            else:
                archive.extractall(self.folder)
        (self.folder / "package").rename(self.package)
        (self.folder / "package.json").write_text('{"type": "module", "private": true}')

    async def bundle(self, entry: str) -> None:
        """Bundle the file ``entry`` for browsers, as ``bundle.js``."""
        esbuild = self.folder / "node_modules/esbuild/bin/esbuild"
        options = ("--bundle", "--format=esm", "--jsx=automatic", "--outfile=bundle.js", "--log-level=error")
        define = '--define:process.env.NODE_ENV="development"'
        await output_of(
            self.node, esbuild, entry, *options, define, f"--tsconfig-raw={COMPILER_OPTIONS}", cwd=self.folder
        )

    def page(self, body: str) -> None:
        """Write the page that loads the bundle."""
        head = "<!doctype html><title>page</title><link rel=icon href=data:,>"
        page = f'{head}{body}<script type="module" src="bundle.js"></script>'
        (self.folder / "index.html").write_text(page)


@asynccontextmanager
async def running_folder(folder: Path, origin: str) -> AsyncIterator[None]:
    """Serve the files of ``folder`` at ``origin``."""
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", int(origin.rpartition(":")[2])).start()
        yield
    finally:
        await runner.cleanup()
