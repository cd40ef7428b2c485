"""Run as a script, twice, by test_together.py: one of two processes that train together."""

import json
import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path


class Stop(Exception):
    """What the hook of a broken training raises."""


def record(folder):
    """Write down, process by process, which rows count in which step, and the weights before it."""
    import torch
    from torch.distributed.tensor import DTensor

    from levertune.training.trainer import StepTrainer

    loss, step = StepTrainer._micro_batch_loss, StepTrainer.training_step
    rank = os.environ["RANK"]

    def write(name, content):
        with (folder / f"{name}-{rank}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(content) + "\n")

    def noted_loss(self, model, examples, weights, total):
        counted = [e.id for e, weight in zip(examples, weights, strict=True) if weight]
        write("rows", [self.args.output_dir, self.state.global_step, counted])
        return loss(self, model, examples, weights, total)

    def noted_step(self, model, *args):
        weights = [p for name, p in model.named_parameters() if "lora_" in name]
        wholes = [p.full_tensor() if isinstance(p, DTensor) else p for p in weights]
        total = sum(float(p.detach().double().abs().sum()) for p in wholes)
        spread = sum(isinstance(p, DTensor) for p in model.parameters())
        write("steps", [self.args.output_dir, self.state.global_step, total, spread])
        return step(self, model, *args)

    StepTrainer._micro_batch_loss, StepTrainer.training_step = noted_loss, noted_step
    torch.set_num_threads(1)


def main():
    model_folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    rows, config, trainings, max_tokens = pickle.loads((out / "inputs").read_bytes())
    import torch

    from levertune.models import shared_rows
    from levertune.models.hardware import Hardware
    from levertune.models.load import load_base_model
    from levertune.models.resolve import resolve_model
    from levertune.training.processes import AbandonedError, join_team, leave_team
    from levertune.training.train import train_adapter

    record(out)
    team = join_team()
    # Passes of few tokens: the processes go through different numbers of them.
    shared_rows.choose_batching = lambda *a, **options: shared_rows.SharedRows(max_tokens)
    cpu = Hardware("cpu", torch.float32)
    for name, stop_at in trainings:

        def stop(step, model, stop_at=stop_at):
            if step == stop_at:
                raise Stop
            return False

        with suppress(Stop, AbandonedError):
            train_adapter(
                load_base_model(resolve_model(str(model_folder)), cpu),
                rows,
                config,
                out / name,
                hardware=cpu,
                pad_id=2,
                fingerprint={"data": "abc"} if team.leads else {},
                on_step=stop if stop_at else None,
            )
    leave_team()


if __name__ == "__main__":
    main()
