"""The commands and flags of ``streamserver``."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import msgspec
import pytest

from providers.registry import load_registry
from streamserver import __version__
from streamserver.arguments import build_parser
from streamserver.cli import main
from streamserver.commands.providers import show_providers
from streamserver.config import load
from streamserver.config.settings import Settings
from tests.docs.test_examples import full_help
from tests.support.server import clean_environ


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, without the settings and keys of the developer."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ.keys() - clean_environ().keys():
        monkeypatch.delenv(name)


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        status = main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_help_mentions_every_flag_and_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run("--help", capsys=capsys)
    assert status == 0
    for action in build_parser()._actions:
        assert all(option in out for option in action.option_strings)
        assert action.help or action.choices
        for name in action.choices or ():
            assert name in out
    assert "--config" in full_help()


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version", capsys=capsys) == (0, f"streamserver {__version__}\n", "")


def test_check_prints_the_effective_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMSERVER_LIMITS__MAX_TOKENS", "7")
    (tmp_path / "my.toml").write_text('[log]\nformat = "json"\n[providers.a-b]\nkind = "echo"\ndelay_ms = 0.5\n')
    arguments = ("check", "--config", "my.toml", "--port", "1", "--provider", "a-b")
    status, out, err = run(*arguments, capsys=capsys)
    assert (status, err) == (0, "")
    (tmp_path / "printed.toml").write_text(out)
    in_force = load("printed.toml", registry=load_registry([]), environ={}).settings
    assert (in_force.limits.max_tokens, in_force.log.format, in_force.server.port) == (7, "json", 1)
    overrides = {"server.port": 1, "provider.default": "a-b"}
    assert in_force == load("my.toml", registry=load_registry([]), overrides=overrides).settings


def test_check_prints_the_defaults_when_nothing_is_configured(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run("check", capsys=capsys)
    assert status == 0
    assert "built-in defaults" in out
    assert msgspec.convert(tomllib.loads(out), Settings) == Settings()


def test_check_prints_the_table_of_a_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.toml").write_text("[auth.users.anna]\nmax_tokens = 5\n")
    status, out, _ = run("check", capsys=capsys)
    assert status == 0
    assert tomllib.loads(out)["auth"]["users"] == {"anna": {"max_tokens": 5}}


def test_check_prints_no_secret(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSERVER_KEYS", "anna:sk-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("STREAMSERVER_RESUME__STORE", "redis://anna:sk-secret@h:6379/0")
    monkeypatch.setenv("STREAMSERVER_PROVIDERS__OPENAI__BASE_URL", "http://:sk-secret@h/v1")
    status, out, err = run("check", capsys=capsys)
    assert (status, err) == (0, "")
    assert "secret" not in out
    assert "redis://anna:***@h:6379/0" in out
    assert "API keys: anna" in out


@pytest.mark.parametrize(
    "address",
    [
        "redis://:sk@secret@h:6379/0",
        "redis://h:6379/0?password=secret&db=1",
        "unix://:secret@/run/redis.sock?db=2",
        "unix:///run/redis.sock?db=2&password=secret",
        "unix://:sk/secret@/run/redis.sock",
        "unix://run/redis.sock?password=secret",
    ],
)
def test_check_prints_no_password_of_a_store(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("STREAMSERVER_RESUME__STORE", address)
    status, out, err = run("check", capsys=capsys)
    assert status == (0 if address.startswith(("redis://", "unix://:secret@/", "unix:///")) else 2)
    assert "secret" not in out + err and "***" in out + err


def test_check_masks_extra_parameters_of_a_provider_that_are_named_like_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text(
        '[providers.openai]\nkind = "openai"\nmodel = "m"\napi_key_env = "OPENAI_API_KEY"\n[providers.openai.extra]\n'
        'api_key = "s3cr3t"\nAPI-KEY = "s3cr3t"\nkeys = ["s3cr3t"]\nseed = 7\n'
        'headers = { Authorization = "Bearer s3cr3t", x-auth-token = "s3cr3t" }\n'
        'db = { password = { is = "s3cr3t" }, name = "kept" }\n'
    )
    status, out, err = run("check", capsys=capsys)
    assert (status, err) == (0, "")
    assert "s3cr3t" not in out
    table = tomllib.loads(out)["providers"]["openai"]
    assert table["api_key_env"] == "OPENAI_API_KEY", "the name of a variable is no secret"
    assert (table["extra"]["seed"], table["extra"]["db"]["name"]) == (7, "kept")


BROKEN = [
    ("[server]\nprot = 1", (), "server.prot"),
    ("[server", (), "is not TOML"),
    ("", ("--port", "70000"), "command line: server.port = 70000"),
    ("", ("--provider", "unknown"), "command line: provider.default = 'unknown'"),
    ("", ("--host", ""), "command line: server.host"),
    ('[server]\nhost = "0.0.0.0"', (), "without API keys it listens on loopback only"),
    ('[server]\nhost = "no.such.host.invalid"', (), "streamserver: "),
]


@pytest.mark.parametrize(("text", "arguments", "said"), BROKEN)
def test_invalid_configuration_exits_with_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "config.toml").write_text(text)
    status, out, err = run(*arguments, capsys=capsys)
    assert (status, out) == (2, "")
    assert err.startswith("streamserver: ")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize("keys", ["sk-secret", "anna:sk-secret,anna:b", ":sk-secret"])
def test_malformed_keys_exit_with_one_line_that_does_not_quote_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, keys: str
) -> None:
    monkeypatch.setenv("STREAMSERVER_KEYS", keys)
    status, out, err = run(command, capsys=capsys)
    assert status == 2
    assert err.startswith("streamserver: STREAMSERVER_KEYS: entry ")
    assert len(err.splitlines()) == 1
    assert "secret" not in out + err


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("STREAMSERVER_SERVER__HOST", "0.0.0.0", "without API keys it listens on loopback only, and server.host is"),
        ("STREAMSERVER_RESUME__STORE", "redis://h:none/0", "STREAMSERVER_RESUME__STORE: resume.store: is no address"),
        ("STREAMSERVER_RESUME__STORE", "redis://h:1/two", "STREAMSERVER_RESUME__STORE: resume.store: is no address"),
        ("STREAMSERVER_RESUME__STORE", "redis://h:1/0?a=b", "STREAMSERVER_RESUME__STORE: resume.store: is no address"),
        ("STREAMSERVER_AUTH__KEYS_FILE", "nowhere", "nowhere: cannot be read"),
    ],
)
def test_check_reports_the_errors_of_a_start_in_the_same_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    checked = run("check", capsys=capsys)
    assert checked == run("--port", "0", capsys=capsys)
    assert checked[:2] == (2, "")
    assert checked[2].startswith(f"streamserver: {said}")


def test_check_prints_the_warnings_of_a_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.toml").write_text("[auth.users.anna]\nmax_tokens = 5\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    no_effect = "# warning: [auth.users.anna] has no effect: no key has that name\n"
    _, out, _ = run("check", capsys=capsys)
    assert out.endswith(no_effect) and "# warning: there are no API keys" in out
    monkeypatch.setenv("STREAMSERVER_KEYS", "ann:a,ben:b")
    assert run("check", capsys=capsys)[1].endswith(f"# API keys: ann, ben\n{no_effect}")
    monkeypatch.setenv("STREAMSERVER_KEYS", "anna:a")
    assert "warning" not in run("check", capsys=capsys)[1]


@pytest.mark.parametrize("arguments", [("--no-such-flag",), ("no-such-command",), ("--port", "http")])
def test_invalid_command_line_exits_with_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    status, out, err = run(*arguments, capsys=capsys)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("streamserver")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--prvider", "echo"), "there is no flag --prvider; did you mean --provider?"),
        (("--port=0", "--prvider", "echo"), "there is no flag --prvider; did you mean --provider?"),
        (("--verbose", "check"), "unrecognized arguments: --verbose"),
        (("providers", "--prob"), "unrecognized arguments: --prob"),
        (("chekc",), "invalid choice: 'chekc'"),
        (("--port", "1", "chekc"), "invalid choice: 'chekc'"),
    ],
)
def test_mistyped_flag_is_told_from_a_mistyped_command(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    status, out, err = run(*arguments, capsys=capsys)
    assert (status, out) == (2, "")
    assert says in err and len(err.splitlines()) == 1


def test_flags_are_accepted_before_and_after_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("--port", "1", "check"), ("check", "--port", "1")):
        assert "port = 1\n" in run(*arguments, capsys=capsys)[1]


@pytest.mark.parametrize(
    "program", [("-m", "streamserver"), ("-c", "import sys, streamserver.cli as c; sys.exit(c.main())")]
)
def test_module_runs_as_a_program(tmp_path: Path, program: tuple[str, ...]) -> None:
    (tmp_path / "config.toml").write_text("[server]\nport = -1\n")
    command = (sys.executable, *program, "check")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean_environ(), check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "streamserver: config.toml: server.port = -1: expected a port, 0 to 65535 (0: any free one)\n"


@pytest.mark.parametrize("shape", ["package", "module"])
def test_import_conflict_exits_with_one_line_that_names_the_other_package(tmp_path: Path, shape: str) -> None:
    other = tmp_path / ("providers/__init__.py" if shape == "package" else "providers.py")
    other.parent.mkdir(exist_ok=True)
    other.write_text("")
    program = (sys.executable, "-m", "streamserver", "check")
    done = subprocess.run(
        program, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=clean_environ(), check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"streamserver: {other} hides ")
    assert len(done.stderr.splitlines()) == 1
    done = subprocess.run(
        (sys.executable, "-c", "import streamserver; streamserver.create_app"),
        cwd=tmp_path, capture_output=True, text=True, timeout=60, env=clean_environ(), check=False,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1].startswith(f"ImportError: {other} hides "), "an application can catch it"


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("serve", "--help")])
def test_help_does_not_import_the_server(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    program = """
import atexit, sys
atexit.register(lambda: print(*sorted({"aiohttp", "asyncio", "providers"} & sys.modules.keys()), file=sys.stderr))
from streamserver.__main__ import run
sys.exit(run())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, env=clean_environ(), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "\n")


