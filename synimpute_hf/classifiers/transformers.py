"""``transformers:MODEL``: any sequence classifier by Hub id or path, fine-tuned by ``transformers.Trainer``.

What makes many fits quick, and changes no score but by rounding: texts are tokenised once; batches hold texts of like
length, and on a CPU are taken in parts, each padded to its longest, whose gradients add up; where the head reads the
first token alone, the last layer computes no other; the model is loaded once a process and its weights are put back in
place; of the embeddings only those of tokens that occur are kept; nothing is saved or logged in between. With
``train_layers`` the layers below, which stay as they are, are run once for all fits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from ..errors import PlanError
from ..pretrained import load_model, model_digest, resolve_model
from ..registry import Settings
from .base import Classifier, Features, Fit

__all__ = [
    "PLUGIN",
    "PRESETS",
    "TransformersClassifier",
    "TransformersSettings",
    "batches_by_length",
    "draw_head",
    "freeze_lower_layers",
    "training_arguments",
]

PRESETS = {
    "paper-short": {"learning_rate": 3e-5, "batch_size": 32, "epochs": 6.0, "max_length": 84},
    "paper-long": {"learning_rate": 5e-6, "batch_size": 16, "epochs": 6.0, "max_length": 512},
}
"""The paper's settings for sentences and for speeches, the same for every arm. Training runs to its end: the author's
own code stops on the training score, at thresholds that differ between arms."""
MEGA_BATCHES = 50
PART_TOKENS = 32
"""What a part of a batch costs beside its tokens: the gradients' memory is read and written once more, which takes
about as long as the arithmetic of so many tokens, whatever the model's size."""


@dataclass(frozen=True)
class TransformersSettings(Settings):
    """Options; what is None comes from the preset.

    Attributes:
        preset: ``paper-short`` (sentences, tweets) or ``paper-long`` (speeches).
        learning_rate: peak of a schedule that falls linearly to 0.
        batch_size: texts a step.
        epochs: passes over the training part.
        max_length: tokens of a text that count.
        warmup: share of the steps in which the rate rises, in [0, 1).
        weight_decay: decoupled, as in AdamW.
        train_layers: how many of the top layers train; None trains all, embeddings included.
        bf16: mixed precision; None takes it where the hardware computes in it.
    """

    preset: Literal["paper-short", "paper-long"] = "paper-short"
    learning_rate: PositiveFloat | None = None
    batch_size: PositiveInt | None = None
    epochs: PositiveFloat | None = None
    max_length: PositiveInt | None = None
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: NonNegativeFloat = 0.0
    train_layers: PositiveInt | None = None
    bf16: bool | None = None


