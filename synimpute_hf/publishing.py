"""What goes to the Hub: the files and the card of a repository, laid out from a folder that one of our runs wrote."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .audit_facts import AUDIT, read_audit, write_audit
from .cards import dataset_card, merge_metadata, metadata_of
from .columns import Columns
from .errors import DataError, PlanError
from .facts import FACTS, MODEL_FORMAT, REVIEW, load_facts, read_facts, read_review
from .journal import Journal
from .outputs import JOURNAL, MANIFEST, read_manifest, read_split, write_manifest, write_split
from .provenance import synthetic_of
from .version import __version__

__all__ = ["JOURNALS", "Bundle", "Publication", "lay_out"]

JOURNALS = ("none", "answers", "full")
LEFT_OUT = re.compile(r"(^|/)(\.|checkpoint-\d|runs/|_crossval/|optimizer|scheduler\.pt|rng_state|training_args\.bin)")
SHARD = r"data/[^/]+-\d{5}-of-\d{5}-[0-9a-f]{8}\.parquet"
CONFIG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
RESERVED = ("data", "crossval")


@dataclass(frozen=True)
class Publication:
    """How a result is laid out on the Hub.

    Attributes:
        config: the configuration; ``default``, or a name of letters, digits, dots and dashes.
        synthetic_only: whether the originals, and other splits, are left out.
        journal: ``none``, ``answers`` (without requests, which quote originals) or ``full``.
        report: folder of a cross-validation of these rows; None takes the result folder's own, where there is one.
        license: of the dataset or model, as the Hub names it; None inherits.
        language: codes such as ``en``; none inherits.
        dataset_id: of a classifier, the Hub id of the rows that trained it.
        largest_mb: million bytes that a data file may have.
        space: whether the pages of a report go to a static Space.
    """

    config: str = "default"
    synthetic_only: bool = False
    journal: str = "none"
    report: Path | None = None
    license: str | None = None
    language: tuple[str, ...] = ()
    dataset_id: str | None = None
    largest_mb: float = 500.0
    space: bool = False

    def __post_init__(self) -> None:
        if self.journal not in JOURNALS:
            raise PlanError(f"journal={self.journal!r}: expected one of {', '.join(JOURNALS)}.")
        if self.synthetic_only and self.journal == "full":
            raise PlanError(
                "The full journal quotes the originals, which synthetic_only leaves out: take the journal's answers "
                "only (--journal answers)."
            )
        if not CONFIG.fullmatch(self.config) or self.config in RESERVED:
            raise PlanError(
                f"config={self.config!r}: expected a name of letters, digits, dots and dashes, and none of "
                f"{', '.join(RESERVED)}."
            )
        if not self.largest_mb > 0:
            raise PlanError(f"largest_mb={self.largest_mb}: expected a size above 0, in million bytes.")


@dataclass(frozen=True)
class Bundle:
    """A repository's content, as far as it is ours.

    Attributes:
        kind: ``dataset``, ``model`` or ``space``.
        files: local files by their path in the repository, without the card.
        owned: says of a path in the repository whether it is ours to replace or to delete.
        card: makes the card from the one that is there.
        title: of the commit.
        needs_license: whether a card without a license is refused.
    """

    kind: str
    files: Mapping[str, Path]
    owned: Callable[[str], bool]
    card: Callable[[str], str]
    title: str
    needs_license: bool = True


def lay_out(folder: Path, scratch: Path, how: Publication) -> Bundle:
    """Lay out what a folder holds: an imputed dataset, a classifier, a report, or a dataset that a builder wrote.

    Args:
        folder: written by ``synimpute impute``, ``train``, ``crossval`` or ``report``, by a Trainer with our callback,
            or by one of the builders.
        scratch: an empty folder for what is made on the way.
        how: what is left out, added, asked for.

    Raises:
        DataError: the folder is none of these.
        PlanError: an option does not go with it.
    """
    if how.space:
        return _report(folder, scratch)
    if (folder / "config.json").is_file():
        return _classifier(folder, how)
    if (folder / MANIFEST).is_file():
        return _result(folder, scratch, how)
    if (folder / "README.md").is_file() and any(folder.rglob("*.parquet")):
        return _plain(folder, how)
    raise DataError(
        f"{folder} holds nothing that can be pushed. Expected a folder that `synimpute impute` (dataset), `synimpute "
        "train` or a Trainer (classifier) or one of the builders has written; for the pages of `synimpute report`, say "
        "--space."
    )


def _result(folder: Path, scratch: Path, how: Publication) -> Bundle:
    facts = read_manifest(folder)
    review, audit = read_review(folder, facts), read_audit(folder, facts)
    place = "" if how.config == "default" else f"{how.config}/"
    target = scratch / (how.config if place else "default")
    (target / "data").mkdir(parents=True)
    facts = {**facts, "config": how.config, "place": place, "metadata": _asked(facts["metadata"], how)}
    facts["published"] = {"originals": not how.synthetic_only, "journal": how.journal, "folder": False}
    _write_rows(folder, target, facts, how)
    facts["journal"] = _write_journal(folder, target, facts, how.journal)
    if how.synthetic_only:
        facts["plan"] = {**facts["plan"], "example": None}
    write_manifest(target, facts)
    crossval = _copy_report(how.report or folder, target, facts, asked=how.report is not None)
    if review is not None:
        shutil.copyfile(folder / REVIEW, target / REVIEW)
    if audit is not None:
        write_audit(target, audit)
    made = [file for file in sorted(target.rglob("*")) if file.is_file()]
    files = {f"{place}{file.relative_to(target).as_posix()}": file for file in made}
    named = {f"{place}{name}" for name in (MANIFEST, JOURNAL, FACTS, REVIEW, AUDIT)}
    shard = re.compile(re.escape(place) + SHARD)
    return Bundle(
        kind="dataset",
        files=files,
        owned=lambda path: path in named or shard.fullmatch(path) is not None,
        card=lambda card: dataset_card(facts, card, crossval, review, audit),
        title=f"{facts['title']}: {facts['outcome']['kept']} synthetic rows (synimpute_hf {__version__})",
    )


def _asked(metadata: Mapping[str, Any], how: Publication) -> dict[str, Any]:
    found = dict(metadata)
    if how.license:
        found["license"] = {"value": how.license, "asked": True}
    if how.language:
        found["language"] = {"value": list(how.language), "asked": True}
    return found


def _write_rows(folder: Path, target: Path, facts: dict[str, Any], how: Publication) -> None:
    """Write the splits that are published, and what stands about them in the facts."""
    said = facts["plan"]["settings"]
    columns = Columns(said["text"], said["label"], said["id"])
    splits = facts["splits"]
    facts["splits"] = {}
    for name in splits:
        if how.synthetic_only and name != facts["split"]:
            continue
        rows = read_split(folder, {**facts, "splits": splits}, name, target.parent / "cache")
        if how.synthetic_only:
            rows = synthetic_of(rows, columns.text, columns.label)
            facts["features"] = rows.features.to_dict()
        facts["splits"][name] = write_split(rows, target, name, columns, int(how.largest_mb * 1e6))
    shutil.rmtree(target.parent / "cache", ignore_errors=True)


def _write_journal(folder: Path, target: Path, facts: Mapping[str, Any], kind: str) -> str:
    if kind == "none":
        return "not published"
    source = folder / JOURNAL
    if not source.is_file():
        raise DataError(
            f"There is no journal {source} to publish: this run kept it elsewhere. Copy it there under that name, or "
            "leave it out (--journal none)."
        )
    with Journal(source, create=False) as journal:
        answers = journal.copy_run(target / JOURNAL, facts["outcome"]["run"], requests=kind == "full")
    if not answers and facts["outcome"]["kept"]:
        raise DataError(f"The journal {source} holds no answer of this result: it belongs to another run.")
    return JOURNAL


def _copy_report(source: Path, target: Path, facts: Mapping[str, Any], asked: bool) -> dict[str, Any] | None:
    """Copy the facts of a cross-validation, after a look at whether they are about these rows."""
    if not asked and not (source / FACTS).is_file():
        return None
    crossval = read_facts(source)
    counts = {entry["name"]: entry["originals"] for entry in facts["plan"]["classes"]}
    measured = {entry["name"]: entry["originals"] for entry in crossval["classes"]}
    if set(counts) != set(measured) or any(measured[name] > counts[name] for name in counts):
        raise DataError(
            f"The cross-validation in {source} is not about these rows: it has the classes {_counted(measured)}, and "
            f"the result {_counted(counts)}. Name another with --report."
        )
    shutil.copyfile(source / FACTS, target / FACTS)
    return crossval


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))


def _classifier(folder: Path, how: Publication) -> Bundle:
    from .cards import model_card

    if how.synthetic_only or how.journal != "none" or how.config != "default":
        raise PlanError("A classifier has no configurations, originals or journal: leave out those options.")
    paths = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    files = {path: file for path, file in paths.items() if path != "README.md" and not LEFT_OUT.search(path)}
    facts = load_facts(
        folder / MANIFEST,
        MODEL_FORMAT,
        "kind",
        what="a classifier's training",
        again="Train with `synimpute train`, or in a Trainer script with SyntheticImputationCallback.",
    )
    metadata = _asked(facts.get("metadata", {}), how)
    if how.dataset_id:
        metadata["dataset_id"] = how.dataset_id
    facts = {**facts, "metadata": metadata}
    crossval = read_facts(folder) if (folder / FACTS).is_file() else None
    own = paths["README.md"].read_text(encoding="utf-8") if "README.md" in paths else ""
    weights = re.compile(r"(model|pytorch_model)[^/]*\.(safetensors|bin|json)")
    return Bundle(
        kind="model",
        files=files,
        owned=lambda path: path in files or weights.fullmatch(path) is not None,
        card=lambda card: model_card(facts, card or own, crossval),
        title=f"Classifier trained with synthetic rows (synimpute_hf {__version__})",
    )


def _plain(folder: Path, how: Publication) -> Bundle:
    """A dataset that one of the builders wrote: its own card, and no synthetic row."""
    paths = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
    files = {path: file for path, file in paths.items() if path != "README.md" and not LEFT_OUT.search(path)}
    own = paths["README.md"].read_text(encoding="utf-8")
    asked = {name: getattr(how, name) for name in ("license", "language") if getattr(how, name)}
    ours = {**metadata_of(own), **{name: list(v) if name == "language" else v for name, v in asked.items()}}
    data = {path.split("/")[0] + "/" for path in files if path.endswith(".parquet") and "/" in path}
    return Bundle(
        kind="dataset",
        files=files,
        owned=lambda path: path in files or (path.endswith(".parquet") and path.startswith(tuple(data))),
        card=lambda card: merge_metadata(card or own, ours, asked),
        title=f"{folder.name} (synimpute_hf {__version__})",
    )


SPACE_CARD = {"sdk": "static", "app_file": "index.html", "pinned": False, "tags": ["synimpute"]}


def _report(folder: Path, scratch: Path) -> Bundle:
    page = folder / "report.html"
    if not page.is_file():
        raise DataError(f"There is no {page}. Make it with: synimpute report {folder}")
    index = scratch / "index.html"
    shutil.copyfile(page, index)
    kept = [file for file in sorted(folder.glob("report.*")) if file != page]
    kept += [file for file in (folder / FACTS,) if file.is_file()]
    files = {"index.html": index, **{file.name: file for file in kept}}
    title = read_facts(folder)["title"] if (folder / FACTS).is_file() else folder.name
    body = f"# {title}\n\nA report made by synimpute_hf {__version__}; every figure in it is in `{FACTS}`.\n"
    return Bundle(
        kind="space",
        files=files,
        owned=lambda path: path in files,
        card=lambda card: merge_metadata(card or body, {"title": title, **SPACE_CARD}, ()),
        title=f"{title} (synimpute_hf {__version__})",
        needs_license=False,
    )
