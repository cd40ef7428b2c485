"""What can go wrong while training: each time the training goes on, or says why it cannot."""

import contextlib
import errno
import json
import math
import os
import random
import signal
import time
import traceback
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer

from levertune.errors import DivergedError, RunError
from levertune.models import shared_rows
from levertune.models.batches import BatchCost, PaddedRows
from levertune.models.hardware import Hardware
from levertune.models.load import load_base_model
from levertune.models.resolve import resolve_model
from levertune.models.shared_rows import SharedRows
from levertune.results.full_disk import find_full_disk
from levertune.training import saving
from levertune.training import train as train_module
from levertune.training.checkpoints import list_checkpoints, remove_checkpoints
from levertune.training.seal import DamagedError, read_seal
from levertune.training.train import TrainingConfig, check_finished, read_summary, train_adapter
from levertune.training.trainer import StepTrainer

# Saved between two lines of the log, too, and with dropout, which draws random numbers.
CONFIG = TrainingConfig(
    learning_rate=5e-3, effective_batch_size=2, logging_steps=3, save_steps=2, lora_dropout=0.1
)


class Listener:
    """Progress that keeps the warnings."""

    def __init__(self):
        self.warnings = []

    @contextlib.contextmanager
    def stage(self, name, total, unit="step"):
        yield self

    def advance(self, n=1, **info):
        """Not looked at."""

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(scope="module", autouse=True)
def _on_cpu(on_cpu):
    """With one thread, as forks need it, and without waiting for the disk."""


@pytest.fixture
def train(rows, cpu):
    def train(model, folder, config=CONFIG, *, rows=rows, **options):
        settings = {"hardware": cpu, "pad_id": 2, "fingerprint": {"manifest": "abc"}, **options}
        return train_adapter(model, rows, config, folder, **settings)

    return train


@pytest.fixture(scope="module")
def unbroken(_on_cpu, tmp_path_factory, tiny_model_folder, rows, cpu):
    """The folder of a training that nothing interrupted; it has ten steps."""
    folder = tmp_path_factory.mktemp("unbroken")
    base = load_base_model(resolve_model(str(tiny_model_folder)), cpu)
    train_adapter(
        base, rows, CONFIG, folder, hardware=cpu, pad_id=2, fingerprint={"manifest": "abc"}
    )
    return folder


def weights(folder):
    return load_file(folder / "adapter" / "adapter_model.safetensors")


def assert_same_training(folder, other):
    assert (folder / "train_log.jsonl").read_text() == (other / "train_log.jsonl").read_text()
    left, right = weights(folder), weights(other)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def at(step, action):
    """A hook that does something after a step."""

    def on_step(number, model):
        if number == step:
            action()
        return False

    return on_step


def steps(folder):
    return [step for step, _ in list_checkpoints(folder)]


def interrupt():
    raise KeyboardInterrupt


def send(number):
    return lambda: os.kill(os.getpid(), number)


def fork(work):
    """The id of a process that does the work; its status is 1 if that fails."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return child


# --- killed ---------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks with torch loaded")
def test_trainings_killed_at_any_moment_end_bit_for_bit_as_an_unbroken_one(
    tiny_model, train, unbroken, tmp_path, cpu
):
    """benchmarks/faults does so twenty times, and with a real model."""
    draw = random.Random(0)
    started = time.monotonic()
    train(tiny_model, tmp_path / "timed")
    duration = time.monotonic() - started
    for number in range(3):
        folder = tmp_path / str(number)
        child = fork(lambda folder=folder: train(tiny_model, folder))
        time.sleep(draw.uniform(0.1, 0.9) * duration)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert status in (signal.SIGKILL, 0)  # 0: it was through before
        train(tiny_model, folder)
        assert_same_training(folder, unbroken)


@pytest.fixture
def ctrl_c():
    """A shell's background jobs ignore Ctrl-C, and so would these tests there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# --- asked to end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 4, 10])
def test_ctrl_c_ends_the_training_after_the_step_which_is_saved(
    tiny_model, train, unbroken, tmp_path, ctrl_c, step
):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "cell", on_step=at(step, send(signal.SIGINT)))
    assert steps(tmp_path / "cell")[-1] == step
    assert not (tmp_path / "cell" / "adapter").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert train(tiny_model, tmp_path / "cell").resumed_from == step
    assert_same_training(tmp_path / "cell", unbroken)


