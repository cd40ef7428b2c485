"""How many codes of `ticket_codes` logistic regression names after 48 rows, as a guide.

The figure of docs/reference/embedded-data.md. Needs scikit-learn (the `dev` extra):

    python scripts/embedded/measure_tickets.py
"""

from __future__ import annotations

import json
import random

from make import DATA_DIR

NUM_ROWS = 48
NUM_DRAWS = 6

# Inverse strength of the regularisation: scikit-learn's default, and a hundredth of it.
STRENGTHS = (1.0, 100.0)


def read_tickets(split: str) -> tuple[list[str], list[str]]:
    """Prompts and codes of a split."""
    path = DATA_DIR / "tasks" / "ticket_codes" / f"{split}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row["prompt"] for row in rows], [row["response"] for row in rows]


def measure(seed: int, strength: float) -> float:
    """Share of the test messages whose code is right, after training on one draw of the rows.

    Args:
        seed: Draws the rows.
        strength: Inverse strength of the regularisation, `C`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    prompts, codes = read_tickets("train")
    drawn = random.Random(seed).sample(range(len(prompts)), NUM_ROWS)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=strength, max_iter=1000))
    model.fit([prompts[i] for i in drawn], [codes[i] for i in drawn])
    return float(model.score(*read_tickets("test")))


def main() -> None:
    """Print the range over the draws."""
    _, codes = read_tickets("test")
    print(f"{NUM_ROWS} training rows, {len(codes)} test messages, {NUM_DRAWS} draws:")
    for strength in STRENGTHS:
        shares = [measure(seed, strength) for seed in range(NUM_DRAWS)]
        print(f"C = {strength:g}: {min(shares):.0%} to {max(shares):.0%} right")
    print(f"chance: {1 / len(set(codes)):.0%}")


if __name__ == "__main__":
    main()
