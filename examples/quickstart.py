"""The shipped ticket task from Python: train, compare, use. Run: python examples/quickstart.py."""

import levertune as lt

# Your own rows: lt.run(task="tickets.csv", seeds=3). Any setting of the recipe can stand here.
run = lt.run(task="embedded:ticket_codes", **{"task.subset": 48, "evaluation.test_rows": 128})
print(run.verdict)
print(run.best.generate("Message: The door of my locker does not open."))

cells = lt.load_results("runs/ticket_codes")
print(cells[["arm", "seed", "score", "nll_task", "nll_retention"]])