def test_sigterm_does_what_it_would_have_done_once_the_step_is_saved(
    tiny_model, train, unbroken, tmp_path, monkeypatch
):
    class AskedToEnd(BaseException):
        pass

    def end(*args):
        raise AskedToEnd

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(AskedToEnd):
            train(tiny_model, tmp_path / "cell", on_step=at(5, send(signal.SIGTERM)))
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)
    assert train(tiny_model, tmp_path / "cell").resumed_from == 5
    assert_same_training(tmp_path / "cell", unbroken)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks with torch loaded")
def test_sigterm_nobody_handles_ends_the_process_once_the_step_is_saved(
    tiny_model, train, tmp_path
):
    def train_until_asked():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # what started the tests may ignore it
        train(tiny_model, tmp_path / "cell", on_step=at(3, send(signal.SIGTERM)))

    _, status = os.waitpid(fork(train_until_asked), 0)
    assert os.WTERMSIG(status) == signal.SIGTERM
    assert steps(tmp_path / "cell") == [2, 3]


def test_a_signal_is_not_lost_when_the_step_it_waits_for_fails(
    tiny_model, train, tmp_path, monkeypatch, ctrl_c
):
    """A run would take the error for the cell's alone, and train the next one for hours."""
    loss = StepTrainer._micro_batch_loss

    def fail(self, *args):
        if self.state.global_step == 4:
            os.kill(os.getpid(), signal.SIGINT)
            raise RuntimeError("struck by lightning")
        return loss(self, *args)

    monkeypatch.setattr(StepTrainer, "_micro_batch_loss", fail)
    with pytest.raises(KeyboardInterrupt) as caught:
        train(tiny_model, tmp_path / "cell")
    assert str(caught.value.__context__) == "struck by lightning"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert steps(tmp_path / "cell") == [2, 4]


def test_a_second_ctrl_c_ends_the_training_at_once(tiny_model, train, tmp_path, ctrl_c):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "cell", on_step=at(3, twice))
    assert steps(tmp_path / "cell") == [2]


def test_a_signal_that_the_process_ignores_stays_ignored(tiny_model, train, tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        summary = train(tiny_model, tmp_path, on_step=at(3, send(signal.SIGINT)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert summary.steps == 10


# --- when it is saved -----------------------------------------------------------------------------


def saved_after(train, model, folder, monkeypatch, **changes):
    """Steps after which there was a checkpoint, when a minute passes between two steps."""
    seen, minutes = [], iter(range(1000))
    monkeypatch.setattr(saving.time, "monotonic", lambda: 60.0 * next(minutes))
    config = TrainingConfig(learning_rate=1e-3, effective_batch_size=2, **changes)

    def look(step, model):
        seen.append(steps(folder))
        return False

    monkeypatch.setattr("levertune.training.train.remove_checkpoints", lambda folder: None)
    train(model, folder, config, on_step=look)
    return sorted({step for there in seen for step in there} | set(steps(folder)))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"save_steps": 4, "save_minutes": 0}, [4, 8, 10]),
        ({"save_steps": 0, "save_minutes": 0}, []),
        # The clock is read once a step, and when a checkpoint is done.
        ({"save_steps": 0, "save_minutes": 3}, [3, 6, 9, 10]),
        ({"save_steps": 4, "save_minutes": 3}, [3, 4, 7, 8, 10]),
        ({"save_minutes": 0}, [5, 10]),
    ],
)
def test_a_training_is_saved_by_steps_and_by_minutes(
    tiny_model, train, tmp_path, monkeypatch, changes, expected
):
    found = saved_after(train, tiny_model, tmp_path, monkeypatch, **changes)
    assert found == expected


def test_a_checkpoint_between_two_lines_of_the_log_leaves_the_log_as_it_would_be(
    tiny_model, train, unbroken, tmp_path
):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "cell", on_step=at(5, interrupt))
    assert steps(tmp_path / "cell") == [2, 4]
    assert train(tiny_model, tmp_path / "cell").resumed_from == 4
    assert_same_training(tmp_path / "cell", unbroken)


