"""A user's own metric, named `module:function`: found, called row by row, and checked."""

from __future__ import annotations

import importlib
import math
import numbers
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

from levertune.errors import RecipeError, UserError
from levertune.scoring.scored import Scored, scored_mean

ScoreRow = Callable[[str, list[str]], float]


def load_function(name: str) -> ScoreRow:
    """Import the function a user named.

    The module is looked for in the current folder first, then wherever Python looks.

    Args:
        name: `module:function`.

    Returns:
        The function.

    Raises:
        RecipeError: If the name is malformed, the module cannot be imported, or it has no such
            function.
    """
    module_name, _, function_name = name.partition(":")
    parts = [*module_name.split("."), function_name]
    if not all(part.isidentifier() for part in parts):
        raise RecipeError(
            f"task.metric: must be a metric's name or module:function; found {name!r}. "
            "Write it as `my_metrics:score` for the function `score` in my_metrics.py."
        )
    try:
        with _current_folder_importable():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name and not module_name.startswith(f"{error.name}."):
            raise _import_fault(name, module_name, error) from error
        raise RecipeError(
            f"task.metric: there is no module {module_name!r} here or on Python's path; found "
            f"{name!r}. Put {module_name.replace('.', '/')}.py into the folder you start from."
        ) from error
    except (Exception, SystemExit) as error:  # a script that is no module may end the program
        raise _import_fault(name, module_name, error) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise RecipeError(
            f"task.metric: module {module_name!r} has no function {function_name!r}; found "
            f"{name!r}. Define `def {function_name}(prediction, references)` there."
        )
    return function


def score_custom(
    name: str, function: ScoreRow, predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> Scored:
    """Mean over rows of what the user's function says.

    Args:
        name: `module:function`.
        function: Called as `function(prediction, references)` with a string and a list of strings.
        predictions: One answer a row.
        references: The right answers of each row.

    Returns:
        The scored rows.

    Raises:
        UserError: If the function fails or gives anything but a finite number.
    """
    values: list[float] = []
    for number, (prediction, row) in enumerate(zip(predictions, references, strict=True), start=1):
        try:
            value = function(prediction, list(row))
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{name}: failed on row {number}; found {_one_line(error)}. "
                "It is called as function(prediction: str, references: list[str])."
            ) from error
        # bool is a number in Python, and "right or wrong" is a fair thing to return.
        if not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise UserError(
                f"{name}: must return a finite number; found {_short(value)} on row {number}. "
                "Return a float for every row."
            )
        values.append(float(value))
    return scored_mean(name, values)


@contextmanager
def _current_folder_importable():
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    # A module written a moment ago is not seen through a stale folder listing.
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _import_fault(name: str, module_name: str, error: BaseException) -> RecipeError:
    return RecipeError(
        f"task.metric: module {module_name!r} of {name!r} cannot be imported; found "
        f"{_one_line(error)}. Mend it so that `python -c 'import {module_name}'` works."
    )


def _one_line(error: BaseException) -> str:
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
