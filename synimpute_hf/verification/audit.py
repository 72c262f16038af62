"""The facts of an audit against the rows: lengths, verbatim overlap, diversity and phrases, computed anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..audit import Audited, text_figures
from ..audit_facts import AUDIT, read_audit
from ..errors import SynimputeError
from .base import Check, Result, compare

__all__ = ["check_audit"]

FIGURES = ("length", "overlap", "diversity", "phrases", "with_phrases")


def check_audit(result: Result) -> Iterator[Check]:
    """Recompute what needs no model. Figures from embeddings would need the same encoder and processor, and are not."""
    if not (result.place / AUDIT).is_file():
        return
    try:
        audit = read_audit(result.place, result.facts)
        if audit is None:
            yield Check("audit", None, "it is about other rows: run `synimpute audit` again")
            return
        yield compare("audit's counts", *_counts(result, audit))
        if not result.has_originals:
            yield Check("audit's figures of texts", None, "the originals are not here")
            return
        rows = Audited.of(result.place)
        said: dict[str, Any] = {}
        found: dict[str, Any] = {}
        for entry in audit["classes"]:
            figures, _ = text_figures(rows, entry["name"], audit["settings"]["seed"], [])
            said |= _flat(entry["name"], {key: entry[key] for key in FIGURES})
            found |= _flat(entry["name"], {key: figures[key] for key in FIGURES})
        # Self-BLEU is None where sacrebleu is not installed, there or here.
        unknown = {key for key in said.keys() & found.keys() if None in (said[key], found[key])}
        known = ({key: part[key] for key in part.keys() - unknown} for part in (said, found))
        yield compare("audit's figures of texts", *known)
    except ImportError as error:
        yield Check("audit's figures of texts", None, f'{error.name} is missing: pip install "synimpute-hf[crossval]"')
    except (SynimputeError, KeyError, TypeError, ValueError) as error:
        yield Check("audit", False, f"{type(error).__name__}: {error}")


def _counts(result: Result, audit: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    outcome = {entry["name"]: entry for entry in result.facts["outcome"]["classes"]}
    said: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for entry in audit["classes"]:
        name, counts = entry["name"], entry["counts"] or {}
        known = outcome.get(name, {})
        said |= _flat(name, counts)
        found |= _flat(name, {key: known.get(key) for key in counts})
        ids = {row["row_id"] for row in result.synthetic if result.class_names(row[result.columns.label]) == name}
        said[f"{name}: rows"], found[f"{name}: rows"] = True, ids.issuperset(entry["rows"]["synthetic"]["row_id"])
    return said, found


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Return the leaves of nested facts by their place."""
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list):
        parts = dict(enumerate(value)).items()
    else:
        return {name: value}
    return {place: leaf for key, inner in parts for place, leaf in _flat(f"{name}: {key}", inner).items()}
