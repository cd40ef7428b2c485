import pytest

from levertune.cli.machine import BASE_MODELS, GIB, Machine, propose_models, read_machine
from levertune.models import machine_memory
from levertune.recipes.recipe import DEFAULT_MODEL


@pytest.mark.parametrize(
    ("machine", "names"),
    [
        (Machine(2, 16 * GIB), []),
        (Machine(4, 2 * GIB), []),
        (Machine(4, 8 * GIB), ["SmolLM2-360M-Instruct"]),
        (Machine(8, 16 * GIB), ["Qwen2.5-0.5B-Instruct", "SmolLM2-360M-Instruct"]),
        (Machine(64, 256 * GIB), ["SmolLM2-1.7B-Instruct", "Qwen2.5-1.5B-Instruct"]),
        (
            Machine(4, 32 * GIB, "GPU", 24 * GIB),
            ["SmolLM2-1.7B-Instruct", "Qwen2.5-1.5B-Instruct"],
        ),
        (
            Machine(4, 32 * GIB, "GPU", 80 * GIB),
            ["Qwen2.5-7B-Instruct", "SmolLM2-1.7B-Instruct"],
        ),
    ],
)
def test_larger_machines_are_offered_larger_models_of_both_language_ranges(machine, names):
    assert [model.name.split("/")[1] for model in propose_models(machine)] == names


def test_the_default_model_is_the_smallest_and_fits_everywhere():
    assert BASE_MODELS[0].name == DEFAULT_MODEL
    assert BASE_MODELS[0].fits(Machine(1, 4 * GIB))
    sizes = [model.parameters for model in BASE_MODELS]
    assert sizes == sorted(sizes)


def test_this_machine_has_cores_and_memory():
    machine = read_machine()
    assert machine.cores >= 1
    assert machine.memory_bytes > 0


def test_a_containers_limit_counts_as_its_memory(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    limit.write_text("1000\n", encoding="ascii")
    monkeypatch.setattr(machine_memory, "_CGROUP_LIMIT", limit)
    assert read_machine().memory_bytes == 1000
    limit.write_text("max\n", encoding="ascii")
    assert read_machine().memory_bytes > 1000
