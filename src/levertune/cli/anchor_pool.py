"""`levertune anchor pool`: the shared collection of anchors."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from levertune.cli.arguments import (
    add_output_arguments,
    add_recipe_arguments,
    make_terminal,
    positive_number,
    read_recipe,
)
from levertune.cli.terminal import Terminal

if TYPE_CHECKING:
    from levertune.anchors.pool.merge import Pool
    from levertune.anchors.pool.ranking import Ranked
    from levertune.anchors.pool.search import Match

_SHOWN_CHARACTERS = 90
_RIVALS = {"sft": "SFT", "base": "base"}
# What only a new entry is asked for.
_NEW = ("kind", "about", "language", "licence", "author", "rows")


def add_parser(subparsers: Any) -> None:
    """Add the action's parser."""
    parser = subparsers.add_parser(
        "pool",
        help="look into the shared collection of anchors",
        description="A collection of anchors, each a small file that people can review.",
    )
    steps = parser.add_subparsers(dest="step", metavar="STEP", title="steps", required=True)

    listing = _add_step(steps, "list", "List the anchors, those measured best first.")
    _add_places(listing)

    show = _add_step(steps, "show", "Print one anchor with its examples and evidence.")
    show.add_argument("id", metavar="ID", help="of the anchor, as invoice-to-json")
    _add_places(show)

    search = _add_step(steps, "search", "Find anchors of tasks like yours.")
    add_recipe_arguments(search)
    search.add_argument(
        "--num", metavar="N", type=positive_number, default=10, help="how many to give"
    )
    search.add_argument(
        "--language", metavar="TAG", action="append", default=[], help="of the rows, as en or is"
    )
    _add_places(search)

    check = _add_step(steps, "check", "Say everything that is wrong in a pool.")
    check.add_argument("folder", metavar="FOLDER", help="folder of the pool")
    add_output_arguments(check)

    add = _add_step(
        steps,
        "add",
        "Write the anchor of a finished run into a pool, with what the run measured. Only the rows "
        "you name are published. An entry that is there, of the same text, gets the gain alone.",
    )
    add.add_argument("run", metavar="RUN", help="the run folder")
    add.add_argument("--to", metavar="FOLDER", required=True, help="folder of the pool")
    add.add_argument("--id", metavar="ID", required=True, help="as invoice-to-json")
    add.add_argument("--kind", metavar="KIND", help="of a new entry, as field-extraction")
    add.add_argument("--about", metavar="SENTENCE", help="of a new entry: what the task is")
    add.add_argument(
        "--language", metavar="TAG", action="append", help="of a new entry's rows, as en or is"
    )
    add.add_argument("--licence", metavar="SPDX", help="of a new entry, as CC0-1.0")
    add.add_argument("--author", metavar="NAME", help="of a new entry")
    add.add_argument(
        "--rows", metavar="ID", nargs="+", help="of a new entry: ids of the rows to publish"
    )
    add_output_arguments(add)

    verify = _add_step(
        steps,
        "verify",
        "Compute the gain of a run anew and mark it as verified. For who keeps a collection.",
    )
    verify.add_argument("file", metavar="FILE", help="the entry")
    verify.add_argument("run", metavar="RUN", help="the run folder that its evidence is of")
    add_output_arguments(verify)


def run(args: argparse.Namespace) -> int:
    """Do one step.

    Returns:
        0, or 1 where a pool that was checked has faults.

    Raises:
        UserError: If a pool, a run or a file cannot be used.
    """
    terminal = make_terminal(args)
    return _STEPS[args.step](args, terminal)


def _list(args: argparse.Namespace, terminal: Terminal) -> int:
    from levertune.anchors.pool.ranking import rank_entries

    ranked = rank_entries(_read(args, terminal).entries)
    columns = ("id", "kind", "answer", "languages", "gain", "text")
    rows = [
        (
            one.entry.id, one.entry.kind, one.entry.answer, " ".join(one.entry.languages),
            _gain(one), _short(one.entry.text),
        )
        for one in ranked
    ]  # fmt: skip
    terminal.table(columns, rows)
    terminal.note(f"{len(rows)} anchors; use one with anchor.text=pool:ID")
    terminal.result({"anchors": [_as_json(one) for one in ranked]})
    return 0


def _show(args: argparse.Namespace, terminal: Terminal) -> int:
    from levertune.anchors.pool.writing import format_entry

    entry = _read(args, terminal).find(args.id)
    terminal.say(format_entry(entry).rstrip())
    terminal.result(entry.to_mapping())
    return 0


