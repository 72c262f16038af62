"""Language models, one file each: the file's name is the first word of ``--generator``."""

from __future__ import annotations

import os

from ..errors import GeneratorError
from ..registry import make_plugin
from .base import Answers, Generator

__all__ = ["DEFAULT_GENERATOR", "Answers", "Generator", "choose", "make_generator"]

DEFAULT_GENERATOR = "local"
DEFAULT_WITH_KEY = "openai:gpt-4o"
KEY = "OPENAI_API_KEY"


def choose(spec: str | None) -> tuple[str, str]:
    """Return the generator to use, and why.

    Args:
        spec: what the user asked for, or None.
    """
    if spec:
        return spec, "as asked for"
    if os.environ.get(KEY):
        return DEFAULT_WITH_KEY, f"no generator was named and {KEY} is set: the paper's model; texts are sent there"
    return DEFAULT_GENERATOR, "no generator was named: the model that comes with a pip package, on this machine"


def make_generator(spec: str, **options: object) -> Generator:
    """Make the generator that a spec names. No model is loaded yet.

    Args:
        spec: ``name:argument,key=value``, such as ``openai:gpt-4o``, ``local``,
            ``transformers:Qwen/Qwen3-0.6B,batch_size=8``, ``replay:out/journal.sqlite`` or ``echo:delay=0.1``.
        **options: further options; those that are None are left out.

    Raises:
        GeneratorError: there is no such generator, or it takes no such option.
    """
    generator: Generator = make_plugin("generators", spec, GeneratorError, options)
    return generator
