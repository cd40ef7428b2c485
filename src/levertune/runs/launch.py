"""Starts a command's processes on this machine, as `torchrun` would, and ends them together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from levertune.errors import RunError
from levertune.runs.jobs import count_cores
from levertune.training.processes import STARTED_HERE

ORPHANED = 3
_SECONDS_BETWEEN_LOOKS = 0.05
_SECONDS_TO_LEAVE = 15.0


def start_processes(words: Sequence[str], count: int) -> int:
    """Run a command in several processes and wait for all of them.

    Ctrl-C and SIGTERM go to the first process, which leads the others. When one process fails the
    others get a moment to end and are killed then; should this one be killed, they end too.

    Args:
        words: The words of the command, without the program's name.
        count: How many processes.

    Returns:
        The exit status of the one that failed first, or 0.

    Raises:
        RunError: If one of them was killed.
    """
    environment = {
        **os.environ,
        STARTED_HERE: "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": str(max(1, count_cores() // count)),
        # A metric of the user's own is found wherever this process would find it.
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
    }
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(count):
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "levertune.cli.main", *words],
                    stdin=subprocess.PIPE,  # ends when this process does
                    env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                    start_new_session=True,  # Ctrl-C reaches this process alone
                )
            )
        with _signals_to(processes[0]):
            failed = _wait(processes)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
    if failed is None:
        return 0
    status = processes[failed].returncode
    if status < 0:
        raise RunError(
            f"process {failed} of {count}: was killed (signal {-status}), perhaps for lack of "
            "memory. What is done is kept: type the same command again."
        )
    return status


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Wait until all have ended, or one has failed and the others had time to; that one."""
    failed: int | None = None
    deadline = float("inf")
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        if failed is None:
            ended = [i for i, process in enumerate(processes) if process.poll()]
            # Of two that ended since the last look the one that was killed took the other along.
            failed = min(ended, key=lambda i: (processes[i].returncode, i), default=None)
            if failed is not None:
                deadline = time.monotonic() + _SECONDS_TO_LEAVE
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    if failed is None:
        failed = next((i for i, process in enumerate(processes) if process.returncode), None)
    return failed


@contextlib.contextmanager
def _signals_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            process.send_signal(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, pass_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