def _search(args: argparse.Namespace, terminal: Terminal) -> int:
    from levertune.anchors.pool.ranking import suggest_anchors
    from levertune.anchors.pool.search import MIN_WORDS
    from levertune.runs.inputs import read_task, task_languages, training_rows
    from levertune.scoring.kinds import recognise_kind

    recipe = read_recipe(args)
    task, test_file = read_task(recipe)
    rows_seen = training_rows(recipe, task, test_file)
    kind = recognise_kind([record.completion for record in task.records])
    pool = _read(args, terminal, recipe.anchor.pools)
    found = suggest_anchors(
        pool.entries,
        rows_seen,
        answer=kind.kind,
        languages=args.language or task_languages(recipe),
        num_similar=args.num,
    )
    columns = ("id", "kind", "likeness", "gain", "text")
    rows = [
        (
            one.ranked.entry.id, one.ranked.entry.kind, _likeness(one.match),
            _gain(one.ranked), _short(one.ranked.entry.text),
        )
        for one in found
    ]  # fmt: skip
    terminal.table(columns, rows, title=f"Anchors for {task.path} (answers: {kind.kind})")
    if found and found[0].match.is_alike:
        words = _settings_for(rows[0][0], pool, recipe.anchor.pools)
        terminal.note(f"next: levertune run with {words}")
    else:
        terminal.note(
            f"no anchor is of a task enough like these rows: a likeness of {MIN_WORDS} is asked for"
        )
    told = [
        {**_as_json(o.ranked), "likeness": o.match.words, "is_alike": o.match.is_alike}
        for o in found
    ]
    terminal.result({"anchors": told})
    return 0


def _check(args: argparse.Namespace, terminal: Terminal) -> int:
    from levertune.anchors.pool.check import check_pool

    findings = check_pool(args.folder)
    for finding in findings:
        terminal.say(("fault: " if finding.is_fault else "look at: ") + finding.message)
    faults = sum(finding.is_fault for finding in findings)
    terminal.note(f"{args.folder}: faults: {faults}, to look at: {len(findings) - faults}")
    terminal.result({"findings": [asdict(finding) for finding in findings]})
    return 1 if faults else 0


def _add(args: argparse.Namespace, terminal: Terminal) -> int:
    from levertune.anchors.pool.reading import read_entry
    from levertune.runs.pool_contribution import NewEntry, contribute_run

    given = {name: getattr(args, name) for name in _NEW if getattr(args, name)}
    path, is_new = contribute_run(args.run, args.to, args.id, NewEntry(**given))
    terminal.say(f"written: {path}")
    if is_new:
        terminal.note(
            f"published rows: {', '.join(args.rows)}; look at the file before you share it"
        )
    else:
        terminal.note("the entry was there: its words, examples and votes stay, the gain is added")
    terminal.result({"path": str(path), **read_entry(path).to_mapping()})
    return 0


def _verify(args: argparse.Namespace, terminal: Terminal) -> int:
    from levertune.anchors.pool.evidence import verify_evidence
    from levertune.anchors.pool.reading import read_entry
    from levertune.anchors.pool.writing import write_entry_file
    from levertune.data.home_folder import expand_home

    path = expand_home(args.file)
    entry = verify_evidence(read_entry(path), args.run)
    write_entry_file(path, entry)  # the file that was named, be there an `entries/` beside it
    terminal.say(f"verified: {path}")
    terminal.note("gains count as verified in the collection that comes with levertune alone")
    terminal.result({"path": str(path), **entry.to_mapping()})
    return 0


def _add_step(steps: Any, name: str, description: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = steps.add_parser(
        name, description=description, help=description[0].lower() + description[1:].rstrip(".")
    )
    return parser


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pool",
        metavar="PLACE",
        action="append",
        default=[],
        help="a further pool: a folder, git+URL or hub:NAME",
    )
    add_output_arguments(parser)


def _read(args: argparse.Namespace, terminal: Terminal, pools: Sequence[str] = ()) -> Pool:
    from levertune.anchors.pool.merge import merge_pools
    from levertune.anchors.pool.places import SHIPPED

    pool = merge_pools((SHIPPED, *pools, *args.pool))
    for note in pool.notes:
        terminal.warn(note)
    return pool


def _settings_for(entry_id: str, pool: Pool, pools: Sequence[str]) -> str:
    """What to type for a run with an entry, where the recipe has some pools already."""
    from levertune.anchors.pool.places import SHIPPED
    from levertune.recipes.yaml_text import format_value
    from levertune.results.url_secrets import without_url_secrets

    words = [f"anchor.text=pool:{entry_id}"]
    place = pool.places[entry_id]
    if place not in (SHIPPED, *pools):
        shown = [without_url_secrets(one) for one in (*pools, place)]
        words.append(shlex.quote(f"anchor.pools={format_value(shown)}"))
    return " ".join(words)


def _likeness(match: Match) -> str:
    return f"{match.words:.2f}" if match.is_alike else f"{match.words:.2f}, unlike"


def _gain(ranked: Ranked) -> str:
    from levertune.anchors.pool.ranking import claimed_gain

    if ranked.gain is None or ranked.error is None:
        claimed = claimed_gain(ranked.entry)
        if claimed is None:
            return "not measured"
        return f"{claimed[0]:+.1f} over {_RIVALS[claimed[1]]}, unverified"
    against = _RIVALS[ranked.against or "base"]
    return f"{ranked.gain:+.1f} over {against} (se {ranked.error:.1f}, {ranked.num_runs} runs)"


def _as_json(ranked: Ranked) -> dict[str, Any]:
    return {
        **ranked.entry.to_mapping(),
        "gain": ranked.gain,
        "gain_se": ranked.error,
        "against": ranked.against,
        "is_verified": ranked.is_verified,
    }


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 3] + "..."


_STEPS = {
    "list": _list,
    "show": _show,
    "search": _search,
    "check": _check,
    "add": _add,
    "verify": _verify,
}
