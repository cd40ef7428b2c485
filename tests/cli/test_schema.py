import json

from levertune.cli.main import main
from levertune.recipes.reference import recipe_reference


def test_schema_prints_json(capsys):
    assert main(["schema"]) == 0
    assert "task" in json.loads(capsys.readouterr().out)["properties"]


def test_schema_prints_the_reference_page(capsys):
    assert main(["schema", "--markdown"]) == 0
    assert capsys.readouterr().out == recipe_reference()


def test_schema_writes_a_file(tmp_path, capsys):
    path = tmp_path / "schema.json"
    assert main(["schema", "-o", str(path)]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(path.read_text(encoding="utf-8"))["title"] == "Recipe"
