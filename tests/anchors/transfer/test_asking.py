from levertune.anchors.asking import Answer
from levertune.anchors.transfer.asking import PLAN, greedy_first


def test_the_likeliest_answer_is_asked_for_first_and_then_others():
    asked = []

    def model(name):
        def ask(prompt, *, seed, max_tokens):
            asked.append((name, prompt, seed, max_tokens))
            return Answer(name)

        return ask

    ask = greedy_first(model("greedy"), model("sampled"))
    texts = [ask("p", seed=seed, max_tokens=9).text for seed in PLAN.seeds]
    assert texts == ["greedy", "sampled", "sampled"]
    assert asked[0] == ("greedy", "p", 0, 9)