def test_how_it_is_logged_and_saved_may_change_on_the_way(tiny_model, train, unbroken, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "cell", on_step=at(5, interrupt))
    other = TrainingConfig(
        learning_rate=5e-3, effective_batch_size=2, lora_dropout=0.1, logging_steps=1,
        save_steps=1, save_minutes=1, save_total_limit=5,
    )  # fmt: skip
    summary = train(tiny_model, tmp_path / "cell", other)
    assert [line["step"] for line in summary.curve] == [1, 3, 5, 6, 7, 8, 9, 10]
    left, right = weights(tmp_path / "cell"), weights(unbroken)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_checkpoint_is_complete(tiny_model, train, tmp_path):
    (tmp_path / "cell").mkdir()
    told = []

    def begin(step):  # as a hook does that decides while training
        (tmp_path / "cell" / "decisions.jsonl").write_text("decided\n")
        told.append(step)

    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "cell", on_step=at(5, interrupt), on_start=begin,
              kept=("decisions.jsonl",))  # fmt: skip
    found = read_seal(list_checkpoints(tmp_path / "cell")[-1][1])
    assert (found["step"], found["position"]) == (4, 8)
    assert found["fingerprint"] == {"manifest": "abc"}
    assert set(found["files"]) == {
        "adapter_config.json", "adapter_model.safetensors", "optimizer.pt", "scheduler.pt",
        "rng_state.pth", "trainer_state.json", "levertune_state.json", "kept/train_log.jsonl",
        "kept/decisions.jsonl",
    }  # fmt: skip
    (tmp_path / "cell" / "decisions.jsonl").unlink()

    def go_on(step):
        assert (tmp_path / "cell" / "decisions.jsonl").read_text() == "decided\n"
        told.append(step)

    train(tiny_model, tmp_path / "cell", on_start=go_on, kept=("decisions.jsonl",))
    assert told == [0, 4]


# --- the disk -------------------------------------------------------------------------------------

_FILL = {
    "weights": ("levertune.training.trainer", "save_adapter", ""),
    "optimizer": ("torch", "save", ""),
    "seal": ("levertune.training.checkpoints", "seal", ""),
    "log line": ("pathlib", "Path.open", "train_log.jsonl"),
    "state": ("pathlib", "Path.write_text", "levertune_state.json"),
    "copy of the log": ("shutil", "copyfile", "train_log.jsonl"),
    "adapter": ("levertune.training.train", "save_adapter", ""),
    "adapter, on its way to the disk": ("levertune.results.folders", "_bring_to_disk", ""),
    "summary": ("levertune.training.train", "write_json_atomically", ""),
}
"""Where it is written, by which function, and which of the files that this writes."""
_LAST = {name: 10 if name.startswith(("adapter", "summary")) else 4 for name in _FILL}


@pytest.mark.parametrize("file", _FILL)
def test_a_full_disk_leaves_the_last_good_checkpoint(
    tiny_model, train, unbroken, tmp_path, monkeypatch, file
):
    module, name, path = _FILL[file]
    owner, folder, last = import_module(module), tmp_path / "cell", _LAST[file]
    for part in name.split(".")[:-1]:
        owner = getattr(owner, part)
    name = name.rpartition(".")[2]
    write = getattr(owner, name)

    def fill(*args, **options):
        # optimizer, scheduler and random numbers are three calls
        is_meant = not path or str(args[0]).endswith(path)
        if is_meant and (folder / "checkpoints" / f"checkpoint-{last}").exists():
            if name == "save_adapter":  # for some of it there was room
                args[1].mkdir(parents=True, exist_ok=True)
                (args[1] / "part").write_bytes(b"part")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fill)
        with pytest.raises(OSError, match="No space left") as caught:
            train(tiny_model, folder)
    assert find_full_disk(caught.value) is not None
    assert steps(folder) == [last - 2, last]
    assert not (folder / "checkpoints" / ".partial").exists()
    assert not list(folder.glob("*.partial"))  # it would keep the disk full
    progress = Listener()
    assert train(tiny_model, folder, progress=progress).resumed_from == last
    assert progress.warnings == []
    assert_same_training(folder, unbroken)


