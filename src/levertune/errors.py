"""Errors a user can mend, each one line: where, what is wrong, what was found, what to do.

The command line prints a `UserError` without a traceback and exits with status 2. Everything else
is a fault of levertune and keeps its traceback.
"""


class LevertuneError(Exception):
    """Base class of every error levertune raises on purpose."""


class UserError(LevertuneError, ValueError):
    """A file, setting or folder the user named is wrong.

    The message reads `where: what is wrong; what was found. What to do.` on one line.
    """


class DataError(UserError):
    """A data file or one of its rows cannot be used."""


class RecipeError(UserError):
    """A recipe key or value is wrong."""


class ModelError(UserError):
    """A model, tokenizer or adapter cannot be found or does not fit."""


class RunError(UserError):
    """A run folder cannot be used, or a run cannot go on."""


class DivergedError(RunError):
    """A training whose loss is no number any more: a fault of one cell, not of the run."""


class EndedElsewhereError(RunError):
    """Another process of the same command met an error and has said it; this one ends in silence.

    Args:
        status: The exit status of that process.
    """

    def __init__(self, status: int) -> None:
        super().__init__("another process of this command ended it.")
        self.status = status


class Terminated(KeyboardInterrupt):  # no error, as its base is none
    """The process was asked to end by SIGTERM, as by a batch system or a shutdown."""
