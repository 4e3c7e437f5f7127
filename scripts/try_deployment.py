#!/usr/bin/env python3
"""Build the container image and run what ``compose.yaml`` describes, on a Debian machine without a Docker engine.

It needs root, and ``apt-get install buildah mmdebstrap nginx-light redis-server iproute2 python3-yaml``. A base image
under the name in ``FROM`` is made from Debian's packages, the Dockerfile is built on it, and the result runs as its own
user, as process 1, on a read-only root file system and without capabilities, in network, mount and process
namespaces of its own, with the nginx and the Redis of this machine beside it. docs/deployment.md tells what was seen.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
IMAGE = "localhost/llm-streamserver"
SOURCES = ("/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list")
REGISTRY_SETTINGS = ("/etc/pip.conf", "/etc/xdg/pip", "/root/.config/pip", "/etc/ssl/certs")
"""How this machine reaches the package index; the build sees the same, read-only."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, help="a folder to keep the base image in, for the next time")
    parser.add_argument("--mount", action="append", default=[], help="a further folder that the build may read")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        run_in_namespaces(arguments.inside)
        return 0
    with tempfile.TemporaryDirectory(prefix="try-deployment-") as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        try:
            build(work, arguments.mount)
            unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
            subprocess.run([*unshare, sys.executable, __file__, "--inside", str(work)], check=True, timeout=300)
        finally:
            buildah(work, "rm", "--all")
    return 0


# Building


def build(work: Path, mounts: Sequence[str]) -> None:
    """Build the image in ``work``, and leave a container of it mounted."""
    base = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]
    if not buildah(work, "images", "-q", base, check=False).strip():
        with step(f"a base image from Debian's packages, named {base}"):
            build_base(work, base)
    with step(f"buildah build: {IMAGE}"):
        readable = [path for path in (*REGISTRY_SETTINGS, *mounts) if Path(path).exists()]
        volumes = [f"--volume={path}:{path}:ro" for path in readable]
        options = ("--isolation", "chroot", "--pull-never", "--format", "docker", "--no-cache")
        buildah(work, "bud", *options, *volumes, "-t", IMAGE, str(ROOT), timeout=900)
    container = buildah(work, "from", "--pull-never", IMAGE).strip()
    root = buildah(work, "mount", container).strip()
    image = json.loads(buildah(work, "inspect", "--type", "image", IMAGE))
    (work / "image.json").write_text(json.dumps({"root": root, "config": image["Docker"]["config"]}))
    tell(f"image: {size_of(root)} MiB unpacked, of which {size_of(root + '/opt/streamserver')} MiB are the server")


def build_base(work: Path, name: str) -> None:
    sources = next(path for path in SOURCES if Path(path).exists())
    archive = work / "base.tar"
    packages = "python3,python3-venv,python3-pip,ca-certificates"
    run(
        "mmdebstrap",
        "--variant=minbase",
        f"--include={packages}",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        '--customize-hook=ln -s /usr/bin/python3 "$1/usr/local/bin/python"',
        name.rpartition("-")[2],
        str(archive),
        sources,
        timeout=600,
    )
    container = buildah(work, "from", "scratch").strip()
    buildah(work, "add", container, str(archive), "/")
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    buildah(work, "config", "--env", path, "--cmd", "python", container)
    buildah(work, "commit", "--rm", container, name)
    archive.unlink()


def buildah(work: Path, *arguments: str, check: bool = True, timeout: float = 300) -> str:
    storage = ("--storage-driver", "vfs", "--root", str(work / "storage"), "--runroot", str(work / "run"))
    return run("buildah", *storage, *arguments, check=check, timeout=timeout)


def size_of(path: str) -> int:
    return int(run("du", "-sm", path).split()[0])


# Running


def run_in_namespaces(work: Path) -> None:
    """Try the image alone, and then all that the compose file describes."""
    image = json.loads((work / "image.json").read_text())
    root, config = Path(image["root"]), image["config"]
    run("ip", "link", "set", "lo", "up")
    # The rest of the machine stays as it is: mounts are private to this namespace.
    run("mount", "--make-rprivate", "/")
    try_ownership(root, config)
    try_alone(root, config)
    try_refusals(root, config)
    try_reload(root, config)
    try_compose(root, config, work)


