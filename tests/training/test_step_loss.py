"""The loss of a step, against a loop that looks at one token at a time."""

import pytest
import torch

from levertune.data.records import TASK_SOURCE
from levertune.models import shared_rows
from levertune.models.batches import BatchCost, PaddedRows
from levertune.models.rendering import IGNORE_INDEX
from levertune.models.shared_rows import SharedRows
from levertune.training.train import TrainingConfig, train_adapter

SPLITS = {
    "one row a micro-batch": PaddedRows(2, BatchCost(0, 1)),
    "few rows a micro-batch": PaddedRows(2, BatchCost(5, 40)),
    "one micro-batch": PaddedRows(2, BatchCost(10_000, 100_000)),
    "few packed rows": SharedRows(40),
    "all packed": SharedRows(100_000),
}


def token_losses(model, row) -> list[float]:
    """Loss of each supervised token that has one before it, one row alone and unpadded."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row.input_ids])).logits[0]
    log_probs = torch.log_softmax(logits.double(), dim=-1)
    return [
        -float(log_probs[i - 1, label])
        for i, label in enumerate(row.labels)
        if i > 0 and label != IGNORE_INDEX
    ]


def mean(values) -> float:
    return sum(values) / len(values)


def use(batching, monkeypatch):
    monkeypatch.setattr(shared_rows, "choose_batching", lambda *args, **options: batching)


def train_still(model, rows, folder, cpu, monkeypatch, batching, **changes):
    """Train without moving the weights (learning rate 0), logging every step."""
    use(batching, monkeypatch)
    config = TrainingConfig(learning_rate=0.0, logging_steps=1, **changes)
    return train_adapter(
        model, rows, config, folder, hardware=cpu, pad_id=2, fingerprint={}, keep_adapter=False
    )


@pytest.mark.parametrize("split", SPLITS)
def test_the_loss_of_a_step_is_the_plain_mean_over_its_supervised_tokens(
    tiny_model, rows, tmp_path, cpu, monkeypatch, split
):
    expected, by_source = [], {"task": [], "general": []}
    for start in range(0, len(rows), 8):
        step = rows[start : start + 8]
        expected.append(mean([x for row in step for x in token_losses(tiny_model, row)]))
        for kind, values in by_source.items():
            chosen = [row for row in step if (row.source == TASK_SOURCE) == (kind == "task")]
            values.append(mean([x for row in chosen for x in token_losses(tiny_model, row)]))
    summary = train_still(tiny_model, rows, tmp_path, cpu, monkeypatch, SPLITS[split])
    assert [line["step"] for line in summary.curve] == [1, 2, 3]
    assert len(rows) % 8 == 3  # the last step is smaller, and counts its own tokens alone
    assert [line["loss"] for line in summary.curve] == pytest.approx(expected, abs=1e-4)
    for kind, values in by_source.items():
        logged = [line[f"{kind}_loss"] for line in summary.curve]
        assert logged == pytest.approx(values, abs=1e-4)


def test_general_tokens_weigh_what_the_recipe_says(tiny_model, rows, tmp_path, cpu, monkeypatch):
    weighed, weights = 0.0, 0.0
    for row in rows[:8]:
        weight = 1.0 if row.source == TASK_SOURCE else 0.25
        losses = token_losses(tiny_model, row)
        weighed += weight * sum(losses)
        weights += weight * len(losses)
    summary = train_still(
        tiny_model,
        rows[:8],
        tmp_path,
        cpu,
        monkeypatch,
        SPLITS["few rows a micro-batch"],
        general_loss_weight=0.25,
    )
    assert summary.curve[0]["loss"] == pytest.approx(weighed / weights, abs=1e-4)
    general = [x for r in rows[:8] if r.source != TASK_SOURCE for x in token_losses(tiny_model, r)]
    assert summary.curve[0]["general_loss"] == pytest.approx(mean(general), abs=1e-4)


def test_the_loss_by_source_between_two_lines_is_over_all_tokens_between_them(
    tiny_model, rows, tmp_path, cpu, monkeypatch
):
    config = TrainingConfig(learning_rate=0.0, effective_batch_size=4, logging_steps=2)
    summary = train_adapter(
        tiny_model, rows, config, tmp_path, hardware=cpu, pad_id=2, fingerprint={}
    )
    assert [line["step"] for line in summary.curve] == [1, 2, 4, 5]  # the last step is logged too
    between = [r for r in rows[8:16] if r.source == TASK_SOURCE]
    expected = mean([x for row in between for x in token_losses(tiny_model, row)])
    assert summary.curve[2]["task_loss"] == pytest.approx(expected, abs=1e-4)


def test_the_gradient_does_not_depend_on_the_split(tiny_model, rows, tmp_path, cpu, monkeypatch):
    from safetensors.torch import load_file

    ends = []
    for number, batching in enumerate(SPLITS.values()):
        use(batching, monkeypatch)
        config = TrainingConfig(learning_rate=1e-2, logging_steps=1, max_grad_norm=0.0)
        folder = tmp_path / str(number)
        train_adapter(tiny_model, rows, config, folder, hardware=cpu, pad_id=2, fingerprint={})
        ends.append(load_file(folder / "adapter" / "adapter_model.safetensors"))
    for other in ends[1:]:
        for name, tensor in ends[0].items():
            torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-4)