def test_the_adapter_is_on_the_disk_before_the_checkpoints_go(
    tiny_model, train, tmp_path, monkeypatch
):
    """A power cut keeps what was brought to the disk, in the order in which it was."""
    folder = tmp_path / "cell"
    adapter, events = folder / "adapter", []

    def sync(descriptor):
        events.append((os.fstat(descriptor).st_ino, adapter.exists()))

    def remove(place):
        events.append(("checkpoints", adapter.exists()))
        remove_checkpoints(place)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(train_module, "remove_checkpoints", remove)
    summary = train(tiny_model, folder)
    names = {path.stat().st_ino: path.name for path in (*adapter.iterdir(), adapter, folder)}
    last = [(names.get(number, number), there) for number, there in events][-5:]
    assert last == [
        ("adapter_config.json", False), ("adapter_model.safetensors", False), ("adapter", False),
        ("cell", True), ("checkpoints", True),
    ]  # fmt: skip
    assert set(summary.adapter_files) == {"adapter_config.json", "adapter_model.safetensors"}
    assert read_summary(folder) == summary
    check_finished(folder, summary)
    flip_a_bit(adapter / "adapter_model.safetensors")
    with pytest.raises(DamagedError, match="^adapter_model.safetensors does not have its checksu"):
        check_finished(folder, summary)
    check_finished(folder, replace(summary, adapter_files={}))  # written by an older levertune


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "name"), [(truncate, "optimizer.pt"), (flip_a_bit, "adapter_model.safetensors")]
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    tiny_model, train, unbroken, tmp_path, damage, name
):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "cell", on_step=at(5, interrupt))
    damage(tmp_path / "cell" / "checkpoints" / "checkpoint-4" / name)
    progress = Listener()
    assert train(tiny_model, tmp_path / "cell", progress=progress).resumed_from == 2
    (line,) = progress.warnings
    assert f"checkpoint-4: is damaged; {name} " in line
    assert line.endswith("The training goes on from checkpoint-2.")
    assert_same_training(tmp_path / "cell", unbroken)


def test_a_warning_without_a_listener_goes_to_the_log(tiny_model, train, tmp_path, caplog):
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model, tmp_path / "cell", on_step=at(3, interrupt))
    truncate(tmp_path / "cell" / "checkpoints" / "checkpoint-2" / "optimizer.pt")
    assert train(tiny_model, tmp_path / "cell").resumed_from is None
    assert "No checkpoint is whole: the training starts anew" in caplog.text


# --- two at once ----------------------------------------------------------------------------------


def test_a_second_training_in_one_folder_is_refused_and_harms_nothing(
    tiny_model, tiny_model_folder, train, unbroken, tmp_path, cpu
):
    refused = []

    def begin_another():
        other = load_base_model(resolve_model(str(tiny_model_folder)), cpu)
        with pytest.raises(RunError, match="a training is under way in this folder already") as e:
            train(other, tmp_path / "cell")
        refused.append(str(e.value))

    train(tiny_model, tmp_path / "cell", on_step=at(5, begin_another))
    assert f"found process {os.getpid()}. Wait for its end" in refused[0]
    assert_same_training(tmp_path / "cell", unbroken)


# --- divergence -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_loss_that_is_no_number_names_the_step_and_its_rows(tiny_model, train, tmp_path, dtype):
    with torch.no_grad():
        tiny_model.model.norm.weight.fill_(float("nan"))
    message = (
        "^step 1: the loss is nan; the training has diverged, with the rows task:0, prose:1 .* "
        "there is no checkpoint yet. Look at these rows; lower training.learning_rate, or set "
        r"model.dtype=float32, with another output_dir=\.\.\.$"
    )
    with pytest.raises(DivergedError, match=message):
        train(tiny_model, tmp_path, hardware=Hardware("cpu", dtype))
    assert not (tmp_path / "adapter").exists()
    assert steps(tmp_path) == []


def spoil(name, how, after=7):
    """A hook that changes weights as a step too large would."""

    def on_step(step, model):
        if step == after:
            with torch.no_grad():
                for key, parameter in model.named_parameters():
                    if name in key:
                        how(parameter)
        return False

    return on_step


def test_the_loss_is_looked_at_at_each_step_and_the_last_checkpoint_is_good(
    tiny_model, train, unbroken, tmp_path
):
    """It is logged every third step only; step 8 is not."""
    folder = tmp_path / "cell"
    with pytest.raises(DivergedError, match=r"^step 8: the loss is nan") as caught:
        train(tiny_model, folder, on_step=spoil("lora_B", lambda p: p.fill_(float("nan"))))
    last = folder / "checkpoints" / "checkpoint-6"
    assert f"skills:14, task:15 (the worst first); {last} is good." in str(caught.value)
    assert steps(folder) == [4, 6]
    assert train(tiny_model, folder).resumed_from == 6
    assert_same_training(folder, unbroken)


