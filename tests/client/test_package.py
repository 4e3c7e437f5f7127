"""The JavaScript package: its size, its contents, its types, and that it is what the source makes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import aiohttp

from tests.client.project import Project
from tests.client.runtimes import CLIENT, ROOT
from tests.conftest import StartServer
from tests.support.commands import output_of

MAX_BYTES = 4096


def test_the_module_is_at_most_4_kb_compressed() -> None:
    size = len(gzip.compress(CLIENT.read_bytes(), 9))
    print(f"client.js: {size} bytes with gzip")
    assert size <= MAX_BYTES


async def test_the_module_is_what_the_source_makes(project: Project) -> None:
    source = ROOT / "web/client/src/client.js"
    script = json.loads((ROOT / "tests/client/package.json").read_text())["scripts"]["build"]
    options = [option for option in script.split() if option.startswith("--") and "outfile" not in option]
    esbuild = project.folder / "node_modules/esbuild/bin/esbuild"
    made = await output_of(project.node, esbuild, source, *options, cwd=project.folder)
    assert made == CLIENT.read_text(), "run npm run build --prefix tests/client"


async def test_npm_packs_the_modules_and_their_types(project: Project) -> None:
    files = {path.relative_to(project.package).as_posix() for path in project.package.rglob("*") if path.is_file()}
    assert files == {
        "package.json",
        "client.js",
        "client.d.ts",
        "client-react.js",
        "client-react.d.ts",
        "src/client.js",
    }
    package = json.loads((project.package / "package.json").read_text())
    assert package.get("dependencies", {}) == {}
    targets = [target for entry in package["exports"].values() for target in entry.values()]
    assert {target.removeprefix("./") for target in targets} < files


async def test_the_types_describe_the_module(project: Project) -> None:
    (project.folder / "use.ts").write_text(TYPED)
    (project.folder / "tsconfig.json").write_text(
        '{"compilerOptions": {"strict": true, "noEmit": true, "module": "nodenext", "target": "es2022",'
        ' "lib": ["es2022", "dom", "dom.asynciterable"], "types": []}, "files": ["use.ts"]}'
    )
    tsc = project.folder / "node_modules/typescript/bin/tsc"
    await output_of(project.node, tsc, "-p", ".", cwd=project.folder)
    await output_of(project.node, "--input-type=module", "-e", USED, cwd=project.folder)


TYPED = """
import { type Answer, type StreamEvent, StreamError, resume, stream } from "llm-streamserver-client";
import { useStream } from "llm-streamserver-client/react";

export async function read(): Promise<string> {
  const answer: Answer = stream("http://h", { prompt: "x", smooth: true, onStatus: (status) => status === "quiet" });
  for await (const event of answer) {
    if (event.type === "text" || event.type === "reasoning") event.text.toUpperCase();
    else if (event.type === "tool_call") event.arguments.trim();
    else if (event.type === "done") event.usage?.total_tokens.toFixed();
    else event.keepalive_seconds.toFixed();
  }
  const error = new StreamError("timeout", "late", { retryAfter: 1 });
  const seconds: number | null = error.retryAfter;
  // @ts-expect-error: there is no such event
  const wrong: StreamEvent = { type: "error" };
  const { start, text } = useStream({ url: "http://h", key: "k" });
  await start("x");
  const rest = resume("http://h", answer.id ?? "", { after: answer.position, keepaliveSeconds: 1 });
  return `${await rest.text} ${seconds} ${wrong.type} ${text}`;
}
"""
USED = """
import * as client from "llm-streamserver-client";
import * as react from "llm-streamserver-client/react";
import assert from "node:assert";
assert.deepEqual(Object.keys(client).sort(), ["StreamError", "resume", "stream"]);
assert.deepEqual(Object.keys(react), ["useStream"]);
"""


async def test_the_server_serves_the_modules_to_pages_of_allowed_origins(
    start_server: StartServer, http: aiohttp.ClientSession
) -> None:
    origin = "https://app.example"
    server = await start_server({"auth": {"cors_origins": [origin]}})
    for name in ("client.js", "client-react.js"):
        async with http.get(f"{server.url}/{name}", headers={"Origin": origin}) as response:
            assert response.headers["Access-Control-Allow-Origin"] == origin
            assert response.content_type == "text/javascript"
            assert await response.read() == (Path(CLIENT).parent / name).read_bytes()
        async with http.get(f"{server.url}/{name}", headers={"Origin": "https://other.example"}) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
