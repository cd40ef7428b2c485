"""Processes that this one starts to share its trainings, and ends.

On a CPU a small model leaves all threads but one waiting: each of its products is too small to be
divided, and two processes with a thread each meet once a step instead (LOG.md 2026-11-23). So a
training that takes minutes is shared by default; `--num-processes` sets how many share it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

from levertune.errors import RunError
from levertune.progress import Progress
from levertune.runs.jobs import choose_processes, count_cores
from levertune.runs.workspace import Workspace
from levertune.training.processes import HELPER, Team, current_team, join_team, leave_team

HELPER_MODULE = "levertune.runs.helper"
READY = b"ready\n"
DONE = 0
_SECONDS_TO_LEAVE = 15.0


class Helpers:
    """The processes this one has started, if any.

    Args:
        wanted: Processes that share a training, this one among them; None for as many as pay.
        progress: Where to say that none could be reached.
    """

    def __init__(self, wanted: int | None, progress: Progress) -> None:
        self._wanted = wanted
        self._progress = progress
        self._processes: list[subprocess.Popen[bytes]] = []
        self._before: dict[str, str | None] = {}
        self._cores = count_cores()  # with helpers OMP_NUM_THREADS says less

    @property
    def threads(self) -> int | None:
        """Threads that this process has beside the others; None if there are no others."""
        count = len(self._processes) + 1
        return max(1, self._cores // count) if count > 1 else None

    def choose_count(self, workspace: Workspace, tokens: int, rows_per_step: int) -> int:
        """How many processes share a training, this one among them.

        It depends on the training and the machine, not on what else is done in the same command,
        so that an interrupted training goes on in the same way.

        Args:
            workspace: The model.
            tokens: Tokens of the training.
            rows_per_step: Mixture rows a step.
        """
        if current_team().size > 1 and not self._processes:
            return current_team().size  # a launcher's
        if self._wanted is not None:
            return self._wanted
        return choose_processes(
            cores=self._cores,
            device=workspace.hardware.device,
            tokens=tokens,
            rows_per_step=rows_per_step,
            weight_bytes=workspace.weight_bytes,
            memory_bytes=workspace.memory_bytes,
        )

    def start(self, workspace: Workspace, tokens: int, rows_per_step: int) -> None:
        """Have the processes the next training is to be shared by.

        They load their libraries while this one goes on to `meet` them.

        Args:
            workspace: The model.
            tokens: Tokens of the training.
            rows_per_step: Mixture rows a step.
        """
        count = self.choose_count(workspace, tokens, rows_per_step)
        if count == len(self._processes) + 1 or count == current_team().size:
            return
        self.dismiss()
        if count == 1:
            return
        place = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
            "WORLD_SIZE": str(count),
            "LOCAL_WORLD_SIZE": str(count),
            "OMP_NUM_THREADS": str(max(1, self._cores // count)),
            # Without it gloo asks for the address of the machine's name, which may have none.
            "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME") or _loopback(),
        }
        environment = {
            **os.environ,
            **place,
            HELPER: "1",
            # Read when torch is loaded. Its warnings that another process is gone come with pages
            # of addresses; what happened is one line, said by the process that is helped.
            "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        }
        here = {**place, "RANK": "0", "LOCAL_RANK": "0"}
        self._before = {name: os.environ.get(name) for name in here}
        os.environ.update(here)
        try:
            for rank in range(1, count):
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", HELPER_MODULE],
                        stdin=subprocess.PIPE,  # ends when this process does
                        stdout=subprocess.PIPE,
                        env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
                        start_new_session=True,  # Ctrl-C reaches this process alone
                    )
                )
        except OSError as error:
            self._do_without(count, f"{type(error).__name__}: {error}", error)

    def meet(self) -> Team:
        """The team of the processes started, once they are ready; this one alone if none was.

        Raises:
            RunError: If one cannot be reached, and the user asked for it.
        """
        if not self._processes or current_team().size > 1:
            return current_team()
        count = len(self._processes) + 1
        try:
            for rank, process in enumerate(self._processes, start=1):
                assert process.stdout is not None
                if process.stdout.readline() != READY:
                    raise RunError(
                        f"process {rank} of {count}: ended before it began (exit status "
                        f"{process.wait()}), perhaps for lack of memory"
                    )
            return join_team()
        except (RunError, RuntimeError, OSError) as error:
            self._do_without(count, str(error), error)
            return current_team()

    def _do_without(self, count: int, reason: str, error: Exception) -> None:
        """Be alone where more were wanted, and say so.

        Raises:
            RunError: If the user asked for them.
        """
        self.dismiss(kill=True)
        text = " ".join(reason.split())[:300].rstrip(".")
        if self._wanted is not None:
            raise RunError(
                f"{text}. {count} processes were asked for; --num-processes 1 needs no other."
            ) from error
        self._progress.warn(f"{text}. This process trains alone.")

    def dismiss(self, *, kill: bool = False) -> None:
        """End the processes, and be alone again.

        Args:
            kill: Do not wait for them.
        """
        team = current_team()
        is_broken = kill or team.size == 1 or team.is_training
        if self._processes and not is_broken:
            with contextlib.suppress(RuntimeError):  # one that has died meanwhile
                team.send(DONE)
        for process in self._processes:
            _end(process, at_once=is_broken)
        if self._processes:
            self._processes.clear()
            leave_team()
        for name, value in self._before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        self._before = {}


_helpers: Helpers | None = None


@contextlib.contextmanager
def helped(wanted: int | None, progress: Progress) -> Iterator[Helpers]:
    """Let trainings be shared with processes that are started for them, while the context lasts.

    Args:
        wanted: Processes that share a training, this one among them; None for as many as pay.
        progress: Where to say that none could be reached.
    """
    global _helpers
    before, helpers = _helpers, Helpers(wanted, progress)
    _helpers = helpers
    try:
        yield helpers
    finally:
        _helpers = before
        helpers.dismiss()


def current_helpers() -> Helpers | None:
    """What `helped` gives; None outside of it, where this process trains alone."""
    return _helpers


def _end(process: subprocess.Popen[bytes], *, at_once: bool) -> None:
    if at_once:
        process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        process.wait(_SECONDS_TO_LEAVE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _loopback() -> str:
    """The name of the interface that leads to this machine itself."""
    import psutil

    for name, addresses in psutil.net_if_addrs().items():
        if any(address.address == "127.0.0.1" for address in addresses):
            return name
    return "lo"
