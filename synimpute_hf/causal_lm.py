"""Batched sampling from a causal language model, with a random stream of its own for each text.

Each token is drawn by inverting the cumulative distribution at a number that belongs to the text and its position,
so that what else is in the batch changes an answer through rounding only. Rows that are done leave the batch.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Union

import numpy as np
import torch
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from .errors import GeneratorError, SynimputeWarning
from .records import Candidate, Failure, Prompt

__all__ = ["Sampler", "best_dtype"]

Answer = tuple[Prompt, Union[Candidate, Failure]]  # noqa: UP007
TAIL_TOKENS = 12
BATCH_TOKENS = 16_384
CPU_PREFILL_ROWS = 8


@dataclass
class _Row:
    """One text while it is written."""

    prompt: Prompt
    ids: list[int]
    uniforms: np.ndarray
    tokens: list[int] = field(default_factory=list)


class _Done(NamedTuple):
    """A finished text."""

    row: _Row
    text: str
    finish_reason: str


def best_dtype() -> torch.dtype:
    """Return bfloat16 where the hardware computes in it, else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if supported else torch.float32


class Sampler:
    """Writes texts with a loaded model.

    Args:
        model: a causal language model of transformers, in eval mode.
        tokenizer: its tokenizer.
        temperature: 0 takes the likeliest token, 0.7 is the paper's.
        top_p: nucleus; 1.0 keeps every token.
        batch_size: texts written side by side, at most.
        add_special_tokens: whether prompts need the tokenizer's opening token (not after a chat template).
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, temperature: float, top_p: float, batch_size: int, add_special_tokens: bool
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._temperature = temperature
        self._top_p = top_p
        self._batch_size = batch_size
        self._add_special_tokens = add_special_tokens
        self._context = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or 10**9)
        self._ends = _end_tokens(model, tokenizer)
        # Layers with a window or a state of their own are not plain tensors that could be laid side by side.
        self._mergeable = all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)

    def answer(self, prompts: Iterator[Prompt], text_of: Callable[[Prompt], str]) -> Iterator[list[Answer]]:
        """Answer prompts in groups, as they get done; batches are filled by length, the longest first.

        Args:
            prompts: taken a few batches at a time.
            text_of: gives what the model sees, chat template applied.
        """
        while window := list(islice(prompts, 4 * self._batch_size)):
            rows: list[_Row] = []
            too_long: list[Answer] = []
            for prompt in window:
                row = self._row(prompt, text_of(prompt))
                if len(row.ids) + prompt.max_tokens > self._context:
                    too_long.append((prompt, Failure(prompt.key, self._too_long(row))))
                else:
                    rows.append(row)
            if too_long:
                yield too_long
            rows.sort(key=lambda row: -len(row.ids))
            for batch in _split(rows, self._batch_size):
                yield from self._write_in_memory(batch)

    def _write_in_memory(self, rows: list[_Row]) -> Iterator[list[Answer]]:
        """Write a batch; where the memory does not hold it, in halves, and so from then on."""
        waiting = [rows]
        while waiting:
            batch = waiting.pop()
            if len(batch) > self._batch_size:
                waiting += [batch[self._batch_size :], batch[: self._batch_size]]
                continue
            handed: set[str] = set()
            said = ""
            try:
                for group in self._write(batch):
                    handed.update(prompt.key for prompt, _ in group)
                    yield group
            except torch.OutOfMemoryError as error:
                said = str(error).partition(".")[0]
            if not said:
                continue
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            rest = [_Row(row.prompt, row.ids, row.uniforms) for row in batch if row.prompt.key not in handed]
            if len(batch) == 1:
                yield [(row.prompt, Failure(row.prompt.key, f"{said}, with one text at a time")) for row in rest]
                continue
            self._batch_size = len(batch) // 2
            warnings.warn(
                f"The memory does not hold {len(batch)} texts side by side ({said}): {self._batch_size} from now on. "
                f"Say batch_size={self._batch_size} to begin with that.",
                SynimputeWarning,
                stacklevel=2,
            )
            waiting.append(rest)

    def _too_long(self, row: _Row) -> str:
        return (
            f"the prompt has {len(row.ids)} tokens and the answer may have {row.prompt.max_tokens}, more than the "
            f"model's context of {self._context}"
        )

    def _row(self, prompt: Prompt, text: str) -> _Row:
        ids = self._tokenizer(text, add_special_tokens=self._add_special_tokens)["input_ids"]
        uniforms = np.random.Generator(np.random.Philox(key=prompt.draw.seed)).random(prompt.max_tokens)
        return _Row(prompt, ids, uniforms)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _write(self, rows: list[_Row]) -> Iterator[list[Answer]]:
        """Write one batch; yields each group of rows when it leaves."""
        started = time.perf_counter()
        total = len(rows)
        device = self._model.device
        logits, cache, mask = self._read(rows)
        active = list(range(total))  # the row behind each line of the cache
        waiting: list[_Done] = []
        while True:
            tokens = self._choose(logits, [rows[i] for i in active])
            keep = []
            for line, (i, token) in enumerate(zip(active, tokens, strict=True)):
                rows[i].tokens.append(token)
                done = self._finished(rows[i])
                if done is None:
                    keep.append(line)
                else:
                    waiting.append(done)
            if not keep:
                break
            if len(keep) < len(active):
                # A full set of lines costs more than the copy that removes the ones that are done.
                index = torch.tensor(keep, device=device)
                cache.batch_select_indices(index)
                mask = mask[index]
                tokens = [tokens[line] for line in keep]
                active = [active[line] for line in keep]
                if len(waiting) >= max(4, total // 4):
                    yield _timed(waiting, started)
                    started, waiting = time.perf_counter(), []
            mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=1)
            output = self._model(
                input_ids=torch.tensor(tokens, device=device)[:, None],
                attention_mask=mask,
                position_ids=mask.sum(1, keepdim=True) - 1,
                past_key_values=cache,
                use_cache=True,
            )
            logits = output.logits[:, -1]
        yield _timed(waiting, started)

    def _read(self, rows: Sequence[_Row]) -> tuple[torch.Tensor, DynamicCache, torch.Tensor]:
        """Read the prompts; returns the logits after their last token, the cache and its mask.

        On a CPU a few rows at a time: their activations stay in the processor's cache, and prompts of one length,
        which stand side by side, need little padding.
        """
        size = CPU_PREFILL_ROWS if self._model.device.type == "cpu" and self._mergeable else len(rows)
        parts = [self._prefill(rows[start : start + size]) for start in range(0, len(rows), size)]
        if len(parts) == 1:
            return parts[0]
        width = max(mask.shape[1] for _, _, mask in parts)
        merged = DynamicCache(config=self._model.config)
        for index in range(len(parts[0][1].layers)):
            layers = [(cache.layers[index], width - mask.shape[1]) for _, cache, mask in parts]
            keys = torch.cat([pad(layer.keys, (0, 0, missing, 0)) for layer, missing in layers])
            values = torch.cat([pad(layer.values, (0, 0, missing, 0)) for layer, missing in layers])
            merged.update(keys, values, index)
        masks = torch.cat([pad(mask, (width - mask.shape[1], 0)) for _, _, mask in parts])
        return torch.cat([logits for logits, _, _ in parts]), merged, masks

    def _prefill(self, rows: Sequence[_Row]) -> tuple[torch.Tensor, DynamicCache, torch.Tensor]:
        width = max(len(row.ids) for row in rows)
        device = self._model.device
        filler = self._tokenizer.pad_token_id or 0
        ids = torch.tensor([[filler] * (width - len(row.ids)) + row.ids for row in rows], device=device)
        mask = torch.tensor([[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows], device=device)
        output = self._model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            past_key_values=DynamicCache(config=self._model.config),
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1], output.past_key_values, mask

    def _choose(self, logits: torch.Tensor, rows: Sequence[_Row]) -> list[int]:
        """Draw each row's next token with its own random number."""
        if self._temperature == 0:
            return logits.argmax(-1).tolist()  # type: ignore[no-any-return]
        weights = torch.softmax(logits.float() / self._temperature, -1)
        if self._top_p < 1:
            ordered, order = weights.sort(-1, descending=True)
            ordered[ordered.cumsum(-1) - ordered > self._top_p] = 0
            weights = torch.zeros_like(weights).scatter_(-1, order, ordered)
        cumulative = weights.double().cumsum(-1)
        points = (
            torch.tensor([row.uniforms[len(row.tokens)] for row in rows], dtype=torch.float64, device=logits.device)[
                :, None
            ]
            * cumulative[:, -1:]
        )
        chosen = torch.searchsorted(cumulative, points, right=True)[:, 0]
        return chosen.clamp(max=logits.shape[-1] - 1).tolist()  # type: ignore[no-any-return]

    def _finished(self, row: _Row) -> _Done | None:
        """Return the text when its last token ends it."""
        tokens, stop = row.tokens, row.prompt.stop
        if tokens[-1] in self._ends:
            return _Done(row, self._decode(tokens[:-1]), "stop")
        # The first line break often follows the cue itself, before any word: it ends nothing.
        if stop and any(mark in self._decode(tokens[-TAIL_TOKENS:]).lstrip() for mark in stop):
            text = self._decode(tokens)
            start = len(text) - len(text.lstrip())
            ends = [end for end in (text.find(mark, start) for mark in stop) if end >= 0]
            if ends:
                return _Done(row, text[: min(ends)], "stop")
        if len(tokens) >= row.prompt.max_tokens:
            return _Done(row, self._decode(tokens), "length")
        return None

    def _decode(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(tokens, skip_special_tokens=True)  # type: ignore[no-any-return]


def _timed(done: Sequence[_Done], started: float) -> list[Answer]:
    """Make candidates, and share the time since the last group among them."""
    share = (time.perf_counter() - started) / max(1, len(done))
    return [
        (row.prompt, Candidate(row.prompt.key, text, reason, len(row.ids), len(row.tokens), share))
        for row, text, reason in done
    ]


def _end_tokens(model: Any, tokenizer: Any) -> set[int]:
    ends: set[int] = set()
    for value in (getattr(model.generation_config, "eos_token_id", None), tokenizer.eos_token_id):
        if value is not None:
            ends.update(value if isinstance(value, (list, tuple)) else [value])
    if not ends:
        raise GeneratorError("The model's tokenizer names no end-of-text token, so that its answers would never end.")
    return ends


def _split(rows: Sequence[_Row], size: int) -> Iterator[list[_Row]]:
    """Yield batches of equal size as far as possible, smaller ones where prompts are long."""
    rest = list(rows)
    while rest:
        longest = max(1, len(rest[0].ids))
        fits = max(1, min(size, BATCH_TOKENS // longest))
        batches = -(-len(rest) // fits)
        take = -(-len(rest) // batches)
        yield rest[:take]
        rest = rest[take:]
