"""A sampler that runs out of memory halves its batches, and loses no text."""

import importlib.util
import warnings

import pytest

if importlib.util.find_spec("torch") is None:
    pytest.skip("torch is not installed", allow_module_level=True)

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from synimpute_hf.causal_lm import Sampler
from synimpute_hf.errors import SynimputeWarning
from synimpute_hf.records import Candidate, Draw, Failure, Prompt


class Letters:
    """A tokenizer of letters."""

    eos_token_id = 1
    pad_token_id = 0

    def __call__(self, text, add_special_tokens):
        return {"input_ids": [2 + ord(letter) % 60 for letter in text]}

    def decode(self, tokens, skip_special_tokens):
        return "".join(chr(62 + token) for token in tokens if token > 1)


def sampler(most_rows):
    """A tiny random model on a device that holds so many rows."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, eos_token_id=1
    )
    model = LlamaForCausalLM(config).eval()
    rows, forward = [], model.forward

    def limited(input_ids, **kwargs):
        rows.append(len(input_ids))
        # The caches of prompts that were read apart are in memory together once they are written on.
        if len(input_ids) > most_rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return forward(input_ids=input_ids, **kwargs)

    model.forward = limited
    made = Sampler(model, Letters(), temperature=0.7, top_p=1.0, batch_size=16, add_special_tokens=False)
    return made, rows


def prompts(count):
    draws = [Draw("c", "c", i, 0, i, "a", ("a",), ("a",)) for i in range(count)]
    return [Prompt(draw, (), f"text {i}", (), 12, 0, "", f"key{i}") for i, draw in enumerate(draws)]


def write(most_rows, count=40):
    made, rows = sampler(most_rows)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        groups = list(made.answer(iter(prompts(count)), lambda prompt: prompt.text))
    answers = {prompt.key: answer for group in groups for prompt, answer in group}
    assert len(answers) == sum(map(len, groups)) == count
    return answers, rows, [str(w.message) for w in caught if issubclass(w.category, SynimputeWarning)]


def test_batches_are_halved_until_they_fit_and_the_texts_are_the_same():
    plenty, _, none = write(100)
    assert not none
    scarce, rows, warned = write(5)
    assert [message.partition(" now on")[0][-6:] for message in warned] == ["7 from", "3 from"]
    assert len([size for size in rows if size > 5]) == 2  # one try each that did not fit
    assert all(isinstance(answer, Candidate) for answer in scarce.values())
    assert {key: a.text for key, a in scarce.items()} == {key: a.text for key, a in plenty.items()}


def test_one_text_that_does_not_fit_is_a_failure_and_not_an_endless_loop():
    answers, _, _ = write(0, count=3)
    assert all(isinstance(answer, Failure) and "one text at a time" in answer.error for answer in answers.values())
