"""The rules of the code's language: names with one meaning, docstrings in the imperative, tests named by behaviour."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("providers", "streamserver", "benchmarks", "tests")

VERBS = """
abandon abort accept acquire add admit advance advise align allocate allow answer append apply ask assert
assign attach await begin bind block bound break buffer build bundle cache call cancel change charge check
clear close collapse collect compare compile compute configure connect consume continue convert copy count
create cut decide declare decode decrease define delay delete deliver derive describe detect disable discard
disconnect dispatch do drain draw drop emit empty enable encode end enforce ensure enter estimate evict
execute exit expire explain expose extend extract fail feed fence fetch fill filter find finish fix flush
follow force forget format forward free freeze gather generate get give go group grow guard handle have hold
import increase index inform initialize insert inspect install interrupt invoke join keep kill launch learn
leave let limit link list listen load locate lock log look lose make map mark match measure merge migrate
monitor mount move name normalize note notify observe offer open order pack parse pass patch pause perform
pick place plan poll pop post prefer prepare press prevent print probe process promise propose protect provide
publish push put query quote raise reach read rebuild receive recompute reconnect record redirect reduce
refresh refuse register reject relay release reload remove rename render renew repeat replace replay replicate
reply report request require reserve reset resolve respond restart restore resume retain retrieve retry return
reverse rewrite round run save say scan schedule scrape seal search see select send separate serve set shorten
show shut sign simulate skip sleep sort split start stop store stream strip submit subscribe substitute
subtract sum summarize suspend swap switch take tell test touch track transfer translate truncate try turn
uncount undo unlock unpack update use validate verify visit wait wake walk warn watch wrap write yield
"""
"""The verbs that begin the docstring of a function. A new one may be added; a noun may not."""

SHARED_CLASSES = frozenset({"Broken", "PlugInOptions", "Reading", "Scripted", "Seen", "Task"})
"""Classes of tests that mean the same in several modules."""

SHARED_CONSTANTS = frozenset({"T", "NAME", "PATH", "BASE_URL", "SCHEMAS"})
"""Constants of each protocol's or wire's module, which mean the same in each."""

WORDS_OF_NO_SUBJECT = re.compile(r"^test_(?:it|there|they|who|whoever|whatever)_|_(?:who|whose|nobody|somebody)(?:_|$)")


class Definitions(NamedTuple):
    """What a module defines: its classes and constants, its functions, and those with a docstring without a verb."""

    classes: frozenset[str]
    constants: frozenset[str]
    functions: tuple[str, ...]
    without_verb: tuple[str, ...]


Modules: TypeAlias = Mapping[str, Definitions]


def definitions(source: str) -> Definitions:
    """Return what a module defines."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return Definitions(
        frozenset(node.name for node in nodes if isinstance(node, ast.ClassDef)),
        frozenset(_constants(tree)),
        tuple(function.name for function in functions),
        tuple(function.name for function in functions if not has_verb(function)),
    )


def has_verb(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether the docstring begins with a verb, or is that of an attribute, of parameters, or of a test."""
    decorators = {ast.unparse(decorator) for decorator in function.decorator_list}
    is_value = any(name.endswith(("property", ".setter")) for name in decorators)
    docstring = ast.get_docstring(function)
    if not docstring or is_value or function.name == "__init__" or function.name.startswith("test_"):
        return True
    word = docstring.split()[0].rstrip(",.:;")
    return word.istitle() and word.lower() in VERBS.split()


def _constants(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module assigns at its top level, private ones in small letters (aliases) excepted."""
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names = (target.id for target in targets if isinstance(target, ast.Name))
        yield from (name for name in names if name.isupper() or not name.startswith("_"))


def defined_twice(names: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """Return the names that several modules define, and these modules."""
    modules = defaultdict(list)
    for module, defined in names.items():
        for name in defined:
            modules[name].append(module)
    return {name: sorted(found) for name, found in modules.items() if len(found) > 1}


@pytest.fixture(scope="module")
def modules() -> Modules:
    """Return what each module of the repository defines."""
    paths = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {
        str(path.relative_to(ROOT)): definitions(path.read_text("utf-8"))
        for path in paths
        if "node_modules" not in path.parts
    }


@pytest.fixture
def shared_classes(modules: Modules) -> dict[str, list[str]]:
    """Return the names of classes that several modules define."""
    return defined_twice({name: module.classes for name, module in modules.items()})


@pytest.fixture
def shared_constants(modules: Modules) -> dict[str, list[str]]:
    """Return the names of constants that several modules define, tests excepted."""
    return defined_twice({name: each.constants for name, each in modules.items() if not name.startswith("tests/")})


def test_docstring_of_a_function_begins_with_a_verb(modules: Modules) -> None:
    found = {name: module.without_verb for name, module in modules.items() if module.without_verb}
    assert found == {}, "begin with a verb in the imperative (PEP 257)"


def test_class_has_a_name_of_its_own(shared_classes: dict[str, list[str]]) -> None:
    assert {name: found for name, found in shared_classes.items() if name not in SHARED_CLASSES} == {}


def test_constant_of_the_code_has_a_name_of_its_own(shared_constants: dict[str, list[str]]) -> None:
    assert {name: found for name, found in shared_constants.items() if name not in SHARED_CONSTANTS} == {}


def test_names_that_are_excepted_are_still_defined_twice(
    shared_classes: dict[str, list[str]], shared_constants: dict[str, list[str]]
) -> None:
    assert SHARED_CLASSES - shared_classes.keys() == set(), "remove the exception"
    assert SHARED_CONSTANTS - shared_constants.keys() == set(), "remove the exception"


def test_test_is_named_by_its_subject_and_behaviour(modules: Modules) -> None:
    names = [function for module in modules.values() for function in module.functions]
    tests = [name for name in names if name.startswith("test_")]
    assert len(tests) > 1000
    assert [name for name in tests if WORDS_OF_NO_SUBJECT.search(name)] == []
    assert [name for name in tests if name.count("_") < 4] == [], "say what the subject does, and when"


class TestTheseRulesOfLanguage:
    """Each rule finds what it forbids."""

    @pytest.mark.parametrize("docstring", ["The path.", "``x`` as text.", "Returns it.", "return it.", "Who reads."])
    def test_docstring_without_a_verb_is_found(self, docstring: str) -> None:
        assert definitions(f'def f():\n    """{docstring}"""').without_verb == ("f",)

    def test_docstring_with_a_verb_or_of_a_value_is_not_found(self) -> None:
        source = '''
class A:
    def __init__(self):
        """``x`` is given."""
    @property
    def y(self):
        """Whether it holds."""
    def z(self):
        """Close: it is over."""
def test_a_b():
    """As in RFC 1."""
'''
        found = definitions(source)
        assert found.without_verb == () and found.functions == ("test_a_b", "__init__", "y", "z")

    def test_names_of_two_modules_are_found(self) -> None:
        first = definitions("A = _B = 1\n_c = __all__ = 1\nclass B: ...")
        second = definitions("A: int = 2\n_B = 2\n_c = __all__ = 2\nclass C:\n    class B: ...")
        assert defined_twice({"x": first.constants, "y": second.constants}) == {"A": ["x", "y"], "_B": ["x", "y"]}
        assert defined_twice({"x": first.classes, "y": second.classes}) == {"B": ["x", "y"]}
