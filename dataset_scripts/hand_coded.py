"""Spreadsheets of hand-coded texts, as social scientists have them, as a dataset.

``python -m synimpute_hf.dataset_scripts.hand_coded --data-dir coded.xlsx --coders anna,ben,carla --output DIR``.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import datasets
import typer

from synimpute_hf.typeset import md_cell

from . import base
from .codebooks import Codebook, entries_of, read_codebook
from .coding import Coded, Settings, read_coded
from .spreadsheets import Sheet, read_sheets, sheet_files

__all__ = ["HandCoded", "HandCodedConfig"]

MISSING = "NA,N/A,NaN,#N/A,-,.,?"


@dataclass
class HandCodedConfig(base.FilesConfig):
    """What is read, and how codes become classes. Lists are strings with commas between.

    Attributes:
        text: text column; guessed when obvious.
        id: id column; a row's file and number stand in for it.
        label: column with labels that are already decided.
        coders: the coders' columns.
        rule: ``majority``, ``unanimous``, ``threshold:SHARE``, ``any`` or ``at-least:CODERS``.
        ties: what becomes of texts without a class: ``drop``, ``unlabelled`` (-1) or ``first`` (the most frequent code,
            of equally frequent ones that of the coder who is named first).
        positive: for ``any`` and ``at-least``, the code that is counted.
        missing: codes that mean "not coded".
        min_coders: codes that a text must have.
        codebook: csv, xlsx or YAML file of codes, names and descriptions.
        sheets: sheets of a workbook; all visible ones by default.
        split_column: column with the names of splits.
        test_share: share of the different texts that becomes the split ``test``, stratified by class.
        seed: of that draw.
        title: of the card.
        language: codes of the texts' languages.
        license: the Hub's word for the texts' licence.
        citation: how to cite them.
    """

    text: str | None = None
    id: str | None = None
    label: str | None = None
    coders: str | None = None
    rule: str = "majority"
    ties: str = "drop"
    positive: str | None = None
    missing: str = MISSING
    min_coders: int = 1
    codebook: str | None = None
    sheets: str | None = None
    split_column: str | None = None
    test_share: float = 0.0
    seed: int = 0
    title: str = "Hand-coded texts"
    language: str | None = None
    license: str = base.UNKNOWN
    citation: str = ""

    def files(self) -> list[Path]:
        """Return the spreadsheets, and the codebook as the last."""
        book = [Path(self.codebook)] if self.codebook and Path(self.codebook).is_file() else []
        return [path for path in sheet_files(self.data_dir) if path not in book] + book

    def settings(self) -> Settings:
        """Return what concerns the coding."""
        return Settings(
            text=self.text,
            id=self.id,
            label=self.label,
            coders=_listed(self.coders),
            rule=self.rule,
            ties=self.ties,
            positive=self.positive,
            missing=_listed(self.missing),
            min_coders=self.min_coders,
            split_column=self.split_column,
            test_share=self.test_share,
            seed=self.seed,
        )


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


class HandCoded(base.LocalBuilder):
    """Builds a dataset from coded spreadsheets."""

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = HandCodedConfig
    codebook: Codebook | None
    coded: Coded

    def _info(self) -> datasets.DatasetInfo:
        config = self.config
        self.codebook = read_codebook(Path(config.codebook)) if config.codebook else None
        self.coded = read_coded(self._sheets(), config.settings(), self.codebook)
        rows = sum(map(len, self.coded.rows.values()))
        how = (
            f"Each was coded by {', '.join(self.coded.coders)}; its class comes from their codes by the rule "
            f"`{config.rule}`, and texts without a class: `{config.ties}`."
            if self.coded.coders
            else "Each has the label that stood in the sheet."
        )
        return datasets.DatasetInfo(
            description=f"{rows:,} texts in {len(self.coded.features['label'].names)} classes, coded by hand. {how}",
            features=self.coded.features,
            license=config.license,
            citation=config.citation,
        )

    def _sheets(self) -> list[Sheet]:
        """Read every sheet but the codebook's own."""
        book = Path(self.config.codebook) if self.config.codebook else None
        sheets = []
        for path in self.config.files():
            if path != book:
                sheets += read_sheets(path, _listed(self.config.sheets))
            elif path.suffix.lower() in (".xlsx", ".xlsm") and path in sheet_files(self.config.data_dir):
                sheets += [sheet for sheet in read_sheets(path, _listed(self.config.sheets)) if not entries_of(sheet)]
        return sheets

    def card(self) -> base.Card:
        """Return what the card says beside the ``DatasetInfo``."""
        stated = self.config.license != base.UNKNOWN
        book = Path(self.config.codebook) if self.config.codebook else None
        names = [path.name for path in self.config.files() if path != book] or [book.name if book else ""]
        return base.Card(
            title=self.config.title,
            language=_listed(self.config.language),
            source=f"From {', '.join(names)}.",
            rights=f"Licence of the texts: {self.config.license}."
            if stated
            else "No licence of the texts was stated: ask whoever holds the rights before you pass them on.",
        )

    def notes(self) -> Sequence[str]:
        """Return what was noticed in the sheets."""
        return self.coded.notes

    def sections(self) -> str:
        """Return the coders' agreement and the codebook."""
        parts = []
        if found := self.coded.agreement:
            percent = "not defined" if found.percent is None else f"{found.percent:.1f} %"
            alpha = "not defined" if found.alpha is None else f"{found.alpha:.3f}"
            parts.append(
                "## Agreement of the coders\n\n| coders | texts with two codes or more | equal pairs of codes "
                "| Krippendorff's alpha (nominal) |\n|---|---:|---:|---:|\n"
                f"| {md_cell(', '.join(self.coded.coders))} | {found.texts:,} | {percent} | {alpha} |"
            )
        if self.codebook:
            rows = [
                f"| {md_cell(e.code)} | {md_cell(e.name)} | {md_cell(e.description)} |" for e in self.codebook.entries
            ]
            parts.append("## Codebook\n\n| code | class | description |\n|---|---|---|\n" + "\n".join(rows))
            if options := self.options():
                parts.append("For `synimpute impute`:\n\n```bash\n" + " \\\n  ".join(options) + "\n```")
        return "\n\n".join(parts)

    def options(self) -> list[str]:
        """Return the codebook's descriptions as options of ``synimpute impute``."""
        found = self.codebook.descriptions if self.codebook else {}
        return [f"--category-description {shlex.quote(f'{name}={text}')}" for name, text in found.items()]

    def extra_files(self) -> Mapping[str, str]:
        """Return the codebook, as YAML."""
        return {"codebook.yaml": self.codebook.yaml()} if self.codebook else {}

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [datasets.SplitGenerator(split, gen_kwargs={"split": split}) for split in self.coded.rows]

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        yield from enumerate(self.coded.rows[split])


