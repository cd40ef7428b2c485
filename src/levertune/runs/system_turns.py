"""What becomes of the system turns of rows where the model's chat template has no place for one."""

from __future__ import annotations

from levertune.models.rendering import ChatTokenizer
from levertune.runs.inputs import Inputs


def describe_system_turns(inputs: Inputs, tokenizer: ChatTokenizer) -> list[str]:
    """Say that system turns stand in the user's turn, where some do.

    Args:
        inputs: The inputs.
        tokenizer: The model's tokenizer.

    Returns:
        What a reader should know; nothing where the template writes system turns.
    """
    if tokenizer.has_system_role:
        return []
    files = [file for file in (inputs.task, inputs.test_file, *inputs.general) if file is not None]
    records = [record for file in files for record in file.records] + list(inputs.retention)
    found = [record for record in records if record.prompt and record.prompt[0].role == "system"]
    if not found:
        return []
    sources = ", ".join(sorted({record.source for record in found}))
    return [
        f"Rows with a system turn: {len(found):,} ({sources}). The template of {tokenizer.name} "
        "has none; its text opens their first user turn."
    ]
