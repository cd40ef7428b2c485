"""Time and memory of the leak gate: general rows against test rows, with leaks planted.

Run: python benchmarks/leak_gate.py [--general ROWS] [--test ROWS]
The target is 60 s and 1 GB for 100,000 general and 1,000 test rows on two cores. Rows are made of
words as unevenly frequent as in English; a fifth of the general and of the test rows come from
templates, and none of these may be found. Printed are also the share of the planted leaks that were
found, and the rows found that were not planted.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter

from levertune.data.leaks import find_leaks, strongest_by_row
from levertune.data.records import Message, Record

_SYLLABLES = [a + b for a in "bdfgklmnprstv" for b in ("a", "e", "i", "o", "u", "ar", "en", "il")]
_NUM_WORDS = 30_000
_NUM_TEMPLATES = 40
_PLANTED_EACH = 100


class RowMaker:
    """Makes rows.

    Args:
        seed: Seed of the words and templates.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        words = {
            "".join(self.random.choices(_SYLLABLES, k=self.random.randint(1, 4)))
            for _ in range(2 * _NUM_WORDS)
        }
        self.words = sorted(words)
        self.random.shuffle(self.words)
        total, self.weights = 0.0, []
        for rank in range(1, len(self.words) + 1):
            total += 1 / rank
            self.weights.append(total)
        self.templates = [self.text(6, 20).split() for _ in range(_NUM_TEMPLATES)]

    def text(self, shortest: int, longest: int) -> str:
        """Words as unevenly frequent as in English (Zipf's law)."""
        count = self.random.randint(shortest, longest)
        return " ".join(self.random.choices(self.words, cum_weights=self.weights, k=count))

    def row(self, number: int, source: str) -> Record:
        """A row of its own text, or one of a template with a word and two numbers filled in."""
        if self.random.random() < 0.2:
            words = list(self.random.choice(self.templates))
            words.insert(2, self.random.choice(self.words))
            words.insert(4, str(self.random.randint(1, 20)))
            words.append(str(self.random.randint(1, 20)))
            return _record(number, source, " ".join(words), str(self.random.randint(1, 40)))
        return _record(number, source, self.text(6, 60), self.text(1, 80))

    def leak(self, record: Record, kind: str) -> tuple[str, str]:
        """A general row's prompt and completion that leak a test row."""
        words = record.user_text.split()
        if kind == "case and space":
            return "  ".join(words).upper(), record.completion
        if kind == "one word reworded":
            words[self.random.randrange(len(words))] = "qqq"
            return " ".join(words), record.completion
        if kind == "in a longer row":
            return f"{self.text(3, 30)} {record.user_text} {self.text(3, 30)}", self.text(1, 20)
        if kind == "13 words of a long row":
            start = self.random.randrange(len(words) - 12)
            run = " ".join(words[start : start + 13])
            return f"{self.text(8, 30)} {run} {self.text(8, 30)}", self.text(1, 20)
        return record.user_text, record.completion


KINDS = (
    "exact",
    "case and space",
    "one word reworded",
    "in a longer row",
    "13 words of a long row",
)


def make_rows(num_general: int, num_test: int) -> tuple[list[Record], list[Record], dict[str, str]]:
    """General rows, test rows, and what was planted by the id of the general row."""
    maker = RowMaker(seed=0)
    test = [maker.row(i, "task") for i in range(num_test)]
    general = [maker.row(i, "general") for i in range(num_general)]
    own = [record for record in test if not record.completion.isdigit()]
    planted = {}
    places = maker.random.sample(range(num_general), _PLANTED_EACH * len(KINDS))
    for position, place in enumerate(places):
        kind = KINDS[position % len(KINDS)]
        least = 13 if kind.startswith("13") else 8 if "longer" in kind else 6
        record = maker.random.choice([r for r in own if len(r.user_text.split()) >= least])
        general[place] = _record(place, "general", *maker.leak(record, kind))
        planted[general[place].id] = kind
    return general, test, planted


def _record(number: int, source: str, prompt: str, completion: str) -> Record:
    return Record(str(number), source, (Message("user", prompt),), completion)


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time and memory of the leak gate.")
    parser.add_argument("--general", type=int, default=100_000, metavar="ROWS")
    parser.add_argument("--test", type=int, default=1_000, metavar="ROWS")
    args = parser.parse_args()
    num_general, num_test = args.general, args.test
    general, test, planted = make_rows(num_general, num_test)
    before = _peak_megabytes()
    start, cpu = time.perf_counter(), time.process_time()
    leaks = find_leaks(general, test)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = _peak_megabytes()
    print(
        f"{num_general:,} general x {num_test:,} test rows: {seconds:.1f} s ({cpu:.1f} s of CPU), "
        f"peak {peak:.0f} MB, of which {peak - before:.0f} MB on top of the rows"
    )
    found = strongest_by_row(leaks)
    kinds = {leak.id: leak.kind for leak in found}
    for kind in KINDS:
        ids = [i for i, planted_kind in planted.items() if planted_kind == kind]
        seen = Counter(kinds[i] for i in ids if i in kinds)
        as_kinds = ", ".join(f"{count} {name}" for name, count in seen.most_common())
        print(f"  planted {kind}: {sum(seen.values())} of {len(ids)} found ({as_kinds})")
    others = Counter(leak.kind for leak in found if leak.id not in planted)
    print(f"  not planted: {sum(others.values())} found {dict(others) or ''}")


if __name__ == "__main__":
    main()
