"""The dataset card, from the facts of a run and from nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

__all__ = ["dataset_card"]

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)


def _cell(value: Any) -> str:
    return re.sub(r"\s+", " ", str(value)).replace("\\", "\\\\").replace("|", "\\|")


def _fenced(text: str) -> str:
    """Return a text as a Markdown code block that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(cell=_cell, fenced=_fenced)
    return environment


def dataset_card(facts: Mapping[str, Any]) -> str:
    """Render the card of a result folder.

    Args:
        facts: the content of ``synimpute.json``.
    """
    plan, outcome = facts["plan"], facts["outcome"]
    kept = {entry["name"]: entry["kept"] for entry in outcome["classes"]}
    classes = [
        {"name": entry["name"], "real": entry["originals"], "synthetic": kept.get(entry["name"], 0)}
        for entry in plan["classes"]
    ]
    rows = sum(split["rows"] for split in facts["splits"].values())
    metadata: dict[str, Any] = {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": split["file"]} for name, split in facts["splits"].items()],
            }
        ],
        "task_categories": ["text-classification"],
        "size_categories": [next((name for limit, name in SIZES if rows < limit), "n>10M")],
        "tags": ["synimpute", *(["synthetic"] if outcome["kept"] else [])],
    }
    template = _environment().from_string(
        resources.files("synimpute_hf.model_cards").joinpath("dataset_card.md.jinja").read_text(encoding="utf-8")
    )
    return (
        template.render(
            metadata=yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True),
            title=facts["title"],
            real=sum(entry["real"] for entry in classes),
            classes=classes,
            outcome=outcome,
            plan=plan,
            settings=plan["settings"],
            generator=facts["generator"],
            example=plan["example"],
            split=facts["split"],
            version=facts["versions"]["synimpute_hf"],
        ).rstrip()
        + "\n"
    )