def test_an_exploding_loss_stops_the_training(tiny_model, train, tmp_path):
    folder = tmp_path / "cell"
    message = r"^step 8: the loss is [\d.e+]+, more than [\d.]+; the training has diverged"
    with pytest.raises(DivergedError, match=message):
        train(tiny_model, folder, on_step=spoil("model.norm", lambda p: p.mul_(100.0)))
    assert steps(folder) == [4, 6]


def test_a_checkpoint_of_weights_that_were_broken_is_not_gone_on_from(
    tiny_model, train, unbroken, tmp_path
):
    """Those of step 6 are saved, and it is the loss of step 7 that shows what they are."""
    folder = tmp_path / "cell"
    with pytest.raises(DivergedError, match=r"^step 7: the loss is nan") as caught:
        train(tiny_model, folder, on_step=spoil("lora_B", lambda p: p.fill_(math.nan), after=6))
    assert f"{folder / 'checkpoints' / 'checkpoint-4'} is good." in str(caught.value)
    assert steps(folder) == [4]
    assert train(tiny_model, folder).resumed_from == 4
    assert_same_training(folder, unbroken)


def test_a_gradient_that_overflows_under_a_scaler_stands_in_no_file(
    tiny_model, train, tmp_path, monkeypatch
):
    """Of float16 gradients a scaler finds these itself, and has the step skipped."""

    class Scaler:
        def scale(self, loss):
            return loss

        def step(self, optimizer, closure):
            optimizer.step(closure)

        def update(self):
            """Never skips one here."""

        def state_dict(self):
            return {}

    norms, resume = iter([1.0, math.inf, math.nan]), StepTrainer.resume

    def resume_with_scaler(self, *args):
        self.accelerator.scaler = Scaler()
        resume(self, *args)

    monkeypatch.setattr(StepTrainer, "resume", resume_with_scaler)
    monkeypatch.setattr(
        Trainer, "_get_grad_norm", lambda *args, **kwargs: torch.tensor(next(norms, 2.0))
    )
    curve = train(tiny_model, tmp_path, replace(CONFIG, logging_steps=1)).curve
    assert [line.get("grad_norm") for line in curve] == [1.0, None, None, *[2.0] * 7]
    lines = (tmp_path / "train_log.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail) for line in lines] == curve
    assert json.loads((tmp_path / "training.json").read_text())["curve"] == curve


def test_a_gradient_that_is_no_number_does_not_reach_the_weights(
    tiny_model, train, tmp_path, monkeypatch
):
    backward = torch.Tensor.backward
    calls = []

    def spoiled(self, *args, **options):
        backward(self, *args, **options)
        calls.append(1)
        if len(calls) == 5:
            parameter = next(p for p in tiny_model.parameters() if p.grad is not None)
            parameter.grad.fill_(float("inf"))

    config = TrainingConfig(learning_rate=1e-3, effective_batch_size=2, save_steps=2)
    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "backward", spoiled)
        with pytest.raises(DivergedError, match=r"^step \d: the gradient's norm is (nan|inf)"):
            train(tiny_model, tmp_path / "cell", config)
    path = list_checkpoints(tmp_path / "cell")[-1][1]
    saved = load_file(path / "adapter_model.safetensors")
    assert all(tensor.isfinite().all() for tensor in saved.values())


# --- memory ---------------------------------------------------------------------------------------


def use(batching, monkeypatch):
    monkeypatch.setattr(shared_rows, "choose_batching", lambda *args, **options: batching)


def scarce(monkeypatch, most_rows, *, until=math.inf):
    """Memory for so many rows at once, for some time; the error is torch's own. What was tried."""
    loss, tried = StepTrainer._micro_batch_loss, []

    def loss_or_fail(self, model, examples, *args):
        found = loss(self, model, examples, *args)
        tried.append([example.id for example in examples])
        if len(examples) > most_rows and len(tried) <= until:
            torch.empty(1 << 55, dtype=torch.uint8)
        return found

    monkeypatch.setattr(StepTrainer, "_micro_batch_loss", loss_or_fail)
    return tried


EIGHT = TrainingConfig(learning_rate=1e-2, effective_batch_size=8, logging_steps=1, save_steps=1)
WHOLE = [PaddedRows(2, BatchCost(10_000, 100_000)), SharedRows(100_000)]


