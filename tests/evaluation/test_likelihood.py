import random
from dataclasses import astuple, replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from levertune.errors import RunError
from levertune.evaluation import likelihood
from levertune.evaluation.likelihood import (
    RowLikelihood,
    mean_kl,
    mean_nll,
    mean_nll_with_end,
    score_likelihood,
)
from levertune.models.adapters import attach_lora
from levertune.models.hardware import Hardware
from levertune.models.rendering import IGNORE_INDEX, TokenizedExample


@pytest.fixture(scope="module")
def rows():
    """Rows of many lengths; the second has no prompt, the fifth ends its turn with two tokens."""
    draw = random.Random(1)
    examples = []
    for number in range(40):
        prompt = [draw.randrange(3, 300) for _ in range(draw.randrange(1, 30))]
        completion = [draw.randrange(3, 300) for _ in range(draw.randrange(1, 10))]
        end = [4, 1] if number == 4 else [1]
        if number == 1:
            prompt = []
        labels = (*[IGNORE_INDEX] * len(prompt), *completion, *end)
        ids = (*prompt, *completion, *end)
        source = ("task", "prose")[number % 2]
        examples.append(TokenizedExample(str(number), source, ids, labels, len(end)))
    return examples


@pytest.fixture
def adapted(tiny_model):
    torch.manual_seed(0)
    model = attach_lora(tiny_model, r=4, alpha=8, dropout=0.0, target_modules="all-linear")
    return model.eval()


def move(model):
    """Give the adapter an effect."""
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)


def log_probs_of(model, row):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row.input_ids])).logits[0]
    return torch.log_softmax(logits.double(), dim=-1)


def supervised_positions(row):
    return [i for i, label in enumerate(row.labels) if i > 0 and label != IGNORE_INDEX]


def score(model, rows, cpu, **options):
    return score_likelihood(model, rows, hardware=cpu, pad_id=2, **options)


def test_each_row_gets_its_own_likelihood_the_end_of_turn_apart(tiny_model, rows, cpu):
    for row, scored in zip(rows, score(tiny_model, rows, cpu), strict=True):
        log_probs = log_probs_of(tiny_model, row)
        losses = [-float(log_probs[i - 1, row.labels[i]]) for i in supervised_positions(row)]
        assert (scored.id, scored.source) == (row.id, row.source)
        assert scored.num_tokens == len(losses) - row.num_end
        assert scored.num_end == row.num_end
        assert scored.nll == pytest.approx(sum(losses[: -row.num_end]), abs=1e-3)
        assert scored.end_nll == pytest.approx(sum(losses[-row.num_end :]), abs=1e-3)
        assert scored.kl_to_base is None
        firsts = log_probs.argmax(dim=-1)
        right = [int(firsts[i - 1]) == row.labels[i] for i in supervised_positions(row)]
        assert scored.num_right == sum(right)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.integers(0, 39), min_size=1, max_size=12))
def test_a_row_scores_the_same_in_any_company(tiny_model, rows, cpu, chosen):
    alone = {i: score(tiny_model, [rows[i]], cpu)[0] for i in set(chosen)}
    for i, scored in zip(chosen, score(tiny_model, [rows[i] for i in chosen], cpu), strict=True):
        assert scored.id == rows[i].id
        assert scored.nll == pytest.approx(alone[i].nll, abs=1e-3)
        assert scored.end_nll == pytest.approx(alone[i].end_nll, abs=1e-3)


@pytest.fixture
def passes(monkeypatch):
    """Rows and supervised positions of each pass."""
    seen = []
    real = likelihood.select_logits

    def look(model, inputs, index):
        seen.append(len(index))
        return real(model, inputs, index)

    monkeypatch.setattr(likelihood, "select_logits", look)
    return seen


@pytest.mark.parametrize("with_kl", [False, True])
def test_where_memory_runs_out_fewer_rows_are_scored_at_once_and_figures_stay(
    adapted, rows, cpu, monkeypatch, passes, with_kl
):
    move(adapted)
    plain = score(adapted, rows, cpu, with_kl=with_kl)
    whole, look = len(passes), likelihood.select_logits
    most = max(passes) // 3

    def scarce(model, inputs, index):
        found = look(model, inputs, index)
        if len(index) > most:
            torch.empty(1 << 55, dtype=torch.uint8)  # torch's own error
        return found

    monkeypatch.setattr(likelihood, "select_logits", scarce)
    split = score(adapted, rows, cpu, with_kl=with_kl)
    tried = passes[whole:]
    assert len([n for n in tried if n <= most]) > whole
    assert len([n for n in tried if n > most]) <= 4  # the limit stays for the rows that follow
    assert [row.id for row in split] == [row.id for row in rows]
    for before, after in zip(plain, split, strict=True):
        assert astuple(after) == pytest.approx(astuple(before), abs=1e-4)


