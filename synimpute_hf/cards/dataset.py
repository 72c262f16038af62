"""The dataset card, from the facts of a run and of a cross-validation, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..seeding import digest
from .base import audit_view, crossval_view, merge_card, metadata_of, render, review_view

__all__ = ["dataset_card", "dataset_metadata", "dataset_section"]

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
WHOLE = {"originals": True, "journal": "full", "folder": True}
"""What a result folder holds, before anything is published."""


def dataset_card(
    facts: Mapping[str, Any],
    card: str = "",
    crossval: Mapping[str, Any] | None = None,
    review: Mapping[str, Any] | None = None,
    audit: Mapping[str, Any] | None = None,
) -> str:
    """Write the card of a dataset, or our part of one that is there.

    Args:
        facts: the content of ``synimpute.json``.
        card: the card that is there; what a person wrote in it stays.
        crossval: the facts of a cross-validation of these rows, or None.
        review: what people found in these rows, or None.
        audit: the audit of these rows, or None.

    Raises:
        OutputError: the card that is there cannot be read.
    """
    section = dataset_section(facts, crossval, review, audit)
    said = [name for name in ("license", "language") if facts["metadata"].get(name, {}).get("asked")]
    return merge_card(card, dataset_metadata(facts, metadata_of(card)), section, facts["config"], said)


def dataset_section(
    facts: Mapping[str, Any],
    crossval: Mapping[str, Any] | None = None,
    review: Mapping[str, Any] | None = None,
    audit: Mapping[str, Any] | None = None,
) -> str:
    """Return our section of a dataset card.

    Args:
        facts: the content of ``synimpute.json``.
        crossval: the facts of a cross-validation of these rows, or None.
        review: what people found in these rows, or None.
        audit: the audit of these rows, or None.
    """
    plan, outcome = facts["plan"], facts["outcome"]
    kept = {entry["name"]: entry["kept"] for entry in outcome["classes"]}
    classes = [
        {"name": entry["name"], "real": entry["originals"], "synthetic": kept.get(entry["name"], 0)}
        for entry in plan["classes"]
    ]
    return render(
        "dataset_card.md.jinja",
        title=facts["title"],
        real=sum(entry["real"] for entry in classes),
        classes=classes,
        short=[entry for entry in plan["classes"] if entry["to_write"]],
        outcome=outcome,
        plan=plan,
        settings=plan["settings"],
        generator=facts["generator"],
        prompt=facts["prompt"],
        prompt_sha256=digest(facts["prompt"]),
        shown_prompt=plan["example"] or _template(facts["prompt"], facts["generator"]["form"]),
        examples=facts["examples"],
        crossval=crossval_view(crossval) if crossval else None,
        review=review_view(review) if review else None,
        audit=audit_view(audit) if audit else None,
        split=facts["split"],
        published=facts.get("published", WHOLE),
        version=facts["versions"]["synimpute_hf"],
        facts_digest=digest(facts),
    )


def _template(prompt: Mapping[str, Any], form: str) -> str:
    """Return a prompt file's text as a model gets it, unrendered."""
    if form != "chat":
        return str(prompt["continuation"])
    return f"[system]\n{prompt['system']}\n\n[user]\n{prompt['user']}"


def dataset_metadata(facts: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return our metadata of a dataset card.

    Args:
        facts: the content of ``synimpute.json``.
        theirs: the metadata that are there, whose other configurations count for the size.
    """
    config, synthetic = facts["config"], bool(facts["outcome"]["kept"])
    rows = sum(split["rows"] for split in facts["splits"].values()) + _rows_of_others(theirs, config)
    found: dict[str, Any] = {
        "configs": [
            {
                "config_name": config,
                "data_files": [
                    {"split": name, "path": [facts["place"] + file["file"] for file in split["files"]]}
                    for name, split in facts["splits"].items()
                ],
            }
        ],
        "dataset_info": [_dataset_info(facts)],
        "task_categories": ["text-classification"],
        "size_categories": [next((name for limit, name in SIZES if rows < limit), "n>10M")],
        "annotations_creators": ["machine-generated"] if synthetic else [],
        "language_creators": ["machine-generated"] if synthetic else [],
        "source_datasets": [facts["metadata"]["source_dataset"]],
        "tags": ["synimpute", *(["synthetic"] if synthetic else [])],
    }
    for name in ("license", "language", "pretty_name"):
        if name in facts["metadata"]:
            found[name] = facts["metadata"][name]["value"]
    return {name: value for name, value in found.items() if value}


def _dataset_info(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return features and split sizes as ``datasets`` writes them into a card."""
    from datasets import DatasetInfo, Features, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    splits = {
        name: SplitInfo(name, num_bytes=split["bytes"], num_examples=split["rows"])
        for name, split in facts["splits"].items()
    }
    info = DatasetInfo(
        config_name=facts["config"],
        features=Features.from_dict(facts["features"]),
        splits=SplitDict(splits),
        download_size=sum(file["bytes"] for split in facts["splits"].values() for file in split["files"]),
        dataset_size=sum(split["bytes"] for split in facts["splits"].values()),
    )
    data = DatasetCardData()
    DatasetInfosDict({facts["config"]: info}).to_dataset_card_data(data)
    entry = data["dataset_info"]
    return {"config_name": facts["config"], **(entry[0] if isinstance(entry, list) else entry)}


def _rows_of_others(theirs: Mapping[str, Any], config: str) -> int:
    """Return the rows of a card's other configurations, as far as its metadata tell."""
    infos: Sequence[Any] = theirs.get("dataset_info") or []
    infos = [infos] if isinstance(infos, Mapping) else infos
    others = [info for info in infos if info.get("config_name", "default") != config]
    return sum(int(split.get("num_examples") or 0) for info in others for split in info.get("splits") or [])