@pytest.mark.parametrize("batching", WHOLE, ids=["padded", "shared"])
def test_a_step_that_does_not_fit_is_taken_again_in_smaller_pieces(
    tiny_model, train, rows, tmp_path, monkeypatch, batching
):
    use(batching, monkeypatch)
    plain = train(tiny_model, tmp_path / "plain", EIGHT)
    progress = Listener()
    tried = scarce(monkeypatch, most_rows=3)
    split = train(tiny_model, tmp_path / "split", EIGHT, progress=progress, label="train tell")
    assert [line["loss"] for line in split.curve] == pytest.approx(
        [line["loss"] for line in plain.curve], rel=1e-4
    )
    left, right = weights(tmp_path / "plain"), weights(tmp_path / "split")
    for name, tensor in left.items():
        torch.testing.assert_close(right[name], tensor, rtol=1e-3, atol=1e-4)
    warned = "train tell: step 1: memory ran out; it is taken again, from here on with at most "
    assert progress.warnings[0].startswith(warned)
    assert progress.warnings[0].endswith("tokens at once instead of 8 rows.")
    taken = [ids for ids in tried if len(ids) <= 3]
    assert len(progress.warnings) == len(tried) - len(taken)
    # Of the first step some pieces fitted before one did not; they were computed again.
    last = [ids for ids in taken if int(ids[0]) >= 16]
    assert sorted(int(i) for ids in last for i in ids) == [16, 17, 18]


def test_pieces_that_fitted_before_one_did_not_count_once(
    tiny_model, train, rows, tmp_path, monkeypatch
):
    """Without a fresh start of the step, the gradient of the first pieces would count twice."""
    one_step = TrainingConfig(learning_rate=1e-2, effective_batch_size=8, warmup_ratio=0.0)
    use(PaddedRows(2, BatchCost(5, 60)), monkeypatch)
    train(tiny_model, tmp_path / "plain", one_step, rows=rows[:8])
    loss, tried = StepTrainer._micro_batch_loss, []

    def fail_at_the_third(self, model, examples, *args):
        tried.append(len(examples))
        if len(tried) == 3:
            raise MemoryError
        return loss(self, model, examples, *args)

    norms = []
    norm = StepTrainer._get_grad_norm

    def note(self, *args, **options):
        norms.append(float(norm(self, *args, **options)))
        return norms[-1]

    with monkeypatch.context() as patch:
        patch.setattr(StepTrainer, "_micro_batch_loss", fail_at_the_third)
        patch.setattr(StepTrainer, "_get_grad_norm", note)
        train(tiny_model, tmp_path / "split", one_step, rows=rows[:8])
    assert tried[2] > 1
    logged = json.loads((tmp_path / "plain" / "train_log.jsonl").read_text().splitlines()[0])
    assert norms == pytest.approx([logged["grad_norm"]], rel=1e-4)


def test_a_resumed_training_keeps_the_pieces_that_fitted(tiny_model, train, tmp_path, monkeypatch):
    """With dropout another split would be another training."""
    config = replace(EIGHT, lora_dropout=0.2, effective_batch_size=4)
    use(SharedRows(100_000), monkeypatch)
    with monkeypatch.context() as patch:
        scarce(patch, most_rows=2, until=4)
        train(tiny_model, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        scarce(patch, most_rows=2, until=4)
        with pytest.raises(KeyboardInterrupt):
            train(tiny_model, tmp_path / "cell", config, on_step=at(3, interrupt))
    progress = Listener()
    assert train(tiny_model, tmp_path / "cell", config, progress=progress).resumed_from == 2
    assert progress.warnings == []
    assert_same_training(tmp_path / "cell", tmp_path / "whole")


def test_a_row_that_does_not_fit_alone_is_named(tiny_model, train, tmp_path, monkeypatch):
    scarce(monkeypatch, most_rows=0)
    message = r"^step 1: memory runs out at row \w+:\d+ alone; found \d+ tokens. Set training.grad"
    with pytest.raises(RunError, match=message):
        train(tiny_model, tmp_path / "cell", EIGHT)


def test_any_other_fault_of_a_step_stays_what_it_is(tiny_model, train, tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(StepTrainer, "_micro_batch_loss", fail)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        train(tiny_model, tmp_path / "cell", EIGHT)
