"""Processes started together, the memory of all of them, and what they wrote."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from levertune.runs.jobs import count_cores

ROOT = Path(__file__).resolve().parents[2]
_SECONDS_BETWEEN_LOOKS = 0.05
_LINES_OF_A_FAILURE = 12


class FailedError(Exception):
    """A process that ended badly; its message is what it said last."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What processes that ran together left.

    Args:
        found: The JSON that each wrote.
        peak_bytes: Most resident memory of all their processes together.
        tables: The text file that each wrote beside it, if it did.
    """

    found: list[dict[str, Any]]
    peak_bytes: int
    tables: list[str]


class TreeMemory:
    """Looks at the resident memory of processes and all they start, while the context lasts.

    Pages that two processes share count twice.

    Args:
        pids: The processes.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self.peak_bytes = 0
        self._pids = tuple(pids)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> TreeMemory:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, sum(map(_tree_bytes, self._pids)))
            if self._ended.wait(_SECONDS_BETWEEN_LOOKS):
                return


def run_together(
    python: str,
    module: str,
    arguments: Sequence[Sequence[str]],
    *,
    folders: Sequence[Path] | None = None,
    environments: Sequence[Mapping[str, str]] | None = None,
    own_source: bool = True,
) -> Measured:
    """Run a module of this package in processes of their own and wait for all of them.

    Args:
        python: The interpreter.
        module: The module's name below `benchmarks.train`; its last positional argument, added
            here, is the file it writes.
        arguments: The other arguments of each process.
        folders: Working directory of each; None for this one's.
        environments: Variables that each gets besides; None for no others.
        own_source: Whether the interpreter gets this one's PYTHONPATH too.

    Returns:
        What they left.

    Raises:
        FailedError: If one of them ended with a status other than 0.
    """
    environment = dict(os.environ, HF_HUB_OFFLINE="1", PYTHONUNBUFFERED="1")
    # There is nothing to find there, and looking takes seconds.
    environment |= {"HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    before = os.environ.get("PYTHONPATH") if own_source else None
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), before)))
    if len(arguments) > 1:
        environment["OMP_NUM_THREADS"] = str(max(1, count_cores() // len(arguments)))
    with tempfile.TemporaryDirectory() as name:
        outputs = [Path(name, f"{number}.json") for number in range(len(arguments))]
        logs = [path.with_suffix(".log") for path in outputs]
        processes = []
        for number, own in enumerate(arguments):
            command = [python, "-m", f"benchmarks.train.{module}", *own, str(outputs[number])]
            with logs[number].open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        command,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        env={**environment, **(environments[number] if environments else {})},
                        cwd=folders[number] if folders else None,
                    )
                )
        with TreeMemory([process.pid for process in processes]) as memory:
            statuses = [process.wait() for process in processes]
        for log_path, status in zip(logs, statuses, strict=True):
            if status:
                raise FailedError(_last_lines(log_path, status))
        tables = [path.with_suffix(".txt") for path in outputs]
        return Measured(
            [json.loads(path.read_text(encoding="utf-8")) for path in outputs],
            memory.peak_bytes,
            [path.read_text(encoding="utf-8") for path in tables if path.is_file()],
        )


def rank_environments(count: int) -> list[dict[str, str]]:
    """Variables by which processes of this machine find each other, as `torchrun` sets them."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    size = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}
    return [{**shared, **size, "RANK": str(n), "LOCAL_RANK": str(n)} for n in range(count)]


def _tree_bytes(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        members = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for member in members:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def _last_lines(log: Path, status: int) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = "\n".join(line for line in lines[-_LINES_OF_A_FAILURE:] if line.strip())
    return f"ended with status {status}:\n{said}"
