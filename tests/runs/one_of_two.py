"""Run as a script by test_together.py: the command line, with a fault in one process."""

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
    fault, *words = sys.argv[1:]
    if fault == "nan":
        diverge()
    elif fault:
        break_in_step(fault, 2)
    from levertune.cli.main import main

    sys.exit(main(words))
