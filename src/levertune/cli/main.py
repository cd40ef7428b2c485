"""The dispatcher: finds the verb's module, runs it, and turns errors into lines and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from levertune import __version__
from levertune.cli.help_text import HelpWithDefaults
from levertune.cli.processes import run_in_processes
from levertune.data.printable import printable
from levertune.errors import EndedElsewhereError, Terminated, UserError
from levertune.results.full_disk import find_full_disk
from levertune.results.url_secrets import without_url_secrets

# Verb -> module and help. A module is imported when its verb is used, so that `--help` is quick.
VERBS = {
    "init": ("levertune.cli.init", "write an annotated recipe for a file"),
    "check": ("levertune.cli.check", "look at the data before anything is trained"),
    "run": ("levertune.cli.run", "train and compare the arms of a recipe"),
    "compare": ("levertune.cli.compare", "one finished run against another, row by row"),
    "report": ("levertune.cli.report", "write the page of a finished run"),
    "chat": ("levertune.cli.chat", "talk to an adapter"),
    "generate": ("levertune.cli.generate", "answer the prompts of a file with an adapter"),
    "tune": ("levertune.cli.tune", "choose settings by measurement inside the training rows"),
    "anchor": ("levertune.cli.anchor", "write, score and share the text on every task prompt"),
    "mix": ("levertune.cli.mix", "one stage: the mixture and its manifest"),
    "train": ("levertune.cli.train", "one stage: the adapters"),
    "eval": ("levertune.cli.eval", "one stage: predictions and scores"),
    "env": ("levertune.cli.env", "versions, hardware and the embedded model"),
    "schema": ("levertune.cli.schema", "the recipe's JSON schema"),
}

RESUMABLE = frozenset({"run", "tune", "mix", "train", "eval"})

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
EXIT_TERMINATED = 143

_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What the system says of a file or folder that the user may not read or write."""

_EPILOG = """\
first steps:
  levertune run --task my.jsonl        everything else defaulted and said aloud
  levertune init my.jsonl              an annotated recipe for that file
  levertune run recipe.yaml seeds=3    any setting can follow as key=value
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Its words, without the program's name; those of the process if None.

    Returns:
        The exit status: 0, 1 if a part failed and the rest is done, 2 for a mistake the user can
        mend, 130 after Ctrl-C, 141 if the reader of the output went away, 143 after SIGTERM.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    # Read when torch is loaded, later. Threads that wait long awake, as by default, make torch many
    # times slower as soon as another program wants a core (LOG.md 2026-11-22).
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    _print_whatever_comes()
    try:
        with _terminable():
            status = _status_of(words)
        sys.stdout.flush()
        return status
    except EndedElsewhereError as error:
        return error.status
    except UserError as error:
        return _fail(" ".join(str(error).split()))
    except KeyboardInterrupt as error:
        _say(_after_interrupt(words))
        return EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED
    except BrokenPipeError:
        _close_output()
        return EXIT_BROKEN_PIPE
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            name = str(error.filename)[:60]
            return _fail(f"{name}...: is too long for the name of a file. Name one that there is.")
        if isinstance(error, OSError) and error.filename and error.errno in _NOT_ALLOWED:
            _settle_output()
            return _fail(
                f"{error.filename}: {error.strerror}. Check its permissions, or name another."
            )
        full = find_full_disk(error)
        if full is None:
            raise
        place = f"{full.filename}: " if full.filename else ""
        _settle_output()
        return _fail(
            f"{place}{full.strerror}. Free some space, then type the same command again: "
            f"{_command(words)}"
        )


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C is taken, unless the caller takes it in another way."""
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(*args: object) -> None:
    raise Terminated


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, as all others are, and whose help tells defaults."""

    def __init__(self, **options: Any) -> None:
        """As argparse's.

        Args:
            options: What `argparse.ArgumentParser` takes.
        """
        super().__init__(**{"formatter_class": HelpWithDefaults, **options})

    def error(self, message: str) -> NoReturn:
        """Refuse the words.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message} (see: {self.prog} --help)")


def build_parser(verb: str | None) -> argparse.ArgumentParser:
    """The parser, with the options of one verb only.

    Args:
        verb: The verb used; None, or an unknown word, gives the overview of all.
    """
    parser = OneLineParser(
        prog="levertune",
        description="Fine-tune a language model on 20 to 5,000 examples by leverage learning, "
        "and say with error bars whether it paid.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"levertune {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, (module, summary) in VERBS.items():
        if verb == name:
            importlib.import_module(module).add_parser(subparsers)
        elif verb not in VERBS:
            subparsers.add_parser(name, help=summary)
    return parser


def _status_of(words: list[str]) -> int:
    try:
        return _dispatch(words)
    except SystemExit as exit_:  # argparse, after --help
        return exit_.code if isinstance(exit_.code, int) else 0


def _dispatch(words: list[str]) -> int:
    verb = next((word for word in words if not word.startswith("-")), None)
    parser = build_parser(verb)
    if verb is None and not words:
        parser.print_help()
        return 0
    args, left = parser.parse_known_args(words)
    if args.verb is None:
        parser.error("name a verb")
    # argparse stops reading key=value words at the first option; they may stand after it too.
    unknown = [word for word in left if word.startswith("-") or not hasattr(args, "inputs")]
    if unknown:
        raise UserError(
            f"{args.verb} does not know {' '.join(unknown)} (see: levertune {args.verb} --help)"
        )
    if left:
        args.inputs = [*args.inputs, *left]
    module, _ = VERBS[args.verb]
    return run_in_processes(args, importlib.import_module(module).run)


def _after_interrupt(words: list[str]) -> str:
    verb = next((word for word in words if not word.startswith("-")), "")
    if verb in RESUMABLE or words[:2] == ["anchor", "learn"]:
        return f"interrupted. What is done is kept; to go on: {_command(words)}"
    return "interrupted."


def _command(words: list[str]) -> str:
    return f"levertune {shlex.join(words)}"


def _print_whatever_comes() -> None:
    """Let no character end a command that the encoding of its output does not have."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a caller's own stream may have none
        if reconfigure is not None and stream.errors in ("strict", "surrogateescape"):
            reconfigure(errors="backslashreplace")


def _fail(message: str) -> int:
    _say(f"error: {message}")
    return EXIT_USER_ERROR


def _say(line: str) -> None:
    line = without_url_secrets(line)  # what is printed may end up in a log
    print(printable(line).replace("\n", "?").replace("\t", " "), file=sys.stderr)


def _settle_output() -> None:
    """Give up what is still to be printed if it cannot be, as `> /dev/full`."""
    try:
        sys.stdout.flush()
    except OSError:
        _close_output()


def _close_output() -> None:
    """Keep Python from complaining about the closed pipe when it shuts down."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