def try_ownership(root: Path, config: Mapping[str, Any]) -> None:
    with step("the user owns nothing but the working directory"):
        user = config["User"].partition(":")[0]
        assert user.isdecimal() and user != "0", user
        owned = run("find", str(root), "-xdev", "-user", user).split()
        assert owned == [f"{root}{config['WorkingDir']}"], owned
        others = ("-perm", "-o+w", "-not", "-perm", "-1000", "-not", "-type", "l", "-not", "-type", "c")
        writable = run("find", str(root), "-xdev", *others)
        assert writable == "", writable


def try_alone(root: Path, config: Mapping[str, Any]) -> None:
    with step("docker run -p 8080:8080 IMAGE"):
        with Container(root, config) as container:
            container.wait_ready()
            assert b"<!doctype html>" in get("http://127.0.0.1:8080/").lower()
            events = get("http://127.0.0.1:8080/api/chat/stream?prompt=from+the+image").decode()
            assert "event: done" in events, events
            container.execute(config["Healthcheck"]["Test"][1:])
            status, seconds = container.stop()
            assert status == 0, (status, container.output)
            tell(f"    SIGTERM to process 1: exit status {status} after {seconds:.1f} s")
        assert "OPENAI_API_KEY" in container.output, container.output
        tell(indented(container.output))
    environ = {"PORT": "9000", "OPENAI_API_KEY": "sk-none"}
    with step("docker run -e PORT=9000 -e OPENAI_API_KEY=... IMAGE"), Container(root, config, environ) as container:
        container.wait_ready("http://127.0.0.1:9000")
        providers = json.loads(get("http://127.0.0.1:9000/api/providers"))
        assert providers["default"] == "openai", providers
        container.execute(config["Healthcheck"]["Test"][1:])


def try_refusals(root: Path, config: Mapping[str, Any]) -> None:
    with step("what is wrong is one line, and the exit status 2"):
        for environ, names in (
            ({"STREAMSERVER_PROVIDER__DEFAULT": "openai"}, "OPENAI_API_KEY"),
            ({"STREAMSERVER_AUTH__ALLOW_ANONYMOUS": "false"}, "STREAMSERVER_KEYS"),
            ({"PORT": "http"}, "PORT"),
            ({"STREAMSERVER_LIMITS__MAX_TOKENS": "many"}, "STREAMSERVER_LIMITS__MAX_TOKENS"),
        ):
            with Container(root, config, environ) as container:
                assert container.process.wait(timeout=30) == 2
            errors = [line for line in container.output.splitlines() if line.startswith("streamserver:")]
            assert len(errors) == 1 and names in errors[0], container.output
            tell(f"    {errors[0]}")


def try_reload(root: Path, config: Mapping[str, Any]) -> None:
    (manifest,) = yaml.safe_load_all((ROOT / "deploy/kubernetes/config.yaml").read_text())
    text = manifest["data"]["config.toml"].replace("redis://streamserver-redis:6379/0", "memory")
    with step("a changed config map takes effect"), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        put_config_map(folder, text, "1")
        environ = {"STREAMSERVER_CONFIG": "/mnt/config.toml", "OPENAI_API_KEY": "sk-none", "STREAMSERVER_KEYS": "a:key"}
        with Container(root, config, environ, mounts={folder: "/mnt"}) as container:
            container.wait_ready()
            put_config_map(folder, text.replace('"openai"', '"echo"'), "2")
            began = time.monotonic()
            while json.loads(get("http://127.0.0.1:8080/api/providers", key="key"))["default"] != "echo":
                assert time.monotonic() - began < 10, container.output
                time.sleep(0.1)
        tell(f"    in force {time.monotonic() - began:.1f} s after the kubelet's change")


def put_config_map(folder: Path, text: str, generation: str) -> None:
    """Change a mounted config map as the kubelet does: by renaming a symbolic link to a new directory."""
    (folder / f"..{generation}").mkdir()
    (folder / f"..{generation}" / "config.toml").write_text(text)
    (folder / "..next").symlink_to(f"..{generation}")
    (folder / "..next").rename(folder / "..data")
    if not (folder / "config.toml").is_symlink():
        (folder / "config.toml").symlink_to("..data/config.toml")


