"""What all cards share: templates, metadata, and the place of our section in a card that is a person's, too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import yaml

from ..errors import OutputError
from ..facts import made_in_folds, number, words
from ..typeset import md_cell, md_code, templates

__all__ = [
    "audit_view",
    "crossval_view",
    "merge_card",
    "merge_metadata",
    "metadata_of",
    "render",
    "review_view",
    "section_of",
]

FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?\n", re.DOTALL | re.MULTILINE)
BEGIN = "<!-- synimpute {config}: begin. What stands outside of these two marks is yours and is kept. -->"
END = "<!-- synimpute {config}: end -->"
UNITED = (
    "language",
    "tags",
    "task_categories",
    "annotations_creators",
    "language_creators",
    "source_datasets",
    "datasets",
)
"""Lists in which both a person's entries and ours stay."""
BY_CONFIG = ("configs", "dataset_info")
SHOWN_PROTOCOLS = ("seed_aware", "nested", "holdout")


def _quoted(text: str) -> str:
    """Return a text as a Markdown quotation that shows just that."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;")
    safe = re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", safe)
    safe = re.sub(r"(?m)^(\s*)(\d*)([.)+\-=]|&gt;)", r"\1\2\\\3", safe)
    return "\n".join(f"> {line}".rstrip() for line in safe.splitlines() or [""])


@lru_cache(maxsize=1)
def _environment() -> Any:
    return templates(False, cell=md_cell, fenced=partial(md_code, language="text"), quoted=_quoted, number=number)


def render(template: str, **values: Any) -> str:
    """Render a template of ``model_cards/``; ends in one line break, and never has two blank lines in a row.

    Args:
        template: its file name.
        **values: what it needs; a missing one is an error.
    """
    text = _environment().get_template(template).render(values)
    text = text.replace("<!-- synimpute ", "<!-- _synimpute ")  # no text that we quote may end our section
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def metadata_of(card: str) -> dict[str, Any]:
    """Return a card's metadata; empty where it has none.

    Raises:
        OutputError: they are no YAML mapping.
    """
    found = FRONT.match(card)
    if found is None:
        return {}
    try:
        metadata = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        raise OutputError(f"The metadata at the top of the card (README.md) are no valid YAML: {error}.") from error
    if metadata is not None and not isinstance(metadata, dict):
        raise OutputError("The metadata at the top of the card (README.md) must be YAML of the form 'name: value'.")
    return metadata or {}


def section_of(card: str, config: str) -> str | None:
    """Return our section about one configuration, without its marks, or None where there is none."""
    begin, end = BEGIN.format(config=config), END.format(config=config)
    _, mark, rest = card.partition(begin + "\n")
    section, closed, _ = rest.partition("\n" + end)
    return section + "\n" if mark and closed else None


def merge_card(card: str, metadata: Mapping[str, Any], section: str, config: str, said: Iterable[str] = ()) -> str:
    """Put our section and metadata into a card.

    Args:
        card: what is there; may be empty.
        metadata: ours; what is None is taken out.
        section: ours, Markdown.
        config: the configuration that it is about.
        said: metadata in which ours go before a person's, because they were asked for.

    Returns:
        The card. Text outside of our section, and metadata that are not ours, are as they were.

    Raises:
        OutputError: the card's metadata are no YAML mapping, or one mark of our section is missing.
    """
    body = card[found.end() :] if (found := FRONT.match(card)) else card
    begin, end = BEGIN.format(config=config), END.format(config=config)
    if (begin in body) != (end in body) or body.count(begin) > 1:
        raise OutputError(
            f"The card (README.md) has one mark of our section about {config!r} and not the other, or one twice. Put "
            f"them back, or take both out:\n{begin}\n{end}"
        )
    ours = f"{begin}\n{section.rstrip()}\n{end}"
    if begin in body:
        before, rest = body.split(begin, 1)
        body = f"{before}{ours}{rest.split(end, 1)[1]}"
    else:
        body = f"{body.rstrip()}\n\n{ours}\n" if body.strip() else f"\n{ours}\n"
    front = card[: found.end()] if (found := FRONT.match(card)) else ""
    return merge_metadata(front + body, metadata, said)


def merge_metadata(card: str, metadata: Mapping[str, Any], said: Iterable[str] = ()) -> str:
    """Put our metadata into a card whose text stays as it is.

    Args:
        card: what is there.
        metadata: ours.
        said: metadata in which ours go before a person's, because they were asked for.
    """
    body = card[found.end() :] if (found := FRONT.match(card)) else f"\n{card.lstrip()}"
    merged = _merged(metadata_of(card), metadata, tuple(said))
    return f"---\n{yaml.safe_dump(merged, sort_keys=False, allow_unicode=True, width=1000)}---\n{body}"


def _merged(theirs: Mapping[str, Any], ours: Mapping[str, Any], said: Sequence[str]) -> dict[str, Any]:
    merged = dict(theirs)
    for name, value in ours.items():
        if value is None:
            merged.pop(name, None)
        elif name in BY_CONFIG:
            old = [entry for entry in _list(theirs.get(name)) if _config(entry) not in map(_config, _list(value))]
            merged[name] = [*old, *_list(value)]
        elif name in said or name not in theirs:
            merged[name] = value
        elif name in UNITED:
            old = _list(theirs[name])
            merged[name] = [*old, *(entry for entry in _list(value) if entry not in old)]
        elif name in ("size_categories", "model-index", "synimpute"):
            merged[name] = value
    return merged


def _config(entry: Any) -> str:
    return str(entry.get("config_name", "default")) if isinstance(entry, Mapping) else ""


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def crossval_view(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card's section "Cross-validation" shows.

    Args:
        facts: of a cross-validation, whole or as the Trainer callback keeps them.
    """
    settings = facts["settings"]
    protocol = next((name for name in SHOWN_PROTOCOLS if name in settings["protocols"]), None)
    focus = [row["name"] for row in facts["classes"] if row["focus"]]
    said = {
        (row["arm"], row["class"]): row
        for row in facts["comparisons"]
        if row["protocol"] == protocol and row["metric"] == "f1"
    }
    rows = [
        {
            **row,
            "name": "macro" if row["class"] is None else row["class"],
            "verdict": said.get((row["arm"], row["class"])),
        }
        for row in facts["summary"]
        if row["protocol"] == protocol and row["metric"] == "f1" and row["class"] in (*focus, None)
    ]
    return {
        "settings": settings,
        "originals": facts["data"]["originals"],
        "protocol": protocol,
        "rows": rows,
        "inflation": [row for row in facts["inflation"] if row["part"] == "total"],
        "overfitting": [row for row in facts["overfitting"] if row["arm"] == "imputed"],
        "leaks": facts["leak_check"].get(protocol),
        "trained": [
            row
            for row in facts.get("trained") or made_in_folds(facts.get("fits") or ())
            if row["protocol"] == protocol and row["short"]
        ],
        "unlike": facts.get("unlike") or [],
        "alarms": [{**row, "sentence": words(row["sentence"])} for row in facts["alarms"]],
    }


