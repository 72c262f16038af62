"""``ssmba:MODEL``: corrupt a text, and let a masked language model write the gaps (Ng, Cho and Ghassemi 2020).

SSMBA, EMNLP 2020, arXiv 2009.10195. Of a text's tokens a share ``noise`` is selected, ``int(noise * tokens + u)`` of
them with u uniform in [0, 1), special tokens counted but never selected. A selected token becomes the mask with
probability 0.8, a random token with 0.1, and stays with 0.1. As in the authors' code masked and random tokens are then
drawn from the model's distribution, all in one step; those that stay, and all others, are kept. Special and unused
tokens are never written. A text that equals its original or an earlier copy is corrupted anew, up to ``tries`` times.

Other than in the authors' code padding is masked out of the attention, top-k keeps the model's own proportions, a new
try starts from the original rather than from an earlier copy, and a text longer than the model's window is treated
window by window instead of being left out. Texts come back as the model's tokenizer writes them: an uncased model
writes lower case, and symbols that the model does not know are lost.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt

from ..errors import GeneratorError, MissingPackageError, PlanError
from ..pretrained import load_model, model_digest, resolve_model
from ..registry import Settings
from ..seeding import derive_seed, normalise
from .base import Augmenter

if TYPE_CHECKING:
    import torch

__all__ = ["PLUGIN", "SsmbaAugmenter", "SsmbaSettings"]

BATCH_TOKENS = 8192
DRAWN_AT_ONCE = 256
WANTED = (
    "Give a masked language model: ssmba:MODEL, where MODEL is a Hub id such as FacebookAI/roberta-base, "
    "FacebookAI/xlm-roberta-base (100 languages) or FacebookAI/roberta-large (the imputation paper's), with network or "
    "in the Hub's cache, or a folder that save_pretrained wrote, with tokenizer, head and weights as safetensors."
)


@dataclass(frozen=True)
class SsmbaSettings(Settings):
    """Options of ``ssmba``. The defaults are those of the authors and of the imputation paper.

    Attributes:
        noise: share of tokens that are selected, in (0, 1].
        random_token: share of the selected that become a random token before the model sees them.
        leave_unmasked: share of the selected that stay as they are.
        topk: draw among this many likeliest tokens; all by default.
        tries: how often a copy that is nothing new is made anew.
        max_length: tokens that the model sees at once, special tokens included; at most what the model can take.
        revision: branch, tag or commit on the Hub.
        batch_size: windows side by side; changes nothing but speed.
    """

    noise: Annotated[float, Field(gt=0, le=1)] = 0.15
    random_token: NonNegativeFloat = 0.1
    leave_unmasked: NonNegativeFloat = 0.1
    topk: PositiveInt | None = None
    tries: PositiveInt = 10
    max_length: PositiveInt = 512
    revision: str | None = None
    batch_size: PositiveInt = 32


class _Window(NamedTuple):
    """A part of a text that the model sees at once: token ids, and where the text's own stand among special ones."""

    ids: np.ndarray
    own: np.ndarray


class _Noisy(NamedTuple):
    """A corrupted window: its token ids, the places that are written anew, a number in [0, 1) for each of them."""

    ids: np.ndarray
    places: np.ndarray
    uniforms: np.ndarray


class _Job:
    """One original and the copies that are being made of it.

    Attributes:
        text: the original.
        windows: its tokens; empty when there are none that could change.
        unchanged: the original after a round through the tokenizer.
        made: each copy's newest text.
        tried: how often each copy was made.
        due: the copies that are to be made anew.
    """

    def __init__(self, text: str, copies: int, model: _Reconstructor) -> None:
        windows = model.windows(text) if text.strip() else []
        self.text = text
        self.unchanged = model.decode([window.ids[window.own] for window in windows]) if windows else ""
        self.windows = windows if self.unchanged else []
        self.made = [text] * copies
        self.tried = [0] * copies
        self.due = list(range(copies)) if self.windows else []

    def settle(self, tries: int) -> None:
        """Choose what is to be made anew: what equals the original or an earlier copy.

        A copy is compared with earlier ones only, so that later ones never change it.
        """
        taken = {normalise(self.text), normalise(self.unchanged)}
        self.due = []
        for number, text in enumerate(self.made):
            if normalise(text) in taken and self.tried[number] < tries:
                self.due.append(number)
            taken.add(normalise(text))

    def texts(self) -> list[str]:
        """Return the copies; one that came out the same in every try is the original, as it was written."""
        same = normalise(self.unchanged)
        return [self.text if normalise(text) == same else text for text in self.made]