def test_garbage_collection_runs_while_serving_and_not_while_starting(tmp_path: Path) -> None:
    program = """
import gc, os, signal, sys
from streamserver.cli import main
states = []
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "streamserver.app":
            states.append(gc.isenabled())
sys.meta_path.insert(0, Watch())
def announce(*arguments):
    states.append(gc.isenabled())
    os.kill(os.getpid(), signal.SIGTERM)
def patch():
    import streamserver.commands.serve
    streamserver.commands.serve._announce = announce
import streamserver.commands
gc_disable = gc.disable
def disable():
    gc_disable()
    patch()
gc.disable = disable
status = main(["--provider", "echo", "--port", "0"])
print(states, gc.isenabled())
sys.exit(status)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, env=clean_environ(), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[False, True] True"]), done.stderr


def test_closed_output_pipe_prints_no_traceback(tmp_path: Path) -> None:
    command = f"{sys.executable} -m streamserver check | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=clean_environ(), capture_output=True, text=True)
    assert done.returncode in (0, 1), "however much of it was written"
    assert done.stderr == ""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "streamserver", "check"],
            cwd=tmp_path, env=clean_environ(), stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")


def test_full_disk_is_not_treated_as_a_closed_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("streamserver.commands.serve.run_server", full)
    with pytest.raises(OSError, match="No space left"):
        main(["--provider", "echo"])


def without_temporary_files(*arguments: str) -> tuple[str, ...]:
    """Run the program where no folder for temporary files can be made."""
    program = "import sys, tempfile; tempfile.tempdir = '/no/such'; from streamserver.cli import main; sys.exit(main())"
    return (sys.executable, "-c", program, "--provider", "echo", "--port", "0", *arguments)


def test_one_process_starts_without_a_folder_for_temporary_files(tmp_path: Path) -> None:
    with subprocess.Popen(
        without_temporary_files(), cwd=tmp_path, env=clean_environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None and b"serves on" in process.stdout.readline()
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_several_workers_exit_with_one_line_without_a_folder_for_temporary_files(tmp_path: Path) -> None:
    several = {"STREAMSERVER_SERVER__WORKERS": "2", "STREAMSERVER_RESUME__STORE": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        without_temporary_files(), cwd=tmp_path, env={**clean_environ(), **several}, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "streamserver: several workers need a folder for temporary files, and none can be made: "
        "No such file or directory\n"
    )


def test_help_is_printed_when_the_terminal_is_ascii(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamserver", "--help"],
        cwd=tmp_path, env={**clean_environ(), "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert "usage: streamserver" in done.stdout


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "malformed_response.invalid"])
def test_invalid_host_exits_with_one_line(tmp_path: Path, host: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamserver", "--provider", "echo", "--port", "0", "--host", host],
        cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "there is no host" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("closed", [">&- ", "<&- >&- 2>&- ", ">/dev/full "])
def test_server_runs_without_standard_streams(tmp_path: Path, closed: str, unused_tcp_port: int) -> None:
    command = f"exec {sys.executable} -m streamserver --provider echo --port {unused_tcp_port} {closed}"
    with subprocess.Popen(["bash", "-c", command], cwd=tmp_path, env=clean_environ()) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", unused_tcp_port)) as asking:
                    asking.sendall(b"GET /api/chat/stream?prompt=a HTTP/1.0\r\n\r\n")
                    answer = b""
                    while more := asking.recv(4096):
                        answer += more
                    assert b"event: done" in answer
                    break
                time.sleep(0.05)
            else:
                pytest.fail("it does not serve")
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_help_names_every_command_and_the_signals_and_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for word in (
        "check",
        "schema",
        "providers",
        "keys",
        "load",
        "SIGTERM",
        "SIGHUP",
        "exit status",
        ".env",
        "NO_COLOR",
    ):
        assert word in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_tables_have_no_colours_when_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    class PseudoTerminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    for value, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", value)
        out = PseudoTerminal()
        registry = load_registry([])
        settings = load(None, registry=registry, environ={}).settings
        show_providers(settings, registry, probe=False, environ={}, out=out)
        assert ("\x1b[31m" in out.getvalue()) is coloured
