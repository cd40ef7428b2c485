"""What a model is asked so that it betters an anchor: rows, how they went, and what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_MAX_TEXT = 1_500
_MAX_QUOTED = 300
_MAX_LISTED = 5

_ASK = """\
An instruction stands on every input of a task. A language model that was not trained for the task \
reads both, and the right output should be likely to it. Better the instruction.

The instruction now:
<instruction>
{instruction}
</instruction>

Inputs with the right output, and how surprised the model is by that output under this instruction \
(nats per token: 0 is not at all, more is worse):

{rows}
{failures}
Find out what the surprising outputs have in common that the instruction does not say: which form \
an output has, which values it may take, what decides between them. Write one instruction that \
says it, for all inputs of the task and not for these alone. Do not quote an input or a whole \
output. Reply with the instruction alone, in one to three sentences."""


def write_reflection(
    instruction: str,
    rows: Sequence[Mapping[str, str]],
    *,
    refused: Sequence[tuple[str, str]] = (),
    worse: Sequence[str] = (),
) -> str:
    """What to ask a model.

    Args:
        instruction: The anchor that is to be bettered.
        rows: Names and texts of what there is to know of each row.
        refused: Texts that were refused, with the reason; the last few are shown.
        worse: Texts that made the answers no likelier; the last few are shown.

    Returns:
        The prompt. Long texts are cut, which it says.
    """
    shown = "\n\n".join(
        "\n".join(f"{name}: {_cut(text, _MAX_TEXT)}" for name, text in row.items()) for row in rows
    )
    failures = ""
    if refused:
        failures += "\nThese were refused and may not be used:\n" + "".join(
            f"- {_cut(text, _MAX_QUOTED)}\n  Refused: it {fault}.\n"
            for text, fault in refused[-_MAX_LISTED:]
        )
    if worse:
        failures += "\nThese made the right outputs no likelier:\n" + "".join(
            f"- {_cut(text, _MAX_QUOTED)}\n" for text in worse[-_MAX_LISTED:]
        )
    # Not str.format: rows may hold braces. What comes from rows is put in last.
    prompt = _ASK.replace("{instruction}", instruction, 1)
    head, _, tail = prompt.rpartition("{rows}\n{failures}")
    return f"{head}{shown}\n{failures}{tail}"


def _cut(text: str, length: int) -> str:
    text = text.strip()
    more = len(text) - length
    return text if more <= 0 else f"{text[:length]} [{more} more characters]"
