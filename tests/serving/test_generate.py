import json

import pytest

from levertune.errors import DataError, ModelError, RecipeError, RunError
from levertune.serving.generate import generate_file


@pytest.fixture
def folder(make_adapter, tmp_path):
    """A run folder with its best adapter."""
    make_adapter(tmp_path / "run" / "best")
    return tmp_path / "run"


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.jsonl"
    rows = [
        {"id": "a", "prompt": "red"},
        {
            "id": "b",
            "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        },
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_prompt_of_a_file_gets_its_answer(folder, prompts, tmp_path, assistant):
    output = tmp_path / "out" / "answers.jsonl"
    assert generate_file(folder, prompts, output) == 2
    rows = read(output)
    assert [list(row) for row in rows] == [["id", "prompt", "prediction", "finish_reason"]] * 2
    assert rows[0]["id"] == "a"
    assert rows[0]["prompt"] == "red"
    assert rows[0]["prediction"] == assistant.answer("red")
    assert rows[0]["finish_reason"] in ("stop", "length")
    assert rows[1]["prompt"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
    ]


def test_any_format_and_template_of_task_rows_will_do(folder, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("colour,code\nred,1\nblue,2\n", encoding="utf-8")
    output = tmp_path / "answers.jsonl"
    count = generate_file(
        folder, path, output, prompt="Colour: {colour}", max_new_tokens=2, batch_size=1
    )
    assert count == 2
    assert [row["prompt"] for row in read(output)] == ["Colour: red", "Colour: blue"]


def test_an_output_that_is_there_is_replaced_only_by_force(folder, prompts, tmp_path):
    output = tmp_path / "answers.jsonl"
    output.write_text("precious", encoding="utf-8")
    with pytest.raises(RunError, match="answers.jsonl: is there already.*--force"):
        generate_file(folder, prompts, output)
    assert output.read_text(encoding="utf-8") == "precious"
    assert generate_file(folder, prompts, output, force=True) == 2
    assert len(read(output)) == 2


def test_the_input_is_never_written_over(folder, prompts):
    before = prompts.read_bytes()
    with pytest.raises(RunError, match="is the input itself"):
        generate_file(folder, prompts, prompts, force=True)
    assert prompts.read_bytes() == before


def test_a_fault_leaves_nothing_half_written(folder, prompts, tmp_path):
    output = tmp_path / "answers.jsonl"
    with pytest.raises(RecipeError, match="max_new_tokens: must be at least 1"):
        generate_file(folder, prompts, output, max_new_tokens=0)
    prompts.write_text('{"prompt": "a<|im_end|>"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="control token"):
        generate_file(folder, prompts, output)
    with pytest.raises(DataError, match="no such file"):
        generate_file(folder, tmp_path / "none.jsonl", output)
    with pytest.raises(ModelError, match="no such folder"):
        generate_file(tmp_path / "none", prompts, output)
    assert not output.exists()
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("deep", "deep: is a folder. Name a file"),
        ("prompts.jsonl/deep/a.jsonl", "a.jsonl: cannot be written"),
        ("/proc/nope/a.jsonl", "a.jsonl: cannot be written"),
    ],
)
def test_an_output_that_cannot_be_written_is_found_before_the_model_is_loaded(
    folder, prompts, tmp_path, monkeypatch, name, message
):
    (tmp_path / "deep").mkdir()
    monkeypatch.setattr("levertune.serving.generate.Assistant", None)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match=message):
        generate_file(folder, prompts, tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
