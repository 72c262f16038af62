"""Rows against themselves and the plan: files, digests, ids, sources, draws, prompts, keys, order, counts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..columns import is_blank, plain_label
from ..drawing import plan_digest
from ..provenance import Recipe, choose_examples, rows_digest
from ..records import SyntheticRow
from ..seeding import row_digest
from .base import Check, Result, check, compare

__all__ = ["check_files", "check_plan", "check_rows"]


def check_files(place: Path, facts: Mapping[str, Any]) -> Iterator[Check]:
    """Compare the data files with their digests."""
    said = {file["file"]: file for split in facts["splits"].values() for file in split["files"]}
    there = {file.relative_to(place).as_posix(): file for file in (place / "data").glob("*.parquet")}
    wrong = [f"{name} is not there" for name in said if name not in there]
    wrong += [f"{name} is in no split" for name in sorted(there) if name not in said]
    for name in said.keys() & there.keys():
        content = there[name].read_bytes()
        if hashlib.sha256(content).hexdigest() != said[name]["sha256"] or len(content) != said[name]["bytes"]:
            wrong.append(f"{name} has another content than the facts say")
    yield check("data files", wrong, len(said), "files, SHA-256 and size")


def check_rows(result: Result) -> Iterator[Check]:
    """Compare rows with their digest and counts, and each row's provenance with itself."""
    facts, columns = result.facts, result.columns
    wrong = []
    for name, rows in result.splits.items():
        split = facts["splits"][name]
        if rows_digest(rows, columns.text, columns.label) != split["digest"]:
            wrong.append(f"split {name!r} has other rows than its digest says")
        if not len(rows) == split["rows"] == sum(file["rows"] for file in split["files"]):
            wrong.append(f"split {name!r} has {len(rows)} rows, the facts say {split['rows']}")
    yield check("rows and their digest", wrong, sum(map(len, result.splits.values())))
    originals = [(name, row) for name, rows in result.listed.items() for row in rows if not row["is_synthetic"]]
    if not result.has_originals and originals:
        yield Check("originals left out", False, f"{len(originals)} originals are there all the same")
    yield check("originals and their ids", _original_problems(result, originals), len(originals))
    yield check("synthetic rows and their ids", list(_synthetic_problems(result)), len(result.synthetic))
    yield compare("counts", *_counts(result))
    names = {entry["label"]: entry["name"] for entry in facts["plan"]["classes"]}
    examples = choose_examples(_records(result), names) if set(_labels(result)) <= set(names) else []
    yield Check("example texts", examples == facts["examples"], f"{len(facts['examples'])} texts")


def _labels(result: Result) -> list[Any]:
    return [row[result.columns.label] for row in result.synthetic]


def _records(result: Result) -> list[SyntheticRow]:
    columns = result.columns
    return [
        SyntheticRow(
            row[columns.text], row[columns.label], row["row_id"], tuple(row["source_ids"]), "", row["draw"],
            row["generator"], row["prompt_sha256"], row["journal_key"],
        )
        for row in result.synthetic
    ]  # fmt: skip