class TransformersClassifier(Classifier):
    """Fine-tunes a pretrained model anew for every fit."""

    key = "transformers"
    settings_class = TransformersSettings
    inner_folds = 3
    settings: TransformersSettings

    @property
    def options(self) -> dict[str, Any]:
        """The settings with the preset filled in."""
        given = {name: getattr(self.settings, name) for name in PRESETS[self.settings.preset]}
        return {**PRESETS[self.settings.preset], **{name: value for name, value in given.items() if value is not None}}

    @property
    def identity(self) -> dict[str, Any]:
        """The model's digest and how it is trained. Where it ran, and in which precision, stands beside the scores."""
        name, source = resolve_model(self.argument)
        settings = {name: getattr(self.settings, name) for name in ("warmup", "weight_decay", "train_layers", "bf16")}
        parameters = {"weights": model_digest(source)[:16], **self.options, **settings}
        return {"name": f"transformers:{name}", "parameters": parameters}

    def prepare(self, texts: Sequence[str]) -> Features:
        """Return the tokens of all texts, one after another, and where each text begins.

        Returns:
            ``tokens`` (all tokens, as positions in ``vocabulary``), ``starts`` ``(n + 1,)``, ``vocabulary`` (token
            ids that occur), and with ``train_layers`` ``hidden``, what the first trained layer reads of each token.
        """
        tokenizer = load_model("AutoTokenizer", resolve_model(self.argument)[1])
        rows = tokenizer(list(texts), truncation=True, max_length=self.longest(tokenizer))["input_ids"]
        filler = [token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if token is not None]
        rows = [row or filler[:1] for row in rows]  # a text may have no token at all
        flat = np.concatenate([np.asarray(row, np.int64) for row in rows])
        # Special tokens keep their low numbers: RoBERTa counts positions from the padding token's.
        special = [token for token in tokenizer.all_special_ids if token is not None]
        highest = max(special, default=0)
        low = np.arange(highest + 1) if highest < 1000 else np.array(special)
        vocabulary, tokens = np.unique(np.concatenate([low, flat]), return_inverse=True)
        features = {
            "tokens": tokens[len(low) :].astype(np.int32),
            "starts": np.cumsum([0, *map(len, rows)]),
            "vocabulary": vocabulary,
        }
        if self.settings.train_layers is not None:
            features["hidden"] = _lower_layers(self._model(2, features), features)
        return features

    def longest(self, tokenizer: Any) -> int:
        """Return how many tokens of a text count: ``max_length``, or fewer where the model cannot read so many."""
        readable = int(tokenizer.model_max_length)
        if readable >= 1_000_000:  # the tokenizer does not say; two positions are special
            config = load_model("AutoConfig", resolve_model(self.argument)[1])
            readable = int(getattr(config, "max_position_embeddings", None) or 1_000_000) - 2
        return min(int(self.options["max_length"]), readable)

    def _model(self, classes: int, features: Features) -> _Reusable:
        return _reusable(
            resolve_model(self.argument)[1],
            classes,
            self.settings.train_layers,
            features["vocabulary"].tobytes(),
        )

    def fit_predict(self, features: Features, fit: Fit) -> np.ndarray:
        """Fine-tune from the pretrained weights and a head drawn by the fit's seed, and predict."""
        import torch

        reusable = self._model(fit.classes, features)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # one process a core is quicker than one fit on all
        try:
            reusable.reset(fit.seed)
            _train(reusable, self.settings, self.options, features, fit)
            return _predict(reusable, features, fit)
        finally:
            torch.set_num_threads(threads)


@dataclass
class _Reusable:
    """A loaded model and its pretrained weights, to begin every fit from.

    Attributes:
        model: the model.
        pristine: all its weights as they were loaded.
        drawn: the head's modules, and those that the pretrained weights lack.
        pad: the padding token's position in the vocabulary.
        lower: the layers that stay as they are, or None.
    """

    model: Any
    pristine: dict[str, Any]
    drawn: list[Any]
    pad: int
    lower: Any

    def reset(self, seed: int) -> None:
        """Put all weights back in place, and draw the head (and what the pretrained weights lack) anew."""
        import torch
        from transformers import set_seed

        set_seed(seed % 2**32)
        with torch.no_grad():
            state = self.model.state_dict()
            torch._foreach_copy_([state[name] for name in self.pristine], list(self.pristine.values()))
        for module in self.drawn:
            self.model._init_weights(module)
        self.model.zero_grad(set_to_none=True)
        self.model.train()