def audit_view(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card's section "Audit" shows.

    Args:
        facts: the content of ``audit.json``.
    """
    rows = []
    for entry in facts["classes"]:
        counts, views = entry["counts"], [entry["told_apart"][view] for view in ("embeddings", "characters")]
        told = max(
            (view for view in views if view["auc"] is not None), key=lambda view: float(view["auc"]), default=None
        )
        near, run, length = entry["nearest"], entry["overlap"], entry["length"]
        rows.append(
            {
                "name": entry["name"],
                "told": told,
                "near": near["synthetic"]["median"],
                "near_originals": near["originals"]["median"],
                "run": round(run["synthetic"]["largest"]),
                "run_originals": round(run["originals"]["largest"]),
                "words": length["synthetic"]["mean"],
                "words_originals": length["originals"]["mean"],
                "drift": entry["class_drift"],
                "acceptance": counts["kept"] / counts["generated"] if counts and counts["generated"] else None,
            }
        )
    alarms = [{**row, "sentence": words(row["sentence"])} for row in facts["alarms"]]
    return {"rows": rows, "alarms": alarms, "notes": facts["notes"]}


def review_view(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card's section "Read by people" shows.

    Args:
        facts: the content of ``review.json``.
    """
    told = facts["told_apart"]
    both = [
        {"name": row["class"] or row["coder"] or "all", "told": row, "belongs": belongs}
        for row, belongs in zip(told, facts["belongs"], strict=True)
    ]
    return {
        "rows": both,
        "all": both[0],
        "texts": facts["texts"],
        "coders": facts["coders"],
        "sheets": facts["settings"]["sheets"],
        "agreement": facts["agreement"],
        "quality": next((row for row in facts["quality"] if row["class"] is row["coder"] is None), None),
    }