class SsmbaAugmenter(Augmenter):
    """Writes a few of a text's tokens anew with a masked language model. Only safetensors are loaded, and no code."""

    key = "ssmba"
    settings_class = SsmbaSettings
    settings: SsmbaSettings
    takes_argument = "a masked language model's Hub id or local path"
    default_argument = "roberta-large"

    @classmethod
    def from_options(cls, argument: str, options: Mapping[str, Any]) -> Augmenter:
        """Make an augmenter; the two shares of selected tokens may not exceed 1 together."""
        made = super().from_options(argument, options)
        settings = made.settings
        assert isinstance(settings, SsmbaSettings)
        if settings.random_token + settings.leave_unmasked > 1:
            raise PlanError(
                f"The augmenter 'ssmba': random_token ({settings.random_token:g}) and leave_unmasked "
                f"({settings.leave_unmasked:g}) are shares of the selected tokens; expected 1 at most together."
            )
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_loaded"}

    @property
    def name(self) -> str:
        """``ssmba`` with the model: its id on the Hub, or its folder's last part."""
        return f"ssmba:{resolve_model(self.argument)[0]}"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """A digest of the weights, and the settings that change a text."""
        settings = asdict(self.settings)
        revision = settings.pop("revision")
        del settings["batch_size"]
        return {"weights": model_digest(resolve_model(self.argument)[1], revision)[:16], **settings}

    @cached_property
    def _loaded(self) -> _Reconstructor:
        return _Reconstructor(self.argument, self.settings)

    def close(self) -> None:
        """Let go of the model."""
        self.__dict__.pop("_loaded", None)

    def augment(self, texts: Sequence[str], copies: int, seed: int) -> list[list[str]]:
        """Reconstruct each text ``copies`` times, in batches sorted by length.

        What else is in a batch changes a text through rounding only. A text without a token that could change, and
        one that comes out the same in every try, is returned as it is.

        Raises:
            MissingPackageError: torch or transformers is not installed.
            GeneratorError: the model cannot be loaded, or is no masked language model.
        """
        if not copies or not any(text.strip() for text in texts):
            return [[text] * copies for text in texts]
        model = self._loaded
        jobs = {text: _Job(text, copies, model) for text in texts}
        while due := [(job, number) for job in jobs.values() for number in job.due]:
            noisy = []
            for job, number in due:
                key = derive_seed(self.key, seed, job.text, number, job.tried[number])
                stream = np.random.Generator(np.random.Philox(key=key))
                noisy += [model.corrupt(window, stream) for window in job.windows]
            written = iter(model.write(noisy))
            for job, number in due:
                job.made[number] = model.decode([next(written)[w.own] for w in job.windows]) or job.text
                job.tried[number] += 1
            for job in jobs.values():
                if job.due:
                    job.settle(self.settings.tries)
        return [jobs[text].texts() for text in texts]


