"""A metric of one's own for ticket codes: a quarter of a point for an answer of the right form.

Run: PYTHONPATH=examples levertune run examples/demo.yaml \
    task.metric=custom_metric:score output_dir=runs/custom-metric
"""

import re


def score(prediction: str, references: list[str]) -> float:
    """How good one answer is; higher is better, and the metric is the mean over rows.

    Args:
        prediction: What the model answered.
        references: The right answers; any of them will do.

    Returns:
        1 for a right code, 0.25 for anything else that looks like a code, else 0.
    """
    answer = prediction.strip()
    if answer in references:
        return 1.0
    return 0.25 if re.fullmatch(r"[A-Z]\d-[A-Z]{2}", answer) else 0.0