@lru_cache(maxsize=1)
def _reusable(source: str, classes: int, train_layers: int | None, vocabulary: bytes) -> _Reusable:
    """Load a model for a process, cut down to what its fits need."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # what the pretrained weights lack is the same in every process
        model, found = load_model(
            "AutoModelForSequenceClassification",
            source,
            num_labels=classes,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    drawn = _drawn_modules(model, found["missing_keys"])
    lower = None
    old = model.get_input_embeddings()
    kept = np.frombuffer(vocabulary, np.int64)
    pad = model.config.pad_token_id or 0
    new = torch.nn.Embedding.from_pretrained(old.weight[torch.tensor(kept)].detach().clone(), freeze=False)
    place = min(int(np.searchsorted(kept, pad)), len(kept) - 1)
    new.padding_idx = place if old.padding_idx is not None else None
    model.set_input_embeddings(new)
    if train_layers is not None:
        lower = _split(model, train_layers)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    _shorten(model)
    pristine = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if model.config.pad_token_id is not None:
        model.config.pad_token_id = place
    return _Reusable(model, pristine, drawn, place, lower)


def _drawn_modules(model: Any, missing: Iterable[str]) -> list[Any]:
    """Return what every fit draws anew: the head, even where it came trained, and what the pretrained weights lack."""
    inside = {id(module) for module in model.base_model.modules()}
    lacking = {id(model.get_submodule(name.rpartition(".")[0])) for name in missing}
    drawn = []
    for module in model.modules():
        if module is model or (id(module) in inside and id(module) not in lacking):
            continue
        if id(module) not in inside:
            for parameter in module.parameters(recurse=False):
                parameter._is_hf_initialized = False  # else transformers would leave a trained head as it is
        drawn.append(module)
    return drawn


def draw_head(model: Any, missing: Iterable[str]) -> None:
    """Draw, from the current seed, what every fit draws anew.

    Args:
        model: a sequence classifier, as loaded.
        missing: names of the weights that the pretrained ones lack.
    """
    for module in _drawn_modules(model, missing):
        model._init_weights(module)


def freeze_lower_layers(model: Any, train_layers: int) -> None:
    """Let only the top layers and the head of a whole model train; what is below drops nothing out, as in a fit.

    Args:
        model: a sequence classifier.
        train_layers: how many of its layers train.

    Raises:
        PlanError: the model is of another build, or has no more layers.
    """
    import torch

    layers = _layers(model, train_layers)
    for part in (model.base_model.embeddings, *layers[: len(layers) - train_layers]):
        part.requires_grad_(False)
        for module in part.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0


def _layers(model: Any, train_layers: int) -> Any:
    """Return a model's layers, of which so many are to train."""
    base = model.base_model
    layers = getattr(getattr(base, "encoder", None), "layer", None)
    if layers is None or not hasattr(base, "embeddings"):
        raise PlanError(
            f"train_layers is known for models built like BERT or RoBERTa; {type(model).__name__} is not. Leave it "
            "out: then all layers train."
        )
    if train_layers >= len(layers):
        raise PlanError(f"train_layers={train_layers}: the model has {len(layers)} layers. Leave it out to train all.")
    return layers


def _split(model: Any, train_layers: int) -> Any:
    """Take the embeddings and the lower layers off a model; returns a model of their own that ends where it begins."""
    import copy

    import torch

    base = model.base_model
    layers = _layers(model, train_layers)
    lower = copy.deepcopy(base).eval()
    lower.encoder.layer = lower.encoder.layer[: len(layers) - train_layers]
    base.encoder.layer = layers[len(layers) - train_layers :]

    class Given(torch.nn.Module):  # type: ignore[misc]
        """Stands where the embeddings stood, and hands on what the lower layers made of them."""

        GIVEN = True

        def forward(self, inputs_embeds: Any = None, **_: Any) -> Any:
            return inputs_embeds

    base.embeddings = Given()
    return lower


def _shorten(model: Any) -> None:
    """Let the last layer compute its first token alone, where the head reads no other: as BERT's and RoBERTa's do.

    Whether that is so is tried out: unless the logits stay what they were, the layer stays as it was.
    """
    import torch

    layers = getattr(getattr(model.base_model, "encoder", None), "layer", None)
    layer: Any = layers[-1] if layers is not None and len(layers) else None
    attention: Any = getattr(layer, "attention", None)
    inner: Any = getattr(attention, "self", None)
    parts = ("query", "key", "value", "num_attention_heads", "attention_head_size", "scaling", "dropout")
    if not hasattr(layer, "feed_forward_chunk") or not all(hasattr(inner, part) for part in parts):
        return
    if not isinstance(inner.dropout, torch.nn.Dropout):
        return

    def heads(states: Any) -> Any:
        return states.unflatten(-1, (inner.num_attention_heads, inner.attention_head_size)).transpose(1, 2)

    def first_token(hidden_states: Any, attention_mask: Any = None, *_: Any, **__: Any) -> Any:
        first = hidden_states[:, :1]
        read = torch.nn.functional.scaled_dot_product_attention(
            heads(inner.query(first)),
            heads(inner.key(hidden_states)),
            heads(inner.value(hidden_states)),
            attn_mask=None if attention_mask is None else attention_mask[..., :1, :],
            dropout_p=inner.dropout.p if inner.training else 0.0,
            scale=inner.scaling,
        )
        return layer.feed_forward_chunk(attention.output(read.transpose(1, 2).flatten(2), first))

    before = _sample_logits(model)
    layer.forward = first_token
    if before.std(0).min() == 0 or not torch.allclose(before, _sample_logits(model), rtol=0, atol=1e-4):
        del layer.forward


