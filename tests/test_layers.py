"""Who may import whom: docs/design.md, "The house"."""

import ast
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

import levertune

ROOT = Path(levertune.__file__).parent

# A stage imports only stages before it.
LAYERS = (
    "errors",
    "progress",
    "data",
    "scoring",
    "results",
    "anchors",
    "mixtures",
    "models",
    "training",
    "evaluation",
    "selfdata",
    "selection",
    "serving",
    "recipes",
    "settings",
    "reports",
    "runs",
    "tuning",
    "api",
    "cli",
)

# Needed by earlier stages, and depending on errors at most: writing files whole, knowing a full
# disk, the record of what a mixture measured of itself, URLs without their secrets, YAML read
# safely (by recipes and by the anchor pool), and what a word is (to rows and to metrics).
BELOW_ALL = (
    "levertune.results.files",
    "levertune.results.full_disk",
    "levertune.results.dispersion",
    "levertune.results.url_secrets",
    "levertune.recipes.yaml_text",
    "levertune.data.word_pattern",
)

FORBIDDEN = {("training", "evaluation"), ("evaluation", "training"), ("serving", "training")}
FORBIDDEN |= {("selfdata", "training"), ("serving", "selfdata")}

ONLY = {
    "progress": set(),
    "scoring": {"errors"},
    "results": {"errors"},
    "reports": {"errors", "scoring", "results"},
}

WITHOUT_MODELS = (
    "data",
    "anchors",
    "mixtures",
    "scoring",
    "results",
    "reports",
    "recipes",
    "settings",
)
MODEL_LIBRARIES = {"torch", "transformers", "peft", "trl", "accelerate"}

# Only these see the recipe.
SEE_RECIPES = {"api", "recipes", "settings", "tuning", "runs", "cli"}

MODULES = sorted(path for path in ROOT.rglob("*.py") if path.parent.name != "__pycache__")
NAMES = [path.relative_to(ROOT).as_posix() for path in MODULES]


def stage_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def imports_of(path: Path) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Modules a file imports anywhere in it, with the names taken from each."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.extend((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}, line {node.lineno}: relative import"
            found.append((node.module or "", tuple(alias.name for alias in node.names)))
    return tuple(found)


def own_imports(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    return [found for found in imports_of(path) if found[0].split(".")[0] == "levertune"]


def imported_stages(path: Path) -> set[str]:
    """Stages of the package that a file imports; `results.files` counts for none."""
    stages = set()
    for module, names in own_imports(path):
        if module in BELOW_ALL:
            continue
        if module in ("levertune.results", "levertune") and names:
            modules = [f"{module}.{name}" for name in names]
        else:
            modules = [module]
        for name in modules:
            if name not in BELOW_ALL and name.count(".") and name != "levertune.__version__":
                stages.add(name.split(".")[1])
    return stages


def test_every_stage_of_the_package_has_its_layer():
    assert {stage_of(path) for path in MODULES} - {"__init__"} <= set(LAYERS)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_imports_only_earlier_stages(path):
    stage = stage_of(path)
    if stage == "__init__":
        return
    for other in imported_stages(path):
        assert other in LAYERS, f"{path.name} imports {other}, which has no layer"
        assert LAYERS.index(other) <= LAYERS.index(stage), f"{path.name} imports {other}"
        assert (stage, other) not in FORBIDDEN, f"{path.name} imports {other}"
        assert other == stage or other in ONLY.get(stage, LAYERS), f"{path.name} imports {other}"
        if other == "recipes":
            assert stage in SEE_RECIPES, f"{path.name} sees the recipe"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_imports_from_the_defining_module(path):
    for module, names in own_imports(path):
        if module == "levertune" and names == ("__version__",):
            continue
        folder = ROOT.parent.joinpath(*module.split("."))
        if not folder.is_dir():
            continue
        # `from levertune.data import hub` names a module; a class or function would come through
        # the package's __init__.
        assert names, f"{path.name} imports the package {module}"
        for name in names:
            is_module = (folder / f"{name}.py").is_file()
            assert is_module, f"{path.name} takes {name} from the package {module}"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_stages_below_models_import_no_model_library_at_any_level(path):
    if stage_of(path) in WITHOUT_MODELS:
        libraries = {module.split(".")[0] for module, _ in imports_of(path)}
        assert not libraries & MODEL_LIBRARIES, path.name


def test_only_training_knows_trl():
    users = {
        stage_of(path) for path in MODULES for m, _ in imports_of(path) if m.split(".")[0] == "trl"
    }
    assert users <= {"training"}


def test_no_module_is_a_grab_bag():
    assert not {path.stem for path in MODULES} & {"utils", "common", "helpers", "misc"}


@pytest.mark.parametrize(
    "words",
    [("--help",), ("check", "--help"), ("report", "--help"), ("schema",), ("run", "no-such.yaml")],
    ids=" ".join,
)
def test_commands_that_need_no_model_leave_torch_alone(words):
    module = {"check": "levertune.cli.check", "report": "levertune.reports.page"}.get(words[0])
    if module is not None and find_spec(module) is None:
        pytest.skip(f"{module} is not there yet")
    assert_without_torch(f"from levertune.cli.main import main; main({list(words)!r})")


def test_the_report_is_written_without_torch():
    if find_spec("levertune.reports.page") is None:
        pytest.skip("levertune.reports.page is not there yet")
    assert_without_torch("import levertune.reports.page")


def test_check_looks_at_rows_without_torch(tmp_path):
    needed = ("levertune.cli.check", "levertune.models.resolve", "levertune.data.checks")
    if any(find_spec(module) is None for module in needed):
        pytest.skip("levertune check is not there yet")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "\n".join(f'{{"prompt": "Say {i}", "completion": "{i} it is"}}' for i in range(6)),
        encoding="utf-8",
    )
    words = ["check", "--task", str(rows), "general.sources=[]"]
    assert_without_torch(f"from levertune.cli.main import main; main({words!r})")


def assert_without_torch(code: str) -> None:
    libraries = sorted(MODEL_LIBRARIES - {"transformers"})
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys\nfound = set(sys.modules) & set({libraries!r})\n"
            "sys.exit(f'imported: {found}' if found else 0)",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_checks_see_imports_at_any_level_and_refuse_relative_ones(tmp_path):
    path = tmp_path / "a.py"
    path.write_text(
        "from levertune.results.files import x\n"
        "from levertune.data import hub\n"
        "def f():\n"
        "    import levertune.models.load\n"
        "    from levertune import errors, __version__\n",
        encoding="utf-8",
    )
    assert imported_stages(path) == {"data", "models", "errors"}
    relative = tmp_path / "b.py"
    relative.write_text("from .data import x\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="relative import"):
        imports_of(relative)