def test_a_row_that_cannot_be_scored_alone_is_named(tiny_model, rows, cpu, monkeypatch):
    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(likelihood, "select_logits", fail)
    message = r"^likelihood of tell: memory runs out at row \w+:\d+ alone; found \d+ tokens. Use a"
    with pytest.raises(RunError, match=message):
        score(tiny_model, rows, cpu, label="likelihood of tell")


def test_another_fault_while_scoring_stays_what_it_is(tiny_model, rows, cpu, monkeypatch):
    def fail(*args):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(likelihood, "select_logits", fail)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        score(tiny_model, rows, cpu)


@pytest.mark.parametrize(("with_kl", "most"), [(False, 20), (True, 10)])
def test_a_pass_holds_so_many_probabilities_at_most(
    adapted, rows, cpu, monkeypatch, passes, with_kl, most
):
    plain = score(adapted, rows, cpu, with_kl=with_kl)
    assert max(passes) > 40
    passes.clear()
    monkeypatch.setattr(likelihood, "_MOST_LOGITS", 20 * 300)
    assert [row.nll for row in score(adapted, rows, cpu, with_kl=with_kl)] == pytest.approx(
        [row.nll for row in plain], abs=1e-4
    )
    assert max(passes) <= most


def test_a_fresh_adapter_has_not_moved_from_its_base(adapted, rows, cpu):
    scored = score(adapted, rows, cpu, with_kl=True)
    assert [row.kl_to_base for row in scored] == [0.0] * len(rows)
    assert mean_kl(scored) == 0.0


def test_the_divergence_is_that_of_the_whole_distribution_at_supervised_positions(
    adapted, rows, cpu
):
    move(adapted)
    scored = score(adapted, rows[:12], cpu, with_kl=True)
    for row, result in zip(rows, scored, strict=False):
        mine = log_probs_of(adapted, row)
        with adapted.disable_adapter():
            base = log_probs_of(adapted, row)
        positions = [i - 1 for i in supervised_positions(row)]
        expected = (mine.exp() * (mine - base)).sum(dim=1)[positions].sum()
        assert result.num_kl_tokens == len(positions)
        assert result.kl_to_base == pytest.approx(float(expected), abs=1e-3)
        assert result.kl_to_base > 0
    total = sum(result.kl_to_base for result in scored)
    assert mean_kl(scored) == pytest.approx(total / sum(r.num_kl_tokens for r in scored))


def test_bfloat16_scores_are_close_to_those_in_float32(tiny_model, rows, cpu):
    exact = mean_nll(score(tiny_model, rows, cpu))
    rough = mean_nll(score(tiny_model, rows, Hardware("cpu", torch.bfloat16)))
    assert rough == pytest.approx(exact, rel=0.02)


def test_progress_counts_rows(tiny_model, rows, cpu):
    class Progress:
        def stage(self, name, total, unit="step"):
            self.name, self.total, self.unit, self.done = name, total, unit, 0
            return self

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            return None

        def advance(self, n=1, **info):
            self.done += n

    progress = Progress()
    score(tiny_model, rows[:5], cpu, progress=progress, label="nll")
    assert (progress.name, progress.total, progress.unit, progress.done) == ("nll", 5, "row", 5)


def test_means_are_over_tokens_and_missing_without_any():
    rows = [
        RowLikelihood("a", "task", nll=6.0, num_tokens=2, end_nll=1.0),
        RowLikelihood("b", "task", nll=2.0, num_tokens=2, end_nll=0.5, num_end=2),
    ]
    assert mean_nll(rows) == 2.0
    assert mean_nll_with_end(rows) == pytest.approx(9.5 / 7)
    assert mean_kl(rows) is None
    right = [replace(rows[0], num_right=2), replace(rows[1], num_right=4)]
    assert [row.token_error for row in right] == pytest.approx([1 / 3, 0])
    assert mean_nll([]) is None
    assert mean_nll_with_end([]) is None
