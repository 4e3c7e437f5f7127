"""The check of the documentation's site finds links that lead nowhere, and what other hosts would serve."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/build_site.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_site", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<a href="../other/">there</a>', None),
        ('<a href="../other/#part">there</a>', None),
        ('<a href="#here">here</a><p id="here">', None),
        ('<a href="https://example.com/x">elsewhere</a>', None),
        ('<img src="data:image/png;base64,AA=="><img src="../a.svg">', None),
        ('<a href="../nowhere/">nowhere</a>', "../nowhere/ leads nowhere"),
        ('<a href="../../outside">outside</a>', "../../outside leads nowhere"),
        ('<a href="../other/#no">no part</a>', "../other/#no has no such heading"),
        ('<script src="https://cdn.example.com/x.js"></script>', "loads https://cdn.example.com/x.js"),
        ('<img src="//example.com/x.png">', "loads //example.com/x.png"),
        ('<link rel="stylesheet" href="https://fonts.example.com/css">', "loads https://fonts.example.com/css"),
        ('<link rel="dns-prefetch" href="//fonts.example.com">', "loads //fonts.example.com"),
        ("<style>p{background:url('https://example.com/p.png')}</style>", "loads https://example.com/p.png"),
    ],
)
def test_faults_names_what_is_wrong_with_a_page(
    script: ModuleType, tmp_path: Path, html: str, fault: str | None
) -> None:
    for name, text in (("page", html), ("other", '<h2 id="part">Part</h2>')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(text)
    (tmp_path / "a.svg").write_text("<svg/>")
    assert list(script.faults(tmp_path / "page/index.html", tmp_path)) == ([] if fault is None else [fault])


def test_summary_is_the_first_paragraph(script: ModuleType) -> None:
    text = "# Title\n\n```sh\nx\n```\n\n| a |\n|---|\n\nThe first\nparagraph.\n\nThe second."
    assert script.summary(text) == "The first paragraph."
    assert script.summary("# Title") == ""