def _original_problems(result: Result, originals: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    columns = result.columns
    for name, row in originals:
        text, label = row[columns.text], plain_label(row[columns.label])
        own = row_digest("" if is_blank(text) else str(text), label)
        row_id = own if columns.id is None else str(plain_label(row[columns.id]))
        if row["row_id"] != row_id:
            yield f"split {name!r}, row {row['row_id']!r}: its id should be {row_id!r}"
        elif row["source_ids"] != [row_id] or row["draw"] != -1:
            yield f"split {name!r}, row {row_id!r}: an original names itself, and has no draw"
        elif row["generator"] or row["prompt_sha256"] or row["journal_key"]:
            yield f"split {name!r}, row {row_id!r}: an original has no generator, prompt or key"


def _synthetic_problems(result: Result) -> Iterator[str]:
    facts = result.facts
    count = facts["plan"]["settings"]["n_examples"]
    classes: dict[Any, str] = {}
    for row in result.rows:
        if not row["is_synthetic"]:
            classes[row["row_id"]] = result.class_names(row[result.columns.label])
    seen: Counter[tuple[str, int]] = Counter()
    for row in result.synthetic:
        name = result.class_names(row[result.columns.label])
        seen[name, row["draw"]] += 1
        if row["row_id"] != f"synthetic-{row['journal_key'][:22]}":
            yield f"{row['row_id']!r}: the id does not go with the journal key"
        elif row["generator"] != facts["generator"]["name"]:
            yield f"{row['row_id']!r}: generator {row['generator']!r}, the facts say {facts['generator']['name']!r}"
        elif not 1 <= len(row["source_ids"]) <= count:
            yield f"{row['row_id']!r}: {len(row['source_ids'])} sources, a prompt shows {count}"
        elif result.has_originals and any(classes.get(source) != name for source in row["source_ids"]):
            yield f"{row['row_id']!r}: a source is no original of the class {name!r}"
    yield from (
        f"class {name!r} has draw {number} {times} times" for (name, number), times in seen.items() if times > 1
    )
    others = [row for name, rows in result.listed.items() if name != facts["split"] for row in rows]
    if any(row["is_synthetic"] for row in others):
        yield "there are synthetic rows in a split that was not imputed"


def _counts(result: Result) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the account of the facts, and the same counted from rows and plan."""
    outcome, plan = result.facts["outcome"], result.facts["plan"]
    kept = Counter(result.class_names(row[result.columns.label]) for row in result.synthetic)
    said: dict[str, Any] = {"kept": outcome["kept"], "missing": outcome["missing"], "to_write": plan["to_write"]}
    needed = {entry["name"]: entry["to_write"] for entry in plan["classes"] if entry["to_write"]}
    found: dict[str, Any] = {
        "kept": len(result.synthetic),
        "missing": sum(needed.values()) - len(result.synthetic),
        "to_write": sum(needed.values()),
    }
    for entry in outcome["classes"]:
        name = entry["name"]
        said |= {f"{name}: {what}": entry[what] for what in ("needed", "kept", "missing")}
        judged = entry["kept"] + sum(entry["rejected"].values())
        said[f"{name}: generated"] = entry["generated"]
        found |= {
            f"{name}: needed": needed.get(name, 0),
            f"{name}: kept": kept[name],
            f"{name}: missing": needed.get(name, 0) - kept[name],
            f"{name}: generated": judged,
        }
    unknown = set(kept) - {entry["name"] for entry in outcome["classes"]}
    return said, {**found, **{f"{name}: kept": kept[name] for name in unknown}}


def check_plan(result: Result, recipe: Recipe) -> Iterator[Check]:
    """Make the plan, the draws and the prompts anew, and compare every synthetic row with its own."""
    facts = result.facts
    said = {entry["name"]: entry for entry in facts["plan"]["classes"]}
    found = {entry.name: asdict(entry) for entry in recipe.classes}
    yield compare("plan", said, found)
    code = plan_digest(recipe.originals.pools, recipe.classes, recipe.settings)
    yield Check("plan's digest", code == facts["plan"]["digest"], code[:16])
    yield from _draws(result, recipe)
    parameters, settings = facts["parameters"], facts["plan"]["settings"]
    shared = (
        *("n_examples", "replacement", "seed", "max_attempts", "min_acceptance", "contrast", "missing_label"),
        *("language", "category_descriptions"),
    )
    said = {name: parameters.get(name) for name in shared} | {"prompt": parameters.get("prompt")}
    yield compare("parameters", said, {name: settings[name] for name in shared} | {"prompt": facts["prompt"]})
    if facts["plan"]["example"] is not None:
        first = next((entry for entry in recipe.classes if entry.to_write), None)
        text = next(recipe.prompts(first.name, 0)).as_text() if first else None
        yield Check("example prompt", text == facts["plan"]["example"], "as it was sent")


def _draws(result: Result, recipe: Recipe) -> Iterator[Check]:
    """Compare sources, prompts, keys and places of all synthetic rows with those of their draws."""
    wrong, misplaced = [], []
    order: dict[str, list[int]] = {}
    anchor_of: dict[str, str] = {}
    for row in result.synthetic:
        name = result.class_names(row[result.columns.label])
        entry = next((entry for entry in recipe.classes if entry.name == name), None)
        if entry is None or not 0 <= row["draw"] < entry.to_write:
            wrong.append(f"{row['row_id']!r}: the plan has no draw {row['draw']} of class {name!r}")
            continue
        for prompt in recipe.prompts(name, row["draw"]):
            if (prompt.sha256, prompt.key) == (row["prompt_sha256"], row["journal_key"]):
                anchor_of[row["row_id"]] = prompt.draw.anchor
                if tuple(row["source_ids"]) != prompt.draw.source_ids:
                    wrong.append(f"{row['row_id']!r}: the prompt showed other originals than its source_ids")
                break
        else:
            wrong.append(f"{row['row_id']!r}: its draw gives another prompt and key")
    yield check("draws, prompts and keys", wrong, len(result.synthetic))
    if not result.has_originals:
        return
    last = ""
    for row in result.rows:
        if not row["is_synthetic"]:
            last = row["row_id"]
        elif anchor_of.get(row["row_id"], last) != last:
            misplaced.append(f"{row['row_id']!r} does not stand after its anchor")
        else:
            order.setdefault(last, []).append(row["draw"])
    misplaced += [
        f"the texts after {anchor!r} are out of order" for anchor, draws in order.items() if draws != sorted(draws)
    ]
    yield check("places of synthetic rows", misplaced, len(result.synthetic))
