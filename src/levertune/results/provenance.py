"""What produced a result: versions, commit and machine kind, without names or paths."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

_PACKAGES = ("levertune", "torch", "transformers", "trl", "peft")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Versions, code state and machine kind.

    Args:
        levertune: Installed version, as all that follow; None where a package is absent.
        python: Version of Python.
        torch: Version of PyTorch.
        transformers: Version of transformers.
        trl: Version of TRL.
        peft: Version of PEFT.
        commit: Git commit of levertune's own checkout; None if it was installed as a package.
        dirty: Whether tracked files of that checkout were changed; None without a checkout.
        platform: System and processor family, such as `Linux x86_64`.
        cpu_count: Logical processors this process may use.
        started: When the work began, UTC, ISO 8601; None if not recorded.
        seconds: Wall time of the work; None if not recorded.
    """

    levertune: str | None
    python: str
    torch: str | None
    transformers: str | None
    trl: str | None
    peft: str | None
    commit: str | None
    dirty: bool | None
    platform: str
    cpu_count: int | None
    started: str | None = None
    seconds: float | None = None


def collect_provenance(
    *, started: datetime | None = None, seconds: float | None = None
) -> Provenance:
    """Describe the code and machine now, without importing any of the packages named.

    Args:
        started: When the work began, with a time zone.
        seconds: Wall time of the work.

    Returns:
        The provenance. It holds no host, user or path name.
    """
    commit, dirty = _checkout(Path(__file__).resolve().parent)
    return Provenance(
        **{name: _version(name) for name in _PACKAGES},
        python=platform.python_version(),
        commit=commit,
        dirty=dirty,
        platform=f"{platform.system()} {platform.machine()}".strip(),
        cpu_count=_usable_cpus(),
        started=utc_text(started) if started else None,
        seconds=seconds,
    )


def utc_text(moment: datetime) -> str:
    """`moment` in UTC to the second, as `2026-01-31T09:30:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _usable_cpus() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _checkout(package_dir: Path) -> tuple[str | None, bool | None]:
    """Commit and dirty flag of levertune's own repository.

    An installed copy may lie inside some other project's repository (its virtual environment), so
    the repository counts only if git tracks this very file.
    """
    tracked = _git(package_dir, "ls-files", "--error-unmatch", "provenance.py")
    commit = _git(package_dir, "rev-parse", "HEAD") if tracked else None
    if not commit:
        return None, None
    changed = _git(package_dir, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changed is None else bool(changed)


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, or None if git is absent or refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
