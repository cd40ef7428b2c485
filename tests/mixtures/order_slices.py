"""Reads slices of an order, in a process of its own too: imports nothing but the order."""

import os

from levertune.mixtures.order import build_mixture


def read_slices(plan, slices):
    """Sources, rows and exposures of each slice as bytes."""
    mixture = build_mixture(plan)
    found = [mixture.positions(start, stop) for start, stop in slices]
    return [(p.source.tobytes(), p.row.tobytes(), p.exposure.tobytes()) for p in found]


def send_slices(connection, plan, slices):
    """The same to whoever asked, with the number of this process."""
    connection.send((os.getpid(), read_slices(plan, slices)))
    connection.close()
