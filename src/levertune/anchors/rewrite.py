"""An anchor rewritten by a model from rows that are answered badly with it.

As in APO (Pryzant et al., arXiv 2305.03495), what goes wrong is shown along with the instruction;
here in one question, without a critique between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from levertune.anchors.asking import Ask, UnusableAnswerError
from levertune.anchors.guard import FindFault
from levertune.anchors.meta_prompts import clean_answer, is_fragment
from levertune.anchors.quotes import spoken
from levertune.data.records import Record

MAX_TOKENS = 96
NUM_EXAMPLES = 4
MAX_CHARACTERS = 2_000


def rewrite_anchor(
    text: str,
    worst: Sequence[Record],
    own_text: Callable[[Record], str],
    ask: Ask,
    *,
    seed: int,
    guard: FindFault,
    continue_text: Ask | None = None,
) -> str | None:
    """Ask a model for a better instruction, at most twice.

    Args:
        text: The anchor's words.
        worst: Rows, the worst answered first; those too long to be shown are passed over whole.
        own_text: Gives a row's own text.
        ask: Asks the model.
        seed: Seed of its sampling.
        guard: Says what makes a text unusable, as `guard.make_guard` does.
        continue_text: Lets the model go on with a bare text, where its answer to the request is of
            no use; None to ask once only.

    Returns:
        The new words; None if no answer is usable, or there is no row to show.

    Raises:
        AskError: If the model cannot be asked.
    """
    shown = _choose_rows(worst, own_text)
    if not shown:
        return None
    examples = "\n\n".join(f"Input: {own_text(r).strip()}\nOutput: {r.completion}" for r in shown)
    asked = [("request", ask, _request(text, examples))]
    if continue_text is not None:
        asked.append(("worksheet", continue_text, _worksheet(text, examples)))
    for form, model, prompt in asked:
        try:
            answer = model(prompt, seed=seed, max_tokens=MAX_TOKENS)
        except UnusableAnswerError:
            continue
        found = clean_answer(answer.text, form, is_finished=answer.is_finished)
        is_new = not is_fragment(found) and spoken(found) != spoken(text)
        if is_new and guard(found) is None:
            return found
    return None


def _choose_rows(worst: Sequence[Record], own_text: Callable[[Record], str]) -> list[Record]:
    room = MAX_CHARACTERS / NUM_EXAMPLES
    short = [row for row in worst if len(own_text(row)) + len(row.completion) <= room]
    return short[:NUM_EXAMPLES]


def _request(text: str, examples: str) -> str:
    return (
        f"This instruction stands before every input of one task:\n\n{text}\n\nThe inputs below "
        "are answered badly with it. Under each stands the output that is right for it.\n\n"
        f"{examples}\n\nWrite a better instruction, one that leads from every such input to its "
        "output. Do not quote an input or a whole output. Reply with the instruction alone, in "
        "one to three sentences."
    )


def _worksheet(text: str, examples: str) -> str:
    return (
        f'The old instruction of a worksheet was: "{text}"\n\nSolved examples that it did not '
        f'explain well:\n\n{examples}\n\nThe new, clearer instruction of this worksheet is: "'
    )
