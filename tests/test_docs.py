"""README and docs against the code: what they show, name and link to is there."""

import ast
import re
import runpy
import shlex
from pathlib import Path

import pytest

from levertune.cli.main import VERBS, build_parser
from levertune.data.schemas import SCHEMAS
from levertune.recipes.loading import load_recipe

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.py")]
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), flags=re.MULTILINE | re.DOTALL)


def commands(page):
    """The `levertune ...` lines of a page, comments and continuations resolved."""
    text = read(page).replace("\\\n", " ")
    found = re.findall(r"^ {4}(?:[A-Z]+=\S+ )?(levertune .*?)(?: {2,}#.*)?$", text, re.MULTILINE)
    return [shlex.split(line) for line in found if "VERB" not in line and "[" not in line]


def test_the_readme_shows_the_quickstart_as_it_is():
    source = read("examples/quickstart.py")
    body = source.partition("import levertune as lt\n")
    assert blocks("README.md", "python") == ["".join(body[1:])]


def test_the_readme_names_the_two_commands_of_the_makefile():
    targets = re.findall(r"^([a-z-]+):.*## ", read("Makefile"), flags=re.MULTILINE)
    for page in ("README.md", "CONTRIBUTING.md", "docs/index.md"):
        for target in re.findall(r"^ {4}make ([a-z-]+)", read(page), flags=re.MULTILINE):
            assert target in targets, page
    assert {"demo", "test", "check", "docs"} <= set(targets)


def test_the_command_line_page_is_the_one_the_parsers_give():
    written = runpy.run_path(str(ROOT / "scripts" / "write_cli_reference.py"))["cli_reference"]()
    assert read("docs/reference/cli.md") == written, "run: python scripts/write_cli_reference.py"


def test_every_argument_of_the_command_line_page_has_a_meaning():
    bare = [line for line in read("docs/reference/cli.md").splitlines() if line.endswith("|  |")]
    assert bare == []


@pytest.mark.parametrize("page", [name for name in NAMES if commands(name)])
def test_commands_on_a_page_are_understood(page):
    for words in commands(page):
        assert words[1] in VERBS, words
        _, left = build_parser(words[1]).parse_known_args(words[1:])
        assert all("=" in word and not word.startswith("-") for word in left), words


@pytest.mark.parametrize("page", [name for name in NAMES if name.endswith(".md")])
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", read(page)):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", [name for name in NAMES if name.endswith(".md")])
def test_python_on_a_page_is_python(page):
    for code in blocks(page, "python"):
        if ">>>" not in code:
            ast.parse(code)


@pytest.mark.parametrize(
    "page", ["docs/how-to/bring-your-data.md", "docs/design.md", "examples/demo.yaml"]
)
def test_recipes_on_a_page_load(page, tmp_path):
    found = [read(page)] if page.endswith(".yaml") else blocks(page, "yaml")
    assert found
    for number, text in enumerate(found):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text if "task:" in text else f"task: {{path: a.jsonl}}\n{text}")
        load_recipe(path)


def test_the_tutorial_shows_rows_of_the_file_it_names():
    shown = re.findall(r"^ {4}(id,.*|ticket-.*)$", read("docs/tutorial/first-run.md"), re.MULTILINE)
    assert shown == read("examples/tickets.csv").splitlines()[: len(shown)]
    assert len(shown) == 3


def test_every_page_is_in_the_navigation():
    navigation = read("mkdocs.yml")
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs")) in navigation, page.name


def test_the_data_page_names_every_schema():
    page = read("docs/how-to/bring-your-data.md")
    for columns in SCHEMAS.values():
        assert all(f"`{column}`" in page for column in columns), columns


def test_modules_on_the_python_page_exist():
    for name in re.findall(r"^::: (\S+)", read("docs/reference/python.md"), flags=re.MULTILINE):
        path = ROOT / "src" / name.replace(".", "/")
        assert path.with_suffix(".py").is_file(), name