class _Reconstructor:
    """A loaded masked language model with its tokenizer."""

    def __init__(self, name: str, settings: SsmbaSettings) -> None:
        self._settings = settings
        self._tokenizer, self._model = _load(name, settings.revision)
        self._batch_size = settings.batch_size
        own = self._tokenizer.num_special_tokens_to_add()
        self._length = min(settings.max_length, self._tokenizer.model_max_length, _positions(self._model))
        if self._length <= own:
            raise PlanError(
                f"max_length={settings.max_length} leaves no room for text beside {own} special tokens; "
                f"expected at least {own + 1}."
            )
        size = self._model.get_output_embeddings().weight.shape[0]
        self._special = set(self._tokenizer.all_special_ids)
        self._writable = np.zeros(size, dtype=bool)
        for token, number in self._tokenizer.get_vocab().items():
            if number < size and number not in self._special and "[unused" not in token:
                self._writable[number] = True
        self._vocabulary = np.flatnonzero(self._writable)

    def windows(self, text: str) -> list[_Window]:
        """Split a text's tokens into windows, each with the special tokens that the model expects."""
        encoded = self._tokenizer(
            text.encode("utf-8", "replace").decode("utf-8"),
            truncation=True,
            max_length=self._length,
            return_overflowing_tokens=True,
            return_special_tokens_mask=True,
        )
        pairs = zip(encoded["input_ids"], encoded["special_tokens_mask"], strict=True)
        return [_Window(np.array(ids), np.flatnonzero(np.array(special) == 0)) for ids, special in pairs]

    def decode(self, parts: Sequence[np.ndarray]) -> str:
        """Return the text of token ids, without special tokens."""
        ids = [number for number in np.concatenate(parts).tolist() if number not in self._special]
        text = self._tokenizer.decode(ids)
        # WordPiece marks a piece that goes on a word, also where there is no word before it.
        first = self._tokenizer.convert_ids_to_tokens(ids[0]) if ids else ""
        return text.removeprefix("##" if first.startswith("##") else "").strip()  # type: ignore[no-any-return]

    def corrupt(self, window: _Window, stream: np.random.Generator) -> _Noisy:
        """Select tokens of a window, and mask, change or leave each of them; see the module's first lines."""
        settings, size = self._settings, len(window.ids)
        count = min(int(settings.noise * size + stream.random()), len(window.own))
        order, fate, token, uniforms = stream.random((4, len(window.own)))
        selected = np.sort(np.argsort(order, kind="stable")[:count])
        fate, token = fate[selected], token[selected]
        new = np.where(
            fate < settings.leave_unmasked + settings.random_token,
            self._vocabulary[(token * len(self._vocabulary)).astype(np.int64)],
            self._tokenizer.mask_token_id,
        )
        written = fate >= settings.leave_unmasked
        places = window.own[selected][written]
        ids = window.ids.copy()
        ids[places] = new[written]
        return _Noisy(ids, places, uniforms[selected][written])

    def write(self, noisy: Sequence[_Noisy]) -> list[np.ndarray]:
        """Return the windows' token ids after reconstruction, in the order given."""
        written = [window.ids for window in noisy]
        order = [index for index in range(len(noisy)) if len(noisy[index].places)]
        order.sort(key=lambda index: -len(noisy[index].ids))
        while order:
            fits = max(1, min(self._batch_size, BATCH_TOKENS // len(noisy[order[0]].ids)))
            batch = [noisy[index] for index in order[:fits]]
            tokens = self._attempt(batch)
            if tokens is None:
                self._batch_size = len(batch) // 2
                continue
            for index, window in zip(order[:fits], batch, strict=True):
                written[index] = window.ids.copy()
                written[index][window.places], tokens = np.split(tokens, [len(window.places)])
            order = order[fits:]
        return written

    def _attempt(self, batch: Sequence[_Noisy]) -> np.ndarray | None:
        """Draw the tokens of a batch; None when the memory does not hold it and half of it may do."""
        import torch

        try:
            return self._draw(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise GeneratorError(
                    f"The memory does not hold one window of {len(batch[0].ids)} tokens: {error}\n"
                    "Give a smaller max_length, or a smaller model: ssmba:MODEL."
                ) from error
        torch.cuda.empty_cache()
        return None

    def _draw(self, batch: Sequence[_Noisy]) -> np.ndarray:
        """Draw a token for each place of a batch, by inverting the cumulative distribution at the place's number."""
        import torch

        uniforms = torch.from_numpy(np.concatenate([window.uniforms for window in batch]))
        banned = torch.from_numpy(~self._writable).to(self._model.device)
        drawn = []
        with torch.inference_mode():
            logits = self._logits(batch)
            for part, numbers in zip(logits.split(DRAWN_AT_ONCE), uniforms.split(DRAWN_AT_ONCE), strict=True):
                part, choices = part.float().masked_fill(banned, -torch.inf), None
                if self._settings.topk is not None:
                    part, choices = part.topk(min(self._settings.topk, len(self._vocabulary)), dim=-1)
                cumulative = part.double().softmax(-1).cumsum(-1)
                points = numbers.to(part.device)[:, None] * cumulative[:, -1:]
                chosen = torch.searchsorted(cumulative, points, right=True).clamp(max=part.shape[-1] - 1)
                drawn.append((chosen if choices is None else choices.gather(-1, chosen))[:, 0].cpu().numpy())
        return np.concatenate(drawn)

    def _logits(self, batch: Sequence[_Noisy]) -> torch.Tensor:
        """Return the model's logits at the places of a batch, (places, vocabulary)."""
        import torch

        device, width = self._model.device, max(len(window.ids) for window in batch)
        ids = np.full((len(batch), width), self._tokenizer.pad_token_id or 0)
        mask = np.zeros((len(batch), width), dtype=np.int64)
        for line, window in enumerate(batch):
            ids[line, : len(window.ids)], mask[line, : len(window.ids)] = window.ids, 1
        lines = torch.tensor(np.repeat(np.arange(len(batch)), [len(w.places) for w in batch]), device=device)
        places = torch.tensor(np.concatenate([window.places for window in batch]), device=device)

        # The head over the vocabulary is most of the memory: it need not see tokens that are kept.
        def keep_places(_module: Any, _inputs: Any, output: Any) -> Any:
            output.last_hidden_state = output.last_hidden_state[lines, places][None]
            return output

        hook = None
        if self._model.base_model is not self._model:
            hook = self._model.base_model.register_forward_hook(keep_places)
        try:
            logits = self._model(
                input_ids=torch.from_numpy(ids).to(device), attention_mask=torch.from_numpy(mask).to(device)
            ).logits
        finally:
            if hook is not None:
                hook.remove()
        return logits[0] if hook is not None else logits[lines, places]  # type: ignore[no-any-return]


def _load(name: str, revision: str | None) -> tuple[Any, Any]:
    """Return tokenizer and model, on a GPU where there is one.

    Raises:
        MissingPackageError: torch or transformers is not installed.
        GeneratorError: the model cannot be loaded, or is no masked language model.
    """
    for needed in ("torch", "transformers"):
        if importlib.util.find_spec(needed) is None:
            raise MissingPackageError(
                f"The augmenter 'ssmba' needs {needed}. Install it with: pip install \"synimpute-hf[local]\""
            )
    import torch

    options: dict[str, Any] = {"trust_remote_code": False, **({"revision": revision} if revision else {})}
    try:
        source = resolve_model(name)[1]
        tokenizer = load_model("AutoTokenizer", source, **options)
        options |= {"dtype": torch.float32, "use_safetensors": True, "output_loading_info": True}
        model, found = load_model("AutoModelForMaskedLM", source, **options)
    except GeneratorError as error:
        raise GeneratorError(f"{error}\n{WANTED}") from error
    if found["missing_keys"]:
        raise GeneratorError(
            f"The model {name!r} is no masked language model: the weights of its head are missing "
            f"({', '.join(sorted(found['missing_keys'])[:3])}, …), as in an encoder for embeddings.\n{WANTED}"
        )
    if tokenizer.mask_token_id is None or not tokenizer.is_fast:
        lacking = "a mask token" if tokenizer.mask_token_id is None else "a fast form (tokenizer.json)"
        raise GeneratorError(f"The tokenizer of {name!r} has not {lacking}.\n{WANTED}")
    return tokenizer, model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _positions(model: Any) -> int:
    """Return how many tokens the model has positions for; RoBERTa and its kin leave the first ones unused."""
    limit = int(getattr(model.config, "max_position_embeddings", 0) or 10**9)
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            limit = min(limit, int(module.num_embeddings) - int(module.padding_idx) - 1)
    return limit


PLUGIN = SsmbaAugmenter
