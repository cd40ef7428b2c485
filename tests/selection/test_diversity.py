"""The caps of docs/concepts/general-data.md, for every selector that keeps them."""

import random
from types import SimpleNamespace

import pytest

from levertune.progress import SilentProgress
from levertune.runs.selectors import WITH_MODEL, select
from levertune.selection.encoder import Encoder
from levertune.selection.gradients import GradientSettings, select_gradient
from levertune.selection.selection import Budget, Diversity

SELECTORS = ("bm25", *WITH_MODEL)
WORDS = ("tree", "engine", "piano", "cherries", "train", "song", "ripe", "play")


@pytest.fixture
def choose(tiny_model, tiny_tokenizer, cpu, tmp_path, monkeypatch, fruit_task):
    """Chooses rows for three task rows with the selector of a name."""
    monkeypatch.setenv("LEVERTUNE_CACHE", str(tmp_path / "cache"))
    few = GradientSettings(lora_r=2, warm_up_steps=2, warm_up_rows=4, width=512)
    monkeypatch.setitem(select_gradient.__kwdefaults__, "settings", few)
    workspace = SimpleNamespace(
        base=lambda: tiny_model,
        tokenizer=tiny_tokenizer,
        hardware=cpu,
        model_hash="m",
        tokenizer_hash="t",
        encoder=Encoder(
            lambda: tiny_model, tiny_tokenizer, cpu, identity="mt", folder=tmp_path / "states"
        ),
    )

    def _choose(name, candidates, limit, **caps):
        return select(
            name,
            fruit_task,
            candidates,
            Budget(limit),
            seed=0,
            diversity=Diversity(**caps),
            max_length=200,
            workspace=workspace,
            progress=SilentProgress(),
        )

    return _choose


def letters(count, seed):
    """Words that mean nothing."""
    return "".join(random.Random(seed).choices("bcdfghjklmnpqrstvwxz     ", k=count))


def many_of(make_row, source, count):
    """Rows that share words with the task rows, and are not like one another."""
    texts = [f"{WORDS[i % 8]} {WORDS[i // 8]} {chr(97 + i % 26) * 9} {i}" * 2 for i in range(count)]
    return [make_row(f"{source}{i}", text, source=source) for i, text in enumerate(texts)]


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize(("others", "most"), [("", 8), ("b", 6), ("bc", 4)])
def test_a_large_source_gives_no_more_than_its_share(choose, make_row, name, others, most):
    pool = many_of(make_row, "large", 60)
    for source in others:
        pool += many_of(make_row, source, 8)
    free = choose(name, pool, 8, max_source_share=1.0).by_source()
    assert free["large"] > 4  # else the cap had nothing to do
    chosen = choose(name, pool, 8)
    assert len(chosen.rows) == 8
    assert chosen.by_source()["large"] <= most
    assert not [note for note in chosen.notes if "its share" in note]


@pytest.mark.parametrize("name", SELECTORS)
def test_a_source_whose_rows_are_the_nearest_gives_no_more_than_its_share(choose, make_row, name):
    near = [
        make_row(f"n{i}", f"a cherries, engine, piano {letters(40, i)}", source="near")
        for i in range(60)
    ]
    far = [
        make_row(f"{source}{i}", f"a {letters(70, f'{source}{i}')}", source=source)
        for source in "bc"
        for i in range(8)
    ]
    chosen = choose(name, [*near, *far], 8)
    assert len(chosen.rows) == 8
    assert max(chosen.by_source().values()) <= 4
    assert not [note for note in chosen.notes if "its share" in note]


@pytest.mark.parametrize("name", SELECTORS)
def test_the_files_of_a_source_share_its_cap(choose, make_row, name):
    files = ("box/1", "box/2", "box/3")
    pool = [row for source in (*files, "b", "c") for row in many_of(make_row, source, 20)]
    chosen = choose(name, pool, 8, owners=dict.fromkeys(files, "box")).by_source()
    assert sum(chosen.values()) == 8
    assert sum(chosen.get(file, 0) for file in files) <= 4


@pytest.mark.parametrize("name", SELECTORS)
def test_of_near_duplicates_one_is_taken(choose, make_row, name):
    texts = [f"What of the {word}, {letters(60, i)}?" for i, word in enumerate(WORDS)]
    pool = [
        make_row(f"{i}{end}", text + end, source=source)
        for i, text in enumerate(texts)
        for source, end in (("a", ""), ("b", "!"))
    ]

    def twice(chosen):
        assert len(chosen.rows) == 8
        return 8 - len({row.id[0] for row in chosen.rows})

    assert twice(choose(name, pool, 8, max_source_share=1.0, near_threshold=None))
    assert not twice(choose(name, pool, 8, max_source_share=1.0))
    beside = tuple(pool[:2])
    assert "0" not in {row.id[0] for row in choose(name, pool[1:], 7, beside=beside).rows}
