"""The table of clients says what the tests show."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.clients import test_contract, test_llm
from tests.clients.ai_sdk import test_use_chat
from tests.clients.client import OtherClient, node_version
from tests.clients.clients import CLIENTS, USE_CHAT
from tests.clients.table import HEADING, PAGE, FeatureResult, beginning, features_of, page_rows, row, rows_of, with_rows

FIRST, SECOND = CLIENTS[0], CLIENTS[1]
ALL = tuple(features_of(FIRST))


@pytest.mark.parametrize("client", [*CLIENTS, USE_CHAT], ids=str)
def test_page_says_of_each_version_of_a_client_what_the_tests_show(client: OtherClient) -> None:
    rows = {
        version: line
        for line in page_rows(PAGE.read_text("utf-8"))
        if line.startswith(beginning(client, version := line.split(" | ")[2]))
    }
    assert rows, "scripts/clients writes the table"
    assert rows == {version: row(client, version) for version in rows}
    # Node packages are installed in exactly one version. Of those from PyPI a newer one may have come out since.
    assert client.language == "python" or node_version(client.package) in rows, "scripts/clients writes the table"
    assert (PAGE.parent / client.page).exists()


def test_page_has_no_other_rows() -> None:
    known = {beginning(client, "V") for client in (*CLIENTS, USE_CHAT)}
    for line in page_rows(PAGE.read_text("utf-8")):
        assert line.replace(f"| {line.split(' | ')[2]} |", "| V |", 1).startswith(tuple(known)), line


def features_in(*modules: ModuleType) -> set[str]:
    tests = (test for module in modules for test in vars(module).values())
    return {name for test in tests for name in getattr(test, "features", ())}


def test_every_feature_that_a_client_has_is_tested() -> None:
    for client in CLIENTS:
        assert features_in(test_contract, *([test_llm] if client.package == "llm" else [])) >= features_of(client)
    assert features_in(test_use_chat) == features_of(USE_CHAT)


def test_version_has_a_row_only_if_all_its_tests_passed_and_showed_every_feature() -> None:
    outcomes = [
        FeatureResult(str(FIRST), "1", ALL[:3], True),
        FeatureResult(str(FIRST), "1", ALL[3:], True),
        FeatureResult(str(FIRST), "2", ALL, True),
        FeatureResult(str(FIRST), "2", ALL[:1], False),
        FeatureResult(str(SECOND), "1", ALL[1:], True),
    ]
    assert rows_of(outcomes) == [row(FIRST, "1")]


def test_table_is_replaced_and_the_rest_of_the_page_stays() -> None:
    page = with_rows(f"# Page\n\n{HEADING}| old |\n\nEnd.\n", [row(FIRST, "1"), row(SECOND, "1")])
    assert page == f"# Page\n\n{HEADING}{row(FIRST, '1')}\n{row(SECOND, '1')}\n\nEnd.\n"
    assert with_rows(f"{HEADING}| old |\n", []) == HEADING