def try_compose(root: Path, config: Mapping[str, Any], work: Path) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    attached = {name: service["networks"]["default"] for name, service in services.items() if "networks" in service}
    addresses = {name: network["ipv4_address"] for name, network in attached.items()}
    nodes = [name for name in services if name.startswith("node")]
    proxy = f"http://{addresses['nginx']}:{services['nginx']['ports'][0].rpartition(':')[2]}"
    join_network(addresses, nodes, work)
    with redis(services["redis"], addresses["redis"], work), nginx(services["nginx"], work) as start_nginx:
        environ = {name: value for name, value in services[nodes[0]]["environment"].items() if value is not None}
        # Each token takes 0.1 s: a stream of 50 outlasts what is done to its node.
        environ["STREAMSERVER_PROVIDERS__ECHO__DELAY_MS"] = "100"
        hosts = {work / "hosts": "/etc/hosts"}
        with (
            Container(root, config, environ, hosts, network=nodes[0]) as first,
            Container(root, config, environ, hosts, network=nodes[1]) as second,
        ):
            urls = [f"http://{addresses[name]}:8080" for name in nodes]
            first.wait_ready(urls[0])
            second.wait_ready(urls[1])
            log = start_nginx()
            wait_for(proxy + "/readyz")
            try_compose_streams(proxy, urls, services[nodes[0]], first)
            assert "a-secret-word" not in first.output + second.output + log.read_text()


def try_compose_streams(proxy: str, urls: Sequence[str], node: Mapping[str, Any], first: Container) -> None:
    prompt = "a-secret-word+" * 50
    with step("compose: a token passes nginx as soon as there is one"):
        began = time.monotonic()
        with urllib.request.urlopen(f"{proxy}/api/chat/stream?prompt={prompt}", timeout=60) as response:
            stream_id = response.headers["X-Stream-ID"]
            while not response.readline().startswith(b"data: a-secret"):
                pass
            first_token = time.monotonic() - began
            other = b"".join(get(f"{url}/api/chat/streams/{stream_id}") for url in urls)
            rest = response.read()
        assert rest.count(b"event: done") == 1 and other.count(b"event: done") == 2
        tell(f"    first token after {first_token:.2f} s, the last after {time.monotonic() - began:.1f} s")
        tell("    the same stream was read at both nodes")
    with step("compose: node1 is restarted while streams run"):
        url = f"{urls[0]}/api/chat/stream?prompt={prompt}"
        with ThreadPoolExecutor(6) as pool:
            readers = [pool.submit(get, url) for _ in range(5)]
            time.sleep(1)
            stopping = pool.submit(first.stop)
            time.sleep(0.5)
            for _ in range(4):
                assert b"event: done" in get(f"{proxy}/api/chat/stream?prompt=hello"), "the other node serves"
            status, seconds = stopping.result(timeout=60)
            ended = sum(reader.result(timeout=10).count(b"event: done") for reader in readers)
        grace = int(node["stop_grace_period"].removesuffix("s"))
        assert (status, ended) == (0, 5) and seconds < grace, (status, ended, seconds)
        tell(f"    {ended} of 5 streams ended with done; exit status 0 after {seconds:.1f} s of {grace} s")


