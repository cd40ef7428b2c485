import json

import pytest

from levertune.models.context_length import context_length, read_context_length


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"max_position_embeddings": 2048}, 2048),
        ({"n_positions": 1024, "n_ctx": 1024}, 1024),  # GPT-2
        ({"max_seq_len": 4096}, 4096),
        ({"text_config": {"max_position_embeddings": 8192}, "vision_config": {}}, 8192),
        ({"text_config": None, "max_position_embeddings": 64}, 64),
        ({"max_position_embeddings": None}, None),
        ({}, None),
        ([], None),
    ],
)
def test_the_length_is_read_by_whatever_name_it_has(tmp_path, content, expected):
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert read_context_length(tmp_path) == expected


def test_no_file_says_nothing(tmp_path):
    assert read_context_length(tmp_path) is None


def test_it_is_what_a_loaded_model_says(tiny_model_folder, tiny_model):
    assert read_context_length(tiny_model_folder) == context_length(tiny_model) == 256
