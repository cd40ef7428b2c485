import numpy as np
import pytest
import torch

from levertune.errors import ModelError
from levertune.selection.states import last_states, lower_layers


def test_last_states_are_those_of_each_rows_last_token_in_any_company(tiny_model, cpu):
    rows = [[5, 9, 12, 7], [8, 30], [11] * 6]
    found = last_states(tiny_model, rows, num_layers=1, hardware=cpu, pad_id=2)
    assert found.dtype == np.float32
    with torch.inference_mode(), lower_layers(tiny_model, 1):
        for ids, unit in zip(rows, found, strict=True):
            state = tiny_model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
            np.testing.assert_allclose(unit, (state / state.norm()).numpy(), atol=1e-5)
    assert len(tiny_model.model.layers) == 2


def test_without_a_row_there_is_no_state(tiny_model, cpu):
    found = last_states(tiny_model, [], num_layers=1, hardware=cpu, pad_id=2)
    assert found.shape == (0, 32)


def test_a_model_whose_layers_are_not_found_is_refused(tiny_model, cpu):
    tiny_model.config.num_hidden_layers = 3
    with pytest.raises(ModelError, match="layers cannot be found"):
        last_states(tiny_model, [[5]], num_layers=1, hardware=cpu, pad_id=2)
