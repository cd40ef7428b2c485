"""A file of prompts in, a file of answers out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from levertune.data.readers import read_records
from levertune.data.reading_keys import ReadingKeys
from levertune.data.records import Record
from levertune.errors import RunError
from levertune.progress import Progress
from levertune.results.files import require_writable, write_jsonl_atomically
from levertune.serving.adapter import Assistant, find_adapter

_OPTIONS = ReadingKeys(prompt="--prompt")


def generate_file(
    folder: str | Path,
    input: str | Path,
    output: str | Path,
    *,
    prompt: str | None = None,
    max_new_tokens: int | None = None,
    batch_size: int | None = None,
    force: bool = False,
    base: str | None = None,
    trust_remote_code: bool = False,
    progress: Progress | None = None,
) -> int:
    """Answer the prompts of a file, the anchor applied.

    The answers are written as JSON Lines (`id`, `prompt` as in the file, `prediction`,
    `finish_reason`), whole or not at all. What can be wrong with folder, input and output is found
    before the model is loaded.

    Args:
        folder: An adapter folder, or a run folder for its best adapter.
        input: The prompts, in any format of task rows; completions are not needed.
        output: The file to write.
        prompt: Template of the prompt, as `{question}`; None to recognise the column.
        max_new_tokens: Most tokens of an answer; by default as in the adapter's evaluation.
        batch_size: Rows generated together.
        force: Whether to replace an output file that is there.
        base: Folder or Hub name of the base model, where the adapter's own name for it does not
            lead to it.
        trust_remote_code: Whether code that came with the base model may run.
        progress: Where to show progress.

    Returns:
        How many answers were written.

    Raises:
        DataError: If the input cannot be read or a row of it cannot be used.
        ModelError: If the adapter or its base model cannot be used.
        RecipeError: If `max_new_tokens` or `batch_size` is below 1.
        RunError: If the output file is there already or cannot be written.
    """
    folder, target = find_adapter(folder), Path(output)
    require_writable(target)
    if target.exists() and not force:
        raise RunError(
            f"{output}: is there already. Name another file, or replace it with --force."
        )
    if target.exists() and Path(input).exists() and target.samefile(input):
        raise RunError(f"{output}: is the input itself. Name another file.")
    file = read_records(str(input), prompt=prompt, require_completion=False, keys=_OPTIONS)
    assistant = Assistant.load(folder, base=base, trust_remote_code=trust_remote_code)
    assistant.tokenizer.control_tokens.require_none_in(file)
    answers = assistant.answer_many(
        file.records, max_new_tokens=max_new_tokens, batch_size=batch_size, progress=progress
    )
    write_jsonl_atomically(
        target,
        (
            {
                "id": record.id,
                "prompt": _show_prompt(record),
                "prediction": answer.text,
                "finish_reason": answer.finish_reason,
            }
            for record, answer in zip(file.records, answers, strict=True)
        ),
    )
    return len(answers)


def _show_prompt(record: Record) -> Any:
    """A single user turn as its text, a conversation as its turns."""
    if len(record.prompt) == 1:
        return record.user_text
    return [{"role": turn.role, "content": turn.content} for turn in record.prompt]
