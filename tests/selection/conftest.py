import pytest

from levertune.data.records import Message, Record


def row(id_, prompt, completion="yes", source="a", stratum=""):
    return Record(str(id_), source, (Message("user", prompt),), completion, (), stratum)


@pytest.fixture(scope="session")
def make_row():
    """Makes a record."""
    return row


@pytest.fixture(scope="session")
def fruit_task():
    """Three task rows about different things."""
    prompts = ("ripe cherries on a tree", "the engine of a train", "a song for the piano")
    return [row(f"t{i}", prompt, "label", "task") for i, prompt in enumerate(prompts)]


@pytest.fixture(scope="session")
def pool():
    """Candidates of three sources, some about the same things."""
    texts = {
        "garden": [
            "When are cherries ripe enough to pick?",
            "Which tree gives the most shade in summer?",
            "How do I prune an apple tree in winter?",
            "Name a flower that blooms at night.",
        ],
        "travel": [
            "Why does a steam engine need water?",
            "When does the night train to the coast leave?",
            "Which harbour is nearest to the border?",
            "Describe the view from a mountain hut.",
        ],
        "music": [
            "Who wrote this piano sonata?",
            "Sing me a song about rain.",
            "What is a fugue built from?",
            "How long should a violinist practise daily?",
        ],
    }
    return [
        row(f"{source}-{i}", text, "Well.", source)
        for source, prompts in texts.items()
        for i, text in enumerate(prompts)
    ]