def _option(help_text: str, *names: str) -> Any:
    return typer.Option(*names, help=help_text, show_default=False)


def _main(
    data_dir: Annotated[Path, _option("Folder of spreadsheets (csv, tsv, xlsx), or one of them.")],
    output: base.Output = None,
    push_to_hub: base.PushToHub = None,
    public: base.Public = False,
    text: Annotated[str | None, _option("Text column; guessed when obvious.")] = None,
    id: Annotated[str | None, _option("Column with ids, one a text.", "--id")] = None,
    label: Annotated[str | None, _option("Column with labels that are already decided.")] = None,
    coders: Annotated[str | None, _option("The coders' columns: anna,ben,carla.")] = None,
    rule: Annotated[
        str,
        _option(
            "majority (default; more than half of the codes given), unanimous, threshold:0.67 (at least that share), "
            "any (one coder is enough), at-least:3."
        ),
    ] = "majority",
    ties: Annotated[
        str,
        _option(
            "Texts without a class by the rule: drop (default), unlabelled (label -1), first (the most frequent code; "
            "of equally frequent ones that of the coder named first)."
        ),
    ] = "drop",
    positive: Annotated[
        str | None, _option("For any and at-least: the code that is counted (default 1 of 0/1).")
    ] = None,
    missing: Annotated[str, _option(f"Codes that mean 'not coded', beside blanks (default {MISSING}).")] = MISSING,
    min_coders: Annotated[int, _option("Codes that a text must have to get a class (default 1).")] = 1,
    codebook: Annotated[Path | None, _option("csv, xlsx or yaml with code, name, description.")] = None,
    sheets: Annotated[str | None, _option("Sheets of a workbook: A,B; all visible ones by default.")] = None,
    split_column: Annotated[str | None, _option("Column with the names of splits.")] = None,
    test_share: Annotated[float, _option("Share of the texts that becomes the split test, stratified.")] = 0.0,
    seed: Annotated[int, _option("Seed of that draw (default 0).")] = 0,
    title: Annotated[str, _option("Title of the card.")] = "Hand-coded texts",
    language: Annotated[str | None, _option("Codes of the texts' languages: en,de.")] = None,
    license: base.License = base.UNKNOWN,
    citation: Annotated[str, _option("How to cite the texts.")] = "",
) -> None:
    """Turn spreadsheets of hand-coded texts into a dataset."""
    given = dict(locals())
    for name in ("output", "push_to_hub", "public", "data_dir", "codebook"):
        given.pop(name)
    with tempfile.TemporaryDirectory() as cache:
        book = None if codebook is None else str(codebook)
        builder = HandCoded(cache_dir=cache, data_dir=str(data_dir), codebook=book, **given)
        options = "".join(f" \\\n  {option}" for option in builder.options())
        hint = f"The codebook's descriptions, for the next step:\nsynimpute impute {output}{options}" if options else ""
        base.deliver(builder, output, push_to_hub, public, hint if output else "")


if __name__ == "__main__":
    base.run(_main)