def join_network(addresses: Mapping[str, str], nodes: Sequence[str], work: Path) -> None:
    """Lay the compose file's network: each node in a namespace of its own, nginx and Redis in this one."""
    for address in (addresses["nginx"], addresses["redis"]):
        run("ip", "address", "add", f"{address}/32", "dev", "lo")
    Path("/run/netns").mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")  # what ip(8) writes there is gone with this namespace
    for node in nodes:
        run("ip", "netns", "add", node)
        run("ip", "link", "add", f"to-{node}", "type", "veth", "peer", "name", "eth0", "netns", node)
        run("ip", "-n", node, "link", "set", "lo", "up")
        run("ip", "-n", node, "link", "set", "eth0", "up")
        run("ip", "-n", node, "address", "add", f"{addresses[node]}/24", "dev", "eth0")
        run("ip", "link", "set", f"to-{node}", "up")
        run("ip", "route", "add", addresses[node], "dev", f"to-{node}", "src", addresses["nginx"])
    (work / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{a} {name}\n" for name, a in addresses.items()))
    run("mount", "--bind", str(work / "hosts"), "/etc/hosts")


@contextmanager
def redis(service: Mapping[str, Any], address: str, work: Path) -> Iterator[None]:
    command = [*service["command"], "--bind", address, "--protected-mode", "no", "--dir", str(work)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        began = time.monotonic()
        while run("redis-cli", "-h", address, *service["healthcheck"]["test"][2:], check=False).strip() != "PONG":
            assert time.monotonic() - began < 10
            time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def nginx(service: Mapping[str, Any], work: Path) -> Iterator[Any]:
    """Yield a function that starts nginx with the mounted file, as the official image includes it."""
    mounted = ROOT / service["volumes"][0].partition(":")[0]
    log, main = work / "nginx.log", work / "nginx.conf"
    main.write_text(
        f"daemon off; pid {work}/nginx.pid; error_log stderr crit; events {{ worker_connections 1024; }}\n"
        f"http {{ include /etc/nginx/mime.types; sendfile on; keepalive_timeout 65; include {mounted}; }}\n"
    )
    processes = []

    def start() -> Path:
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        processes.append(subprocess.Popen([program, "-c", str(main)], stdout=log.open("w"), stderr=subprocess.STDOUT))
        return log

    try:
        yield start
    finally:
        for process in processes:
            process.send_signal(getattr(signal, service["stop_signal"]))
            process.wait(timeout=20)


class Container:
    """The image's entry point, run as Docker would run it: its user, its environment, its working directory, as
    process 1, with a read-only root, a ``/tmp`` in memory, no capabilities and no new privileges."""

    def __init__(
        self,
        root: Path,
        config: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        network: str | None = None,
    ) -> None:
        self._config = config
        self._network = () if network is None else ("ip", "netns", "exec", network)
        self._environ = {
            **dict(pair.split("=", 1) for pair in config["Env"]),
            **(environ or {}),
            "HOSTNAME": "container",
        }
        self._folder = Path(tempfile.mkdtemp(prefix="container-"))
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the object
        self._mount(root, mounts or {})

    def _mount(self, root: Path, mounts: Mapping[Path, str]) -> None:
        run("mount", "--bind", str(root), str(self._folder))
        run("mount", "-o", "remount,ro,bind", str(self._folder))
        run("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", f"{self._folder}/tmp")
        run("mount", "--bind", "/dev", f"{self._folder}/dev")
        for source, target in mounts.items():
            run("mount", "-o", "bind,ro", str(source), f"{self._folder}{target}")

    def __enter__(self) -> Container:
        self.process = self._start([*self._network, "unshare", "--pid", "--fork"], self._config["Entrypoint"])
        return self

    def _start(self, prefix: Sequence[str], command: Sequence[str]) -> subprocess.Popen[bytes]:
        user, _, group = self._config["User"].partition(":")
        privileges = (f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", "--bounding-set=-all")
        enter = ("chroot", str(self._folder), "setpriv", *privileges, "env", "-C", self._config["WorkingDir"])
        return subprocess.Popen(
            [*prefix, *enter, *command], env=self._environ, stdout=self._output, stderr=self._output
        )

    def execute(self, command: Sequence[str]) -> None:
        """Run ``command`` in the container, as the health check is run."""
        assert command[0] != "CMD-SHELL"
        assert self._start([], command).wait(timeout=20) == 0, self.output

    def wait_ready(self, url: str = "http://127.0.0.1:8080") -> None:
        wait_for(url + "/readyz", self)

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM to process 1; return its exit status, and how long that took."""
        began = time.monotonic()
        self._signal(signal.SIGTERM)
        return self.process.wait(timeout=60), time.monotonic() - began

    def _signal(self, number: signal.Signals) -> None:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        os.kill(int(children[0]), number)

    @property
    def output(self) -> str:
        return os.pread(self._output.fileno(), 2**20, 0).decode()

    def __exit__(self, *exc_info: object) -> None:
        if self.process.poll() is None:
            self._signal(signal.SIGKILL)
            self.process.wait()
        run("umount", "--recursive", "--lazy", str(self._folder))
        self._folder.rmdir()


# Helpers


def get(url: str, key: str | None = None) -> bytes:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as response:
        body: bytes = response.read()
        return body


def wait_for(url: str, container: Container | None = None) -> None:
    began = time.monotonic()
    while True:
        try:
            get(url)
        except (urllib.error.URLError, OSError):
            assert time.monotonic() - began < 60, container and container.output
            assert container is None or container.process.poll() is None, container.output
            time.sleep(0.1)
        else:
            return


def run(*command: str, check: bool = True, timeout: float = 120) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return done.stdout


@contextmanager
def step(title: str) -> Iterator[None]:
    tell(f"== {title}")
    began = time.monotonic()
    yield
    tell(f"   {time.monotonic() - began:.1f} s")


def indented(text: str) -> str:
    return "".join(f"    | {line}\n" for line in text.splitlines()).rstrip()


def tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
