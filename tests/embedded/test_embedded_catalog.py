"""Names of shipped data lead to files, and unknown names to the nearest known one."""

import subprocess
import sys

import pytest

from levertune.data.embedded.catalog import (
    EMBEDDED_GENERAL,
    EMBEDDED_TASKS,
    RETENTION,
    embedded_path,
    embedded_task,
    is_embedded,
)
from levertune.errors import DataError


@pytest.mark.parametrize("name", [*EMBEDDED_GENERAL, RETENTION])
def test_every_shipped_source_exists(name):
    assert embedded_path(name).is_file()
    assert is_embedded(name)


@pytest.mark.parametrize("name", EMBEDDED_TASKS)
def test_every_shipped_task_has_train_and_test_rows(name):
    task = embedded_task(f"embedded:{name}")
    assert task == embedded_task(name)
    assert task.name == name
    assert task.train.is_file()
    assert task.test.is_file()


def test_the_retention_rows_are_no_general_source():
    assert RETENTION not in EMBEDDED_GENERAL


def test_an_unknown_source_is_refused_with_the_nearest_known_one():
    with pytest.raises(DataError, match=r"embedded-skill: is no shipped source.*'embedded-skills'"):
        embedded_path("embedded-skill")


def test_an_unknown_task_is_refused_with_the_nearest_known_one():
    with pytest.raises(DataError, match=r"shipped task.*Did you mean 'embedded:ticket_codes'\?"):
        embedded_task("embedded:tickets")


def test_a_name_like_no_other_gets_no_suggestion():
    with pytest.raises(DataError, match=r"embedded:nope: .*house_notation\. Name one of them\.$"):
        embedded_task("embedded:nope")
    with pytest.raises(DataError, match=r"embedded-nope: .*Name one of them\.$"):
        embedded_path("embedded-nope")


def test_a_file_name_is_not_taken_for_a_shipped_name():
    assert not is_embedded("tickets.jsonl")


def test_looking_up_a_name_does_not_import_torch():
    code = (
        "import sys; from levertune.data.embedded.catalog import embedded_task; "
        "embedded_task('embedded:ticket_codes'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