def _sample_logits(model: Any) -> Any:
    """Return what a model makes of three made-up texts, ``(3, classes)``."""
    import torch

    lengths = torch.tensor([9, 6, 3])
    generator = torch.Generator().manual_seed(0)
    batch = {"attention_mask": (torch.arange(9) < lengths[:, None]).long()}
    if hasattr(model.base_model.embeddings, "GIVEN"):
        batch["inputs_embeds"] = torch.randn(3, 9, model.config.hidden_size, generator=generator)
    else:
        batch["input_ids"] = torch.randint(model.get_input_embeddings().num_embeddings, (3, 9), generator=generator)
    with torch.inference_mode():
        return model.eval()(**{name: value.to(model.device) for name, value in batch.items()}).logits.float().cpu()


def _lower_layers(reusable: _Reusable, features: Features) -> np.ndarray:
    """Run the layers that stay as they are over all texts, without dropout; shape ``(tokens, d)``, float32."""
    import torch

    starts = features["starts"]
    lengths = np.diff(starts)
    hidden = np.zeros((len(features["tokens"]), reusable.model.config.hidden_size), np.float32)
    device = reusable.model.device
    lower = reusable.lower.to(device)
    with torch.inference_mode():
        for rows in np.array_split(np.argsort(lengths, kind="stable"), max(1, len(lengths) // 32)):
            batch = {name: value.to(device) for name, value in _tokens(features, rows, reusable.pad).items()}
            states = lower(**batch).last_hidden_state.cpu().numpy()
            for place, row in enumerate(rows):
                hidden[starts[row] : starts[row + 1]] = states[place, : lengths[row]]
    return hidden


def _tokens(features: Features, rows: np.ndarray, pad: int) -> dict[str, Any]:
    """Return some texts as a batch, padded to its longest."""
    import torch

    starts = features["starts"]
    lengths = starts[rows + 1] - starts[rows]
    ids = np.full((len(rows), lengths.max()), pad, np.int64)
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids[mask] = np.concatenate([features["tokens"][starts[row] : starts[row + 1]] for row in rows])
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}


def _parts(lengths: np.ndarray, overhead: int) -> list[slice]:
    """Cut a batch so that little is padded: of all cuts the one of the least work.

    Args:
        lengths: ``(n,)`` tokens of each row, in falling order.
        overhead: what a part costs beside its tokens with their padding, in tokens.

    Returns:
        The parts, which cover the batch in its order.
    """
    rows = lengths.tolist()
    best, begins = [0], [0]  # of the first rows, by their number
    for end in range(1, len(rows) + 1):
        costs = [best[begin] + rows[begin] * (end - begin) + overhead for begin in range(end)]
        best.append(min(costs))
        begins.append(costs.index(best[-1]))
    cuts = [len(rows)]
    while cuts[-1]:
        cuts.append(begins[cuts[-1]])
    return [slice(begin, end) for end, begin in pairwise(cuts)][::-1]


def _collate(features: Features, rows: np.ndarray, reusable: _Reusable) -> dict[str, Any]:
    """Return what the model reads of some texts."""
    import torch

    batch = _tokens(features, rows, reusable.pad)
    if reusable.lower is None:
        return batch
    starts, hidden = features["starts"], features["hidden"]
    mask = batch["attention_mask"].numpy().astype(bool)
    states = np.zeros((*mask.shape, hidden.shape[1]), np.float32)
    states[mask] = np.concatenate([hidden[starts[row] : starts[row + 1]] for row in rows])
    return {"inputs_embeds": torch.from_numpy(states), "attention_mask": batch["attention_mask"]}


def batches_by_length(lengths: np.ndarray, size: int, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield one epoch in random order, with texts of like length in one batch.

    The rows are shuffled, cut into stretches of many batches, and sorted within each: what ``Trainer`` calls
    ``group_by_length``.

    Args:
        lengths: ``(n,)`` tokens of each row.
        size: rows a batch.
        generator: draws the order.
    """
    order = generator.permutation(len(lengths))
    stretch = size * max(1, min(len(lengths) // (size * 4), MEGA_BATCHES))
    batches = []
    for start in range(0, len(order), stretch):
        part = order[start : start + stretch]
        part = part[np.argsort(-lengths[part], kind="stable")]
        batches += [part[k : k + size] for k in range(0, len(part), size)]
    for k in generator.permutation(len(batches)):
        yield batches[k]


def _train(
    reusable: _Reusable, settings: TransformersSettings, options: Mapping[str, Any], features: Features, fit: Fit
) -> None:
    """Train by a Trainer whose batches are made from the features, and whose loss counts rows by their weights."""
    import torch
    from transformers import PrinterCallback, Trainer

    lengths = np.diff(features["starts"])[fit.train]
    weights = (fit.weights / fit.weights.mean()).astype(np.float32)
    size = options["batch_size"]
    overhead = _overhead(reusable)

    class Loader:
        """One epoch's batches; each epoch has an order of its own, by the fit's seed."""

        def __init__(self) -> None:
            self.generator = np.random.default_rng(fit.seed)
            self.dataset = range(len(fit.train))

        def __len__(self) -> int:
            return len(list(batches_by_length(lengths, size, np.random.default_rng(0))))

        def __iter__(self) -> Iterator[dict[str, Any]]:
            for places in batches_by_length(lengths, size, self.generator):
                parts = []
                for part in _parts(lengths[places], overhead):
                    batch = _collate(features, fit.train[places[part]], reusable)
                    batch["labels"] = torch.from_numpy(fit.labels[places[part]])
                    batch["weights"] = torch.from_numpy(weights[places[part]] / np.float32(len(places)))
                    parts.append(batch)
                yield {"parts": parts}

    class WeightedTrainer(Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            return Loader()

        def training_step(self, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
            """One batch, part by part: the gradients add up to those of the batch."""
            model.train()
            losses = []
            for part in self._prepare_inputs(inputs)["parts"]:
                loss = self.compute_loss(model, part)
                self.accelerator.backward(loss)
                losses.append(loss.detach())
            return torch.stack(losses).sum()

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            labels, row_weights = inputs.pop("labels"), inputs.pop("weights")
            outputs = model(**inputs)
            losses = torch.nn.functional.cross_entropy(outputs.logits.float(), labels, reduction="none")
            loss = losses @ row_weights
            return (loss, outputs) if return_outputs else loss

        def floating_point_ops(self, inputs: Any) -> int:
            return 0

    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(folder, settings, options, fit.seed)
        trainer = WeightedTrainer(model=reusable.model, args=arguments)
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def training_arguments(folder: str, settings: TransformersSettings, options: Mapping[str, Any], seed: int) -> Any:
    """Return the Trainer's settings: the author's optimiser and schedule, and nothing saved or logged.

    Args:
        folder: the Trainer's, which stays empty.
        settings: of the classifier.
        options: those of the settings that a preset fills in.
        seed: of the order of rows, and of dropout.
    """
    import torch
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=folder,
        num_train_epochs=options["epochs"],
        learning_rate=options["learning_rate"],
        per_device_train_batch_size=options["batch_size"],
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        adam_epsilon=1e-6,
        max_grad_norm=1.0,
        lr_scheduler_type="linear",
        optim="adamw_torch_fused",
        bf16=_bf16() if settings.bf16 is None else settings.bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=seed % 2**32,
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def _predict(reusable: _Reusable, features: Features, fit: Fit) -> np.ndarray:
    """Return ``(m, classes)`` probabilities of the tested rows."""
    import torch

    model = reusable.model.eval()
    out = np.zeros((len(fit.test), fit.classes))
    lengths = np.diff(features["starts"])[fit.test]
    with torch.inference_mode():
        for places in np.array_split(np.argsort(-lengths, kind="stable"), max(1, len(fit.test) // 32)):
            for part in _parts(lengths[places], _overhead(reusable)):
                batch = _collate(features, fit.test[places[part]], reusable)
                batch = {name: value.to(model.device) for name, value in batch.items()}
                out[places[part]] = torch.softmax(model(**batch).logits.double(), -1).cpu().numpy()
    return out


def _overhead(reusable: _Reusable) -> int:
    """Return what a part of a batch costs beside its tokens, in tokens: on a GPU, more than any padding."""
    return PART_TOKENS if reusable.model.device.type == "cpu" else 10**9


def _bf16() -> bool:
    import torch

    from ..causal_lm import best_dtype

    return bool(best_dtype() == torch.bfloat16)


PLUGIN = TransformersClassifier
