"""levertune: fine-tune a language model on scarce data by leverage learning (TELL)."""

__version__ = "0.1.0"

# Public name to defining module. Each is imported when it is first asked for:
# `levertune --help` must not wait for pandas or torch.
_LAZY = {
    "Run": "levertune.api",
    "compare_runs": "levertune.runs.compare",
    "load_results": "levertune.results.load",
    "run": "levertune.api",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module 'levertune' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, those not yet imported among them."""
    return sorted({*globals(), *_LAZY})
