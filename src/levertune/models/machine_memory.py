"""How much memory this machine has; needs no torch."""

from __future__ import annotations

from pathlib import Path

# A container's memory limit is not what the system reports as its memory.
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def machine_memory() -> int:
    """Bytes of memory this machine has, or its container may use."""
    import psutil

    memory = int(psutil.virtual_memory().total)
    try:
        limit = _CGROUP_LIMIT.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return memory
    return min(memory, int(limit)) if limit.isdigit() else memory
