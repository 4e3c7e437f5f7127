"""The files of deploy/, compose.yaml and the Dockerfile: valid, and consistent with the server and with each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from providers.registry import load_registry
from streamserver import __version__
from streamserver.config import Settings, load
from streamserver.config.load import settings
from streamserver.container import KEY_VARIABLES
from streamserver.core.error_codes import FAILURES
from streamserver.telemetry.metrics import METRICS
from streamserver.wire.problem import STATUS
from streamserver.workers import LATE_SECONDS
from tests.docs.test_examples import wrong_keys

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
SERVICES: Mapping[str, Any] = COMPOSE["services"]
NODES = {name: service for name, service in SERVICES.items() if name.startswith("node")}
NGINX = (DEPLOY / "nginx/streamserver.conf").read_text("utf-8")
UNIT = (DEPLOY / "streamserver.service").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
DEFAULTS = Settings()
MARGIN_SECONDS = DEFAULTS.resume.ending_wait_seconds + LATE_SECONDS
"""How much longer a supervisor waits than the server drains: for stalled readers, and for a store that is away."""


def manifests(kind: str) -> Iterator[Any]:
    for path in KUBERNETES:
        yield from (each for each in yaml.safe_load_all(path.read_text("utf-8")) if each["kind"] == kind)


def deployment() -> Any:
    return next(each for each in manifests("Deployment") if each["metadata"]["name"] == "streamserver")


def container_of(manifest: Any) -> Any:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    return container


def succeeds(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def beside_python(name: str) -> str:
    """Return the path of a program that a test dependency brings."""
    spec = find_spec("yaml")
    assert spec is not None and spec.origin is not None
    folders = (Path(sys.executable).parent, Path(spec.origin).parents[4] / "bin")
    return next(str(folder / name) for folder in folders if (folder / name).exists())


# Validity


def test_compose_file_follows_the_compose_specification() -> None:
    succeeds(beside_python("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml")


def test_kubernetes_manifests_follow_the_api() -> None:
    assert KUBERNETES
    out = succeeds(beside_python("kubernetes-validate"), "--strict", *KUBERNETES)
    assert out.count(" passed ") == len([each for path in KUBERNETES for each in yaml.safe_load_all(path.read_text())])


def test_dockerfile_passes_its_linter() -> None:
    succeeds(beside_python("hadolint"), ROOT / "Dockerfile")


def test_systemd_accepts_the_unit_and_calls_it_hardened(tmp_path: Path, find_program: Callable[[str], str]) -> None:
    analyze = find_program("systemd-analyze")
    installed = tmp_path / "streamserver.service"
    installed.write_text(UNIT.replace("/opt/streamserver/bin/streamserver", "/bin/true"))
    assert succeeds(analyze, "verify", installed) == ""
    # 0 is closed, 10 is open; what is left is the network, which a server needs.
    succeeds(analyze, "security", "--offline=yes", "--threshold=20", installed)


def test_documented_steps_make_every_file_that_the_unit_reads() -> None:
    page = (ROOT / "docs/deployment.md").read_text("utf-8")
    steps = re.search(r"^## systemd\n+```console\n(.*?)^# systemctl enable", page, re.MULTILINE | re.DOTALL)
    assert steps is not None
    settings = re.sub(r"^#.*\n", "", UNIT, flags=re.MULTILINE)
    files = set(re.findall(r"/etc/streamserver/[\w.]+", settings))
    assert files and files <= set(re.findall(r"/etc/streamserver/[\w.]+", steps[1]))


def test_prometheus_accepts_the_configuration_and_the_alerts_fire_when_they_should(
    find_program: Callable[[str], str],
) -> None:
    promtool = find_program("promtool")
    succeeds(promtool, "check", "config", DEPLOY / "prometheus/prometheus.yml")
    succeeds(promtool, "check", "rules", "--lint-fatal", DEPLOY / "prometheus/alerts.yml")
    succeeds(promtool, "test", "rules", DEPLOY / "prometheus/alerts_test.yml")


def test_alerts_ask_for_metrics_and_codes_that_exist() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
    metrics = {metric.full_name for metric in METRICS} | {f"{metric.full_name}_bucket" for metric in METRICS}
    for rule in rules:
        names = re.findall(r"(?<!=\")\bstreamserver_\w+", rule["expr"].replace("(streams|refusals)", "streams"))
        assert set(names) <= metrics, rule["alert"]
        codes = {code for value in re.findall(r'code=~?"([^"]+)"', rule["expr"]) for code in value.split("|")}
        assert codes <= {*FAILURES, *STATUS}, rule["alert"]


# Consistency with the server


@pytest.mark.parametrize(
    "path",
    [ROOT / "Dockerfile", ROOT / "compose.yaml", ROOT / "Procfile", *sorted(DEPLOY.rglob("*.*"))],
    ids=lambda p: p.name,
)
def test_every_variable_is_a_setting(path: Path) -> None:
    text = path.read_text("utf-8")
    assert list(wrong_keys(text)) == []
    assert set(re.findall(r"\bSTREAMSERVER_[A-Z_]+\b", text)) >= set(re.findall(r"\bSTREAMSERVER_\w+__\w+", text))


def test_config_map_is_a_configuration_that_reloads(tmp_path: Path) -> None:
    (config_map,) = manifests("ConfigMap")
    (tmp_path / "config.toml").write_text(config_map["data"]["config.toml"])
    loaded = load(str(tmp_path / "config.toml"), registry=load_registry(), environ={})
    assert loaded.settings.server.reload
    store = loaded.settings.resume.store
    assert next(each["metadata"]["name"] for each in manifests("Service")) in store
    mounts = {mount["name"]: mount for mount in container_of(deployment())["volumeMounts"]}
    assert "subPath" not in mounts["config"], "a subPath is never updated"
    (variable,) = container_of(deployment())["env"]
    assert variable["value"] == mounts["config"]["mountPath"] + "/config.toml"


def test_secrets_are_names_that_the_server_reads() -> None:
    (secret,) = manifests("Secret")
    assert set(secret["stringData"]) <= {*KEY_VARIABLES.values(), DEFAULTS.auth.keys_env}
    assert set(KEY_VARIABLES) <= set(DEFAULTS.providers)
    for name, variable in KEY_VARIABLES.items():
        assert DEFAULTS.providers[name]["api_key_env"] == variable
    empty = {name for name, value in next(iter(NODES.values()))["environment"].items() if value is None}
    assert empty == {*KEY_VARIABLES.values(), DEFAULTS.auth.keys_env}


def test_nodes_of_the_compose_file_have_valid_settings() -> None:
    for node in NODES.values():
        environ = {name: value for name, value in node["environment"].items() if value is not None}
        loaded = load(None, registry=load_registry(), environ=environ)
        assert loaded.settings.resume.store == "redis://redis:6379/0"
        assert loaded.settings.server.trusted_proxies == (address("nginx"),)


# Time to drain


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_supervisors_wait_longer_than_the_server_drains() -> None:
    needed = DEFAULTS.server.drain_seconds + MARGIN_SECONDS
    for node in NODES.values():
        assert seconds(node["stop_grace_period"]) >= needed
    assert seconds(SERVICES["nginx"]["stop_grace_period"]) >= needed
    stop = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert stop is not None and int(stop[1]) >= needed
    pre_stop = int(container_of(deployment())["lifecycle"]["preStop"]["exec"]["command"][1])
    assert deployment()["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= needed + pre_stop


# Consistency with each other


def address(service: str) -> str:
    found: str = SERVICES[service]["networks"]["default"]["ipv4_address"]
    return found


def test_nginx_forwards_to_the_nodes_and_waits_longer_than_a_silence() -> None:
    assert re.findall(r"^\s+server (\w+):8080", NGINX, re.MULTILINE) == list(NODES)
    assert f"listen {SERVICES['nginx']['ports'][0].rpartition(':')[2]};" in NGINX
    read_timeout = re.search(r"proxy_read_timeout (\d+)s", NGINX)
    assert read_timeout is not None and int(read_timeout[1]) > DEFAULTS.server.keepalive_seconds
    assert DEFAULTS.limits.max_body_bytes == 1024 * 1024 and "client_max_body_size 1m;" in NGINX


def test_nginx_never_sends_a_request_again_that_a_node_has_read() -> None:
    directive = re.search(r"^\s*proxy_next_upstream ([^;]*);", NGINX, re.MULTILINE)
    assert directive is not None and directive[1].split() == ["error", "http_503"]


def test_documented_nginx_and_the_shipped_one_say_the_same() -> None:
    documented = re.search(r"```nginx\n(.*?)```", (ROOT / "docs/proxies.md").read_text("utf-8"), re.DOTALL)
    assert documented is not None
    for directive in ("log_format", "proxy_http_version", "proxy_buffering", "gzip", "large_client_header_buffers"):
        (there,) = re.findall(rf"^\s*{directive} +([^;]*);", documented[1], re.MULTILINE)
        (here,) = re.findall(rf"^\s*{directive} +([^;]*);", NGINX, re.MULTILINE)
        assert there == here


def test_mounted_files_exist_and_targets_are_services() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            assert (ROOT / volume.split(":")[0]).is_file(), volume
    (scrape,) = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))["scrape_configs"]
    assert scrape["static_configs"][0]["targets"] == [f"{name}:8080" for name in NODES]
    dashboard = json.loads((ROOT / "docs/grafana.json").read_text("utf-8"))
    assert dashboard["uid"], "provisioning keeps the dashboard's address"


def test_nodes_are_locked_down() -> None:
    for node in NODES.values():
        assert node["read_only"] and node["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in node["security_opt"]
    for manifest in manifests("Deployment"):
        context = container_of(manifest)["securityContext"]
        assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert manifest["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]


def test_kubernetes_runs_the_user_and_the_version_of_the_image() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    assert user is not None
    context = deployment()["spec"]["template"]["spec"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user[1]), int(user[2]))
    assert container_of(deployment())["image"] == f"llm-streamserver:{__version__}"


def test_entry_point_and_health_check_are_in_exec_form() -> None:
    for instruction in ("ENTRYPOINT", "CMD"):
        (arguments,) = re.findall(rf"^\s*{instruction} (.*)$", DOCKERFILE, re.MULTILINE)
        assert isinstance(json.loads(arguments), list)


def test_build_context_has_what_is_copied_and_built_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert lines[1] == "*"
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    wheel = re.search(r'^packages = \["(.*?)", "(.*?)"\]', pyproject, re.MULTILINE)
    assert wheel is not None
    needed = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "config.toml",
        "web",
        "scripts/package_metadata.py",
        *wheel.groups(),
    }
    copied = {source for source in re.findall(r"^COPY (?!--from)(\S+)", DOCKERFILE, re.MULTILINE) if source != "."}
    assert needed <= kept
    assert all(any(source.startswith(folder) for folder in kept) for source in copied)
    assert all((ROOT / name).exists() for name in kept)


def test_procfile_starts_the_server_at_the_port_of_the_platform() -> None:
    process, _, command = (ROOT / "Procfile").read_text("utf-8").strip().partition(": ")
    assert (process, command) == ("web", "streamserver --host 0.0.0.0 --port $PORT")


def test_units_descriptors_are_enough_for_the_default_number_of_streams() -> None:
    limit = re.search(r"^LimitNOFILE=(\d+)$", UNIT, re.MULTILINE)
    assert limit is not None and int(limit[1]) > 2 * settings({}).limits.max_streams
