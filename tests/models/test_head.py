import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from levertune.models.adapters import attach_lora
from levertune.models.head import select_logits, unwrap_model


@pytest.fixture(params=["tied", "untied", "adapted"])
def model(request):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=request.param == "tied",
    )
    model = LlamaForCausalLM(config)
    if request.param == "adapted":
        model = attach_lora(model, r=2, alpha=4, dropout=0.0, target_modules="all-linear")
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter)
    return model.eval()


INPUTS = {
    "input_ids": torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]),
}
SELECTED = torch.tensor([[False, True, False, True], [True, False, False, False]])
INDEX = torch.tensor([1, 3, 4])


def num_hooks(model) -> int:
    return len(unwrap_model(model).get_output_embeddings()._forward_pre_hooks)


def test_selected_logits_are_those_of_the_full_pass(model):
    with torch.no_grad():
        full = model(**INPUTS).logits[SELECTED]
        selected = select_logits(model, INPUTS, INDEX)
    torch.testing.assert_close(selected, full, rtol=1e-5, atol=1e-6)
    assert num_hooks(model) == 0


def test_gradients_are_those_of_the_full_pass(model):
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    model(**INPUTS).logits[SELECTED].pow(2).sum().backward()
    full = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    select_logits(model, INPUTS, INDEX).pow(2).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, full[name], rtol=1e-4, atol=1e-5)


def test_the_hook_goes_also_when_the_pass_fails(model):
    with pytest.raises(IndexError):
        select_logits(model, {"input_ids": torch.tensor([[10_000]])}, torch.tensor([0]))
    assert num_hooks(model) == 0
    assert model(**INPUTS).logits.shape == (2, 4, 50)


def test_wrappers_are_looked_through(model):
    class Parallel(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = model

        def forward(self, **inputs):
            return self.module(**inputs)

    assert unwrap_model(Parallel()) is unwrap_model(model)
    with torch.no_grad():
        selected = select_logits(Parallel(), INPUTS, INDEX)
    assert selected.shape == (3, 50)


def test_dense_hidden_states_change_no_logits_and_the_hook_goes(model):
    from levertune.models.head import contiguous_head_input

    with torch.no_grad():
        expected = model(**INPUTS, logits_to_keep=1).logits
        with contiguous_head_input(model):
            torch.testing.assert_close(model(**INPUTS, logits_to_keep=1).logits, expected)
    assert num_hooks(model) == 0
