"""``transformers:MODEL``: any sequence classifier by Hub id or path, fine-tuned by ``transformers.Trainer``.

What makes many fits quick, and changes no score but by rounding: texts are tokenised once; batches hold texts of like
length and are padded to their longest; the model is loaded once a process and its weights are put back in place; of
the embeddings only those of tokens that occur are kept; nothing is saved or logged in between. With ``train_layers``
the layers below, which stay as they are, are run once for all fits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from ..errors import PlanError
from ..pretrained import load_model, model_digest, resolve_model
from ..registry import Settings
from .base import Classifier, Features, Fit

__all__ = ["PLUGIN", "PRESETS", "TransformersClassifier", "TransformersSettings", "batches_by_length"]

PRESETS = {
    "paper-short": {"learning_rate": 3e-5, "batch_size": 32, "epochs": 6.0, "max_length": 84},
    "paper-long": {"learning_rate": 5e-6, "batch_size": 16, "epochs": 6.0, "max_length": 512},
}
"""The paper's settings for sentences and for speeches, the same for every arm. Training runs to its end: the author's
own code stops on the training score, at thresholds that differ between arms."""
MEGA_BATCHES = 50


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
        rows = tokenizer(list(texts), truncation=True, max_length=self.options["max_length"])["input_ids"]
        flat = np.concatenate([np.asarray(row, np.int64) for row in rows])
        # Special tokens keep their low numbers: RoBERTa counts positions from the padding token's.
        special = [token for token in tokenizer.all_special_ids if token is not None]
        low = np.arange(max(special) + 1) if max(special, default=0) < 1000 else np.array(special)
        vocabulary, tokens = np.unique(np.concatenate([low, flat]), return_inverse=True)
        features = {
            "tokens": tokens[len(low) :].astype(np.int32),
            "starts": np.cumsum([0, *map(len, rows)]),
            "vocabulary": vocabulary,
        }
        if self.settings.train_layers is not None:
            features["hidden"] = _lower_layers(self._model(2, features), features)
        return features

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
    """A loaded model and its pretrained weights, to begin every fit from."""

    model: Any
    pristine: dict[str, Any]
    pad: int
    lower: Any

    def reset(self, seed: int) -> None:
        """Put the pretrained weights back in place, and draw the head anew."""
        import torch
        from transformers import set_seed

        set_seed(seed % 2**32)
        with torch.no_grad():
            state = self.model.state_dict()
            torch._foreach_copy_([state[name] for name in self.pristine], list(self.pristine.values()))
        base = self.model.base_model
        inside = {id(module) for module in base.modules()}
        for module in self.model.modules():
            if id(module) not in inside and module is not self.model:
                self.model._init_weights(module)
        self.model.zero_grad(set_to_none=True)
        self.model.train()


@lru_cache(maxsize=1)
def _reusable(source: str, classes: int, train_layers: int | None, vocabulary: bytes) -> _Reusable:
    """Load a model for a process, cut down to what its fits need."""
    import torch

    model = load_model("AutoModelForSequenceClassification", source, num_labels=classes, dtype=torch.float32)
    lower = None
    old = model.get_input_embeddings()
    kept = np.frombuffer(vocabulary, np.int64)
    pad = model.config.pad_token_id or 0
    new = torch.nn.Embedding.from_pretrained(old.weight[torch.tensor(kept)].detach().clone(), freeze=False)
    new.padding_idx = pad if old.padding_idx is not None else None
    model.set_input_embeddings(new)
    if train_layers is not None:
        lower = _split(model, train_layers)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    inside = {name for name, _ in model.base_model.named_parameters(prefix=model.base_model_prefix)}
    pristine = {name: value.detach().clone() for name, value in model.state_dict().items() if name in inside}
    return _Reusable(model, pristine, int(np.searchsorted(kept, pad)), lower)


def _split(model: Any, train_layers: int) -> Any:
    """Take the embeddings and the lower layers off a model; returns a model of their own that ends where it begins."""
    import copy

    import torch

    base = model.base_model
    layers = getattr(getattr(base, "encoder", None), "layer", None)
    if layers is None or not hasattr(base, "embeddings"):
        raise PlanError(
            f"train_layers is known for models built like BERT or RoBERTa; {type(model).__name__} is not. Leave it "
            "out: then all layers train."
        )
    if train_layers >= len(layers):
        raise PlanError(f"train_layers={train_layers}: the model has {len(layers)} layers. Leave it out to train all.")
    lower = copy.deepcopy(base).eval()
    lower.encoder.layer = lower.encoder.layer[: len(layers) - train_layers]
    base.encoder.layer = layers[len(layers) - train_layers :]

    class Given(torch.nn.Module):  # type: ignore[misc]
        """Stands where the embeddings stood, and hands on what the lower layers made of them."""

        def forward(self, inputs_embeds: Any = None, **_: Any) -> Any:
            return inputs_embeds

    base.embeddings = Given()
    return lower


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

    class Loader:
        """One epoch's batches; each epoch has an order of its own, by the fit's seed."""

        def __init__(self) -> None:
            self.generator = np.random.default_rng(fit.seed)
            self.dataset = range(len(fit.train))

        def __len__(self) -> int:
            return len(list(batches_by_length(lengths, size, np.random.default_rng(0))))

        def __iter__(self) -> Iterator[dict[str, Any]]:
            for places in batches_by_length(lengths, size, self.generator):
                batch = _collate(features, fit.train[places], reusable)
                batch["labels"] = torch.from_numpy(fit.labels[places])
                batch["weights"] = torch.from_numpy(weights[places])
                yield batch

    class WeightedTrainer(Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            return Loader()

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            labels, row_weights = inputs.pop("labels"), inputs.pop("weights")
            outputs = model(**inputs)
            losses = torch.nn.functional.cross_entropy(outputs.logits.float(), labels, reduction="none")
            loss = (losses * row_weights).mean()
            return (loss, outputs) if return_outputs else loss

    with tempfile.TemporaryDirectory() as folder:
        arguments = _arguments(folder, settings, options, fit.seed)
        trainer = WeightedTrainer(model=reusable.model, args=arguments)
        trainer.remove_callback(PrinterCallback)
        trainer.train()


def _arguments(folder: str, settings: TransformersSettings, options: Mapping[str, Any], seed: int) -> Any:
    """Return the Trainer's settings: the author's optimiser and schedule, and nothing saved or logged."""
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
        for places in np.array_split(np.argsort(lengths, kind="stable"), max(1, len(fit.test) // 32)):
            batch = _collate(features, fit.test[places], reusable)
            batch = {name: value.to(model.device) for name, value in batch.items()}
            out[places] = torch.softmax(model(**batch).logits.double(), -1).cpu().numpy()
    return out


def _bf16() -> bool:
    import torch

    from ..causal_lm import best_dtype

    return bool(best_dtype() == torch.bfloat16)


PLUGIN = TransformersClassifier
