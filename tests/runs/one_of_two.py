"""Run as a script by test_together.py: the command or a helper, with a fault in one process."""

import os
import sys


def break_in_step(rank, step):
    from levertune.training.trainer import StepTrainer

    loss = StepTrainer._micro_batch_loss

    def broken(self, *args):
        if os.environ["RANK"] == rank and self.state.global_step == step:
            raise RuntimeError("the machine\nwas struck by lightning")
        return loss(self, *args)

    StepTrainer._micro_batch_loss = broken


def run_out_of_memory(rank, step):
    """Once, at a micro-batch of several rows, after it was computed."""
    import torch

    from levertune.training.trainer import StepTrainer

    loss, failed = StepTrainer._micro_batch_loss, []

    def scarce(self, model, examples, *args):
        found = loss(self, model, examples, *args)
        here = os.environ["RANK"] == rank and self.state.global_step == step
        if here and len(examples) > 1 and not failed:
            failed.append(len(examples))
            raise torch.OutOfMemoryError("out of memory")
        return found

    StepTrainer._micro_batch_loss = scarce


def diverge():
    import torch

    from levertune.models import load

    load_base_model = load.load_base_model

    def broken(*args, **options):
        model = load_base_model(*args, **options)
        with torch.no_grad():
            model.model.norm.weight.fill_(float("nan"))
        return model

    load.load_base_model = broken


if __name__ == "__main__":
    if "LEVERTUNE_HELPER" in os.environ:
        from levertune.runs.helper import main as help_out

        break_in_step("1", 2)
        sys.exit(help_out())
    fault, *words = sys.argv[1:]
    if fault == "nan":
        diverge()
    elif fault == "memory":
        run_out_of_memory("1", 2)
    elif fault:
        break_in_step(fault, 2)
    from levertune.cli.main import main

    sys.exit(main(words))
