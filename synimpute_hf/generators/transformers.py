"""``transformers:MODEL``: any causal language model, by Hub id or local path, on a GPU where there is one."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..errors import GeneratorError, MissingPackageError
from ..prices import FREE
from ..records import Prompt
from .base import Answers, Generator, SamplingSettings

__all__ = ["PLUGIN", "TransformersGenerator", "TransformersSettings"]

EDGE_BYTES = 1 << 20


@dataclass(frozen=True)
class TransformersSettings(SamplingSettings):
    """Options of ``transformers``.

    Attributes:
        revision: branch, tag or commit on the Hub.
        form: ``chat`` or ``continuation``; by default what the model's tokenizer has a template for.
    """

    revision: str | None = None
    form: Literal["chat", "continuation"] | None = None


class TransformersGenerator(Generator):
    """Writes with a model of the user's choice. Only safetensors are loaded, and no code from the Hub."""

    key = "transformers"
    settings_class = TransformersSettings
    takes_argument = "a model's Hub id or local path"
    price = FREE
    settings: TransformersSettings

    @property
    def name(self) -> str:
        """The model, as a reader of a card would look it up: a local path by its last part."""
        return f"transformers:{Path(self.argument).name if Path(self.argument).is_dir() else self.argument}"

    @cached_property
    def form(self) -> str:  # type: ignore[override]
        """Chat where the tokenizer has a template for it."""
        if self.settings.form:
            return self.settings.form
        return "chat" if self._tokenizer.chat_template else "continuation"

    @cached_property
    def context_tokens(self) -> int | None:  # type: ignore[override]
        """What the model's configuration says."""
        config = self._loaded("AutoConfig").get_text_config()
        return getattr(config, "max_position_embeddings", None)

    @cached_property
    def parameters(self) -> Mapping[str, Any]:  # type: ignore[override]
        """The exact weights (Hub commit, or a digest of local files) and the sampling settings."""
        return {
            "model": Path(self.argument).name if Path(self.argument).is_dir() else self.argument,
            "weights": self._weights_digest(),
            "temperature": self.settings.temperature,
            "top_p": self.settings.top_p,
        }

    @cached_property
    def _tokenizer(self) -> Any:
        return self._loaded("AutoTokenizer")

    def _loaded(self, loader: str, **kwargs: Any) -> Any:
        """Load with one of transformers' Auto classes; says what to do when that fails."""
        for needed in ("torch", "transformers", "accelerate"):
            if importlib.util.find_spec(needed) is None:
                raise MissingPackageError(
                    f"The generator 'transformers' needs {needed}. Install it with: pip install \"synimpute-hf[local]\""
                )
        import transformers

        from ..pretrained import load_quietly

        if self.settings.revision:
            kwargs["revision"] = self.settings.revision
        try:
            return load_quietly(
                getattr(transformers, loader).from_pretrained, self.argument, trust_remote_code=False, **kwargs
            )
        except (OSError, ValueError) as error:
            raise GeneratorError(
                f"The model {self.argument!r} could not be loaded: {error}\nExpected the id of a causal language model "
                "on the Hugging Face Hub (with network, or in its cache), or a folder that save_pretrained wrote, "
                "with weights as safetensors and no code of its own."
            ) from error

    def _weights_digest(self) -> str:
        """Return the Hub commit, or a digest of a local folder's configuration and the edges of its weight files."""
        folder = Path(self.argument)
        if not folder.is_dir():
            from huggingface_hub import hf_hub_download
            from huggingface_hub.errors import HfHubHTTPError

            try:
                file = hf_hub_download(self.argument, "config.json", revision=self.settings.revision)
            except (OSError, ValueError, HfHubHTTPError) as error:
                raise GeneratorError(
                    f"There is no model {self.argument!r}: no such folder, and the Hugging Face Hub "
                    f"(or its cache on this machine) gave: {error}"
                ) from error
            return Path(file).parent.name
        sha = hashlib.sha256()
        for file_path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
            size = file_path.stat().st_size
            sha.update(f"{file_path.name} {size}\n".encode())
            with file_path.open("rb") as handle:
                sha.update(handle.read(EDGE_BYTES))
                handle.seek(max(0, size - EDGE_BYTES))
                sha.update(handle.read())
        return sha.hexdigest()

    def generate(self, prompts: Iterator[Prompt]) -> Iterator[Answers]:
        """Answer in batches.

        Raises:
            GeneratorError: the model cannot be loaded.
        """
        yield from self._sampler.answer(prompts, self._chat_text if self.form == "chat" else lambda prompt: prompt.text)

    def close(self) -> None:
        """Let go of the model."""
        self.__dict__.pop("_sampler", None)

    @cached_property
    def _sampler(self) -> Any:
        """The loaded model; kept for all waves of a run."""
        tokenizer = self._tokenizer
        from ..causal_lm import Sampler, best_dtype

        # accelerate places the model: on the GPUs it fits, on the CPU where there is none.
        model = self._loaded("AutoModelForCausalLM", dtype=best_dtype(), device_map="auto", use_safetensors=True)
        return Sampler(
            model.eval(),
            tokenizer,
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            batch_size=self.settings.batch_size,
            add_special_tokens=self.form != "chat",
        )

    def _chat_text(self, prompt: Prompt) -> str:
        """Apply the model's chat template; where it knows no system role, the system part opens the user's."""
        from jinja2 import TemplateError

        messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
        options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
        try:
            return self._tokenizer.apply_chat_template(messages, **options)  # type: ignore[no-any-return]
        except TemplateError:
            joined = [{"role": "user", "content": "\n\n".join(m.content for m in prompt.messages)}]
            return self._tokenizer.apply_chat_template(joined, **options)  # type: ignore[no-any-return]


PLUGIN = TransformersGenerator
