"""The rows, rebuilt from the journal with no model, and compared byte by byte."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from ..errors import MissingPackageError, SynimputeError
from ..generation import Generation
from ..generators import make_generator
from ..journal import Journal
from ..mapping import Anchors, impute_batch
from ..outputs import JOURNAL, write_split
from ..provenance import Recipe, synthetic_of
from ..records import Outcome
from .base import Check, Result, check, compare

__all__ = ["check_replay"]

NAME = "replay"


def check_replay(result: Result, recipe: Recipe | None, parts: Mapping[str, Any] | None) -> Iterator[Check]:
    """Judge the journal's answers again, build the rows from them, and compare files and account."""
    if not (result.place / JOURNAL).is_file():
        yield Check(NAME, False, "there is no journal to replay: publish it with --journal answers, or full")
        return
    if recipe is None or parts is None:
        yield Check(NAME, False, "there are no originals to replay from: name them with --originals")
        return
    try:
        with tempfile.TemporaryDirectory() as scratch:
            yield from _check_validators(result, recipe)
            outcome = _generate(result, recipe, Path(scratch))
            yield compare(f"{NAME}: account", _account(result.facts["outcome"]), _account(outcome.to_dict()))
            yield _compare_files(result, _write(result, recipe, outcome, parts, Path(scratch)))
    except MissingPackageError as error:
        yield Check(NAME, None, str(error))
    except SynimputeError as error:
        yield Check(NAME, False, str(error))


def _check_validators(result: Result, recipe: Recipe) -> Iterator[Check]:
    """Tell of a validator that is another here, such as a detector of another version."""
    for said, validator in zip(result.facts["plan"]["settings"]["validators"], recipe.validators, strict=True):
        here = validator.identity["parameters"]
        if here != said["parameters"]:
            other = ", ".join(f"{name} {said['parameters'].get(name)} there, {v} here" for name, v in here.items())
            yield Check(f"{NAME}: validator {validator.key}", None, f"it may judge otherwise: {other}")


def _generate(result: Result, recipe: Recipe, scratch: Path) -> Outcome:
    """Run the plan over the answers of its own run; no other journal is looked at."""
    with Journal(result.place / JOURNAL, create=False) as journal:
        journal.copy_run(scratch / JOURNAL, result.facts["outcome"]["run"])
    name = result.facts["generator"]["name"]
    generator = make_generator(f"replay:{scratch / JOURNAL}", generator=name)
    with Journal(scratch / "new.sqlite") as new:
        return Generation(
            recipe.classes,
            recipe.originals,
            recipe.settings,
            recipe.renderer,
            generator,
            new,
            recipe.max_attempts,
            panel=recipe.panel,
            min_acceptance=recipe.min_acceptance,
        ).run()


def _account(outcome: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: outcome[name] for name in ("kept", "missing", "prompt_tokens", "answer_tokens", "run")}
    for entry in outcome["classes"]:
        found[entry["name"]] = [
            entry["needed"],
            entry["generated"],
            entry["kept"],
            dict(sorted(entry["rejected"].items())),
        ]
    return found


def _write(result: Result, recipe: Recipe, outcome: Outcome, parts: Mapping[str, Any], scratch: Path) -> dict[str, Any]:
    """Write the rebuilt rows in as many files as there are."""
    facts = result.facts
    judged = any(validator.learns for validator in recipe.validators)
    impute = partial(impute_batch, anchors=Anchors.of(recipe.originals, outcome.rows, judged))
    (scratch / "data").mkdir()
    written = {}
    for name, split in facts["splits"].items():
        rows = parts[name].map(
            impute, batched=True, cache_file_name=str(scratch / f"{name}.arrow"), new_fingerprint="replayed"
        )
        if not result.has_originals:
            rows = synthetic_of(rows, result.columns.text, result.columns.label)
        written[name] = write_split(rows, scratch, name, result.columns, count=len(split["files"]))
    return written


def _compare_files(result: Result, written: Mapping[str, Any]) -> Check:
    said = result.facts["splits"]
    pairs = [pair for name, split in said.items() for pair in zip(split["files"], written[name]["files"], strict=True)]
    other = [f"{one['file']}: rebuilt, it has other bytes" for one, two in pairs if one["sha256"] != two["sha256"]]
    versions = {name: (result.facts["versions"].get(name), metadata.version(name)) for name in ("pyarrow", "datasets")}
    differ = [f"{name} {one} there, {two} here" for name, (one, two) in versions.items() if one != two]
    if other and differ and all(said[name]["digest"] == written[name]["digest"] for name in said):
        return Check(
            f"{NAME}: bytes", True, f"the same rows in other bytes, written by other versions ({'; '.join(differ)})"
        )
    return check(f"{NAME}: bytes", other, len(pairs), "files, byte for byte")
