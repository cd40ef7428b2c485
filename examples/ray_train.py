"""The same recipe on a Ray cluster: one worker a GPU, all of them train together.

Not run: Ray is an extra of your own (pip install "ray[train]") and was not to be had where this was
written; it is made from Ray's documentation.

Run: python ray_train.py /shared/recipe.yaml 8

Paths, in the recipe too, must be absolute and on a disk that every machine sees: Ray starts its
workers in folders of their own.
"""

import sys

from ray.train import ScalingConfig
from ray.train.torch import TorchTrainer


def train(settings):
    """What each worker does; the first of them leads."""
    from levertune.cli.main import main

    status = main(["train", settings["recipe"]])
    if status:
        raise RuntimeError(f"levertune train ended with status {status}")


if __name__ == "__main__":
    recipe, num_workers = sys.argv[1], int(sys.argv[2])
    TorchTrainer(
        train,
        train_loop_config={"recipe": recipe},
        scaling_config=ScalingConfig(num_workers=num_workers, use_gpu=True),
    ).fit()
