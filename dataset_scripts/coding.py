"""From coded spreadsheets to labelled rows: columns, codes, decisions, splits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import datasets

from synimpute_hf.columns import LABEL_NAMES, guess
from synimpute_hf.errors import ColumnError, DataError, nearest
from synimpute_hf.seeding import normalise

from .codebooks import Codebook, plain_code
from .coders import Agreement, Rule, agreement, most_frequent
from .spreadsheets import EXCEL_LIMIT, Sheet, each_row, typed

__all__ = ["Coded", "Settings", "read_coded"]

CODER = re.compile(r"(coder|rater|annotator|judge|labeler|labeller)[ _.-]*\w{1,20}|\w+[ _](coder|rater)[ _]?\d+", re.I)
IDS = ("id", "doc_id", "text_id", "row_id", "document_id", "sentence_id", "unit_id", "tweet_id")
MISSING_LOOKS = {"-1", "-9", "-99", "-999", "9", "88", "99", "98", "97", "999", "missing", "none", "unclear"}
EXCEL_DATE = re.compile(
    r"\d{1,2}[-. ](jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*|\d{1,2}/\d{1,2}/\d{2,4}", re.I
)
LOWEST_ALPHA = 0.667
"""Below this Krippendorff (Content Analysis, 2004, p. 241) would not draw even tentative conclusions."""
TIES = ("drop", "unlabelled", "first")


@dataclass(frozen=True)
class Settings:
    """What a user may say about coded spreadsheets; see the command's help."""

    text: str | None = None
    id: str | None = None
    label: str | None = None
    coders: tuple[str, ...] = ()
    rule: str = "majority"
    ties: str = "drop"
    positive: str | None = None
    missing: tuple[str, ...] = ()
    min_coders: int = 1
    split_column: str | None = None
    test_share: float = 0.0
    seed: int = 0


@dataclass
class Coded:
    """Labelled rows.

    Attributes:
        rows: by split; each with ``id``, ``text``, ``label`` (the class, or -1) and the other columns.
        features: of the columns.
        notes: what was noticed, in sentences.
        agreement: of the coders, or None where there is one column of labels.
        coders: the coders' columns.
        undecided: ids of the texts without a class.
    """

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    features: datasets.Features = field(default_factory=datasets.Features)
    notes: list[str] = field(default_factory=list)
    agreement: Agreement | None = None
    coders: tuple[str, ...] = ()
    undecided: list[str] = field(default_factory=list)


def read_coded(sheets: Sequence[Sheet], settings: Settings, codebook: Codebook | None) -> Coded:
    """Turn tables into labelled rows.

    Raises:
        ColumnError: a column is missing or ambiguous.
        DataError: codes that the codebook lacks, repeated ids, no rows, a rule or a split that can't be applied.
    """
    if settings.ties not in TIES:
        raise DataError(f"--ties expects {', '.join(TIES)}; got {settings.ties!r}.{nearest(settings.ties, TIES)}")
    coded = Coded(notes=[note for sheet in sheets for note in sheet.notes])
    settings = _columns(sheets, settings, coded.notes)
    used = [sheet for sheet in sheets if settings.text in sheet.columns]
    if skipped := [sheet.source for sheet in sheets if sheet not in used]:
        coded.notes.append(f"Left out, without a column {settings.text!r}: {', '.join(skipped)}.")
    columns = (settings.text, *settings.coders)
    for sheet in used:
        for name, count in sheet.dates.items():
            if name in columns:
                coded.notes.append(
                    f"{sheet.source}: {count} cells of column {name!r} are dates, which Excel makes of texts such as "
                    "1-2 or May 3; they were read as 2026-05-03. Check them."
                )
    places = [f"{source}:{number}" for source, number, _ in each_row(used)]
    rows = [row for _, _, row in each_row(used)]
    kept = [k for k, row in enumerate(rows) if row.get(settings.text or "") is not None]
    if len(kept) < len(rows):
        coded.notes.append(f"{len(rows) - len(kept)} rows without a text were left out.")
    if not kept:
        raise DataError(f"No row has a text in column {settings.text!r}. Check the column (--text) and the files.")
    rows, places = [rows[k] for k in kept], [places[k] for k in kept]
    codes, rule = _codes(rows, settings, codebook, coded.notes)
    classes = _decisions(codes, rule, settings, coded)
    names = codebook.names if codebook else _sorted_codes({code for unit in codes for code in unit if code is not None})
    made = _table(rows, places, classes, settings, coded.notes)
    _tell_undecided(coded, made["id"], classes, settings)
    _finish(coded, made, names, settings)
    return coded


def _columns(sheets: Sequence[Sheet], settings: Settings, notes: list[str]) -> Settings:
    """Settle the columns, guessing what is obvious and saying so."""
    names = list(dict.fromkeys(name for sheet in sheets for name in sheet.columns))
    if settings.label and settings.coders:
        raise ColumnError("Name either one column of labels (--label) or the coders' columns (--coders), not both.")
    for option, column in (
        ("--split-column", settings.split_column),
        *(("--coders", name) for name in settings.coders),
    ):
        if column is not None and column not in names:
            raise ColumnError(
                f"There is no column {column!r} ({option}). The columns are: {', '.join(map(repr, names))}."
                f"{nearest(column, names)}"
            )
    coders = settings.coders or ((settings.label,) if settings.label else ())
    if not coders and not [name for name in names if name.lower() in LABEL_NAMES]:
        found = tuple(name for name in names if CODER.fullmatch(name))
        if len(found) > 1:
            coders = found
            notes.append(
                f"Columns {', '.join(map(repr, coders))} are taken as the coders' (guessed; --coders names others)."
            )
    cells = {name: typed([row.get(name) for sheet in sheets for row in sheet.rows]) for name in names}
    columns, guesses = guess(None, cells, settings.text, coders[0] if coders else None, settings.id)
    notes.extend(guesses)
    id_column = settings.id
    for name in names if id_column is None else ():
        values = [value for value in cells[name] if value is not None]
        if name.lower() in IDS and len(values) == len(set(values)) == sum(len(sheet.rows) for sheet in sheets):
            id_column = name
            notes.append(f"Column {name!r} is taken as the id (guessed; --id names another).")
            break
    return replace(settings, text=columns.text, id=id_column, coders=coders or (columns.label,))


def _codes(
    rows: Sequence[Mapping[str, Any]], settings: Settings, codebook: Codebook | None, notes: list[str]
) -> tuple[list[list[str | None]], Rule]:
    """Return each row's codes as classes, in the order of the coders, and the rule with its two classes filled in."""
    missing = {plain_code(word).casefold() for word in settings.missing}
    raw = [[plain_code(row[name]) if row.get(name) is not None else None for name in settings.coders] for row in rows]
    found = Counter(code for unit in raw for code in unit if code is not None)
    away = {code: count for code, count in found.items() if code.casefold() in missing}
    if away:
        shown = ", ".join(f"{code!r} {count} times" for code, count in sorted(away.items()))
        notes.append(f"Codes that stand for 'not coded': {shown} (--missing names others).")
    codes = {code: count for code, count in found.items() if code not in away}
    if not codes:
        raise DataError(f"No codes in {', '.join(map(repr, settings.coders))}: all cells are blank or 'not coded'.")
    if len(codes) > max(20, len(rows) // 2):
        raise DataError(
            f"{', '.join(map(repr, settings.coders))} hold {len(codes)} different codes in {len(rows)} rows: this "
            "looks like texts or numbers, not classes. Name the right columns with --label or --coders."
        )
    spelling = _spellings(codes, codebook, notes)
    rule = Rule.parse(settings.rule, settings.min_coders)
    if rule.kind == "at-least":
        rule = _two_classes(rule, settings.positive, codes, spelling, notes)
    return [[spelling.get(code) if code is not None else None for code in unit] for unit in raw], rule


def _spellings(codes: Mapping[str, int], codebook: Codebook | None, notes: list[str]) -> dict[str, str]:
    """Return the class of every code."""
    if codebook:
        strange = {code: count for code, count in codes.items() if codebook.name_of(code) is None}
        if strange:
            shown = ", ".join(f"{code!r} ({count} times)" for code, count in sorted(strange.items())[:8])
            raise DataError(
                f"The codebook does not have: {shown}. Its codes are {', '.join(e.code for e in codebook.entries)}. "
                f"Add them there, or, if they mean 'not coded', say --missing {','.join(sorted(strange))}."
            )
        if unused := set(codebook.names) - {str(codebook.name_of(code)) for code in codes}:
            notes.append(f"Classes of the codebook that no coder gave: {', '.join(sorted(unused))}.")
        return {code: str(codebook.name_of(code)) for code in codes}
    if looks := sorted(code for code in codes if code.casefold() in MISSING_LOOKS):
        notes.append(f"If {', '.join(map(repr, looks))} mean 'not coded', say --missing {','.join(looks)}.")
    best: dict[str, str] = {}
    for code in sorted(codes, key=lambda code: (-codes[code], code)):
        best.setdefault(code.casefold(), code)
    if united := sorted(code for code in codes if best[code.casefold()] != code):
        notes.append(f"Codes that differ in upper and lower case only are one class: {', '.join(map(repr, united))}.")
    return {code: best[code.casefold()] for code in codes}


def _two_classes(
    rule: Rule, positive: str | None, codes: Mapping[str, int], spelling: Mapping[str, str], notes: list[str]
) -> Rule:
    """Settle which of two classes is counted; of 0 and 1 it is 1."""
    classes = sorted(set(spelling.values()))
    if positive is None and set(codes) <= {"0", "1"}:
        positive = "1"
        notes.append("Code '1' is the one that is counted (guessed; --positive names another).")
    chosen = next((name for code, name in spelling.items() if positive in (code, name)), None)
    if chosen is None or len(classes) != 2:
        raise DataError(
            "The rules any and at-least:CODERS need two classes and, with --positive, which of them is counted. The "
            f"classes are {', '.join(map(repr, classes))}; --positive is {positive!r}."
        )
    return replace(rule, positive=chosen, negative=next(name for name in classes if name != chosen))


def _sorted_codes(codes: set[str]) -> list[str]:
    numbers = all(re.fullmatch(r"-?\d+", code) for code in codes)
    return sorted(codes, key=lambda code: (int(code) if numbers else 0, code.casefold(), code))


def _decisions(codes: Sequence[Sequence[str | None]], rule: Rule, settings: Settings, coded: Coded) -> list[str | None]:
    """Apply the rule, and the coders' agreement is told."""
    classes = [rule.decide(unit) for unit in codes]
    if len(settings.coders) == 1:
        return classes
    coded.coders, coded.agreement = settings.coders, agreement(codes)
    found = coded.agreement
    percent = "not defined" if found.percent is None else f"{found.percent:.1f} %"
    alpha = "not defined (one code only)" if found.alpha is None else f"{found.alpha:.3f}"
    low = "" if found.alpha is None or found.alpha >= LOWEST_ALPHA else (
        f" Below {LOWEST_ALPHA} Krippendorff (2004) would draw no conclusions: look at the codebook and the training."
    )  # fmt: skip
    coded.notes.append(
        f"Agreement of {', '.join(settings.coders)} on the {found.texts} texts with two codes or more: {percent} of "
        f"all pairs of codes are equal; Krippendorff's alpha (nominal) is {alpha}.{low}"
    )
    alone = sum(sum(code is not None for code in unit) == 1 for unit in codes)
    if alone and settings.min_coders < 2:
        coded.notes.append(
            f"{alone} texts have the code of one coder only, which counts (--min-coders 2 asks for two)."
        )
    if settings.ties == "first":
        classes = [most_frequent(unit) if name is None else name for unit, name in zip(codes, classes, strict=True)]
    return classes


def _table(
    rows: Sequence[Mapping[str, Any]],
    places: Sequence[str],
    classes: Sequence[str | None],
    settings: Settings,
    notes: list[str],
) -> dict[str, list[Any]]:
    """Return the columns of the dataset."""
    texts = _texts([str(row[settings.text or ""]) for row in rows], str(settings.text), notes)
    ids = [plain_code(row.get(settings.id) or "") for row in rows] if settings.id else list(places)
    if settings.id and (bad := [name for name, count in Counter(ids).items() if count > 1 or not name]):
        raise DataError(
            f"Column {settings.id!r} is no id: {bad[0]!r} stands in {ids.count(bad[0])} rows. Expected one row a text, "
            "each with an id of its own. A sheet with one row for each coder and text must be turned first (a pivot "
            "table: one column for each coder)."
        )
    table: dict[str, list[Any]] = {"id": ids, "text": texts, "label": list(classes)}
    taken = {settings.text, settings.id, settings.split_column, *(settings.coders if len(settings.coders) == 1 else ())}
    for name in dict.fromkeys(name for row in rows for name in row):
        if name not in taken:
            free = f"{name}_given" if name in table else name
            if free != name:
                notes.append(f"Your column {name!r} is now {free!r}.")
            table[free] = typed([row.get(name) for row in rows])
    if settings.split_column:
        table["split"] = [row.get(settings.split_column) for row in rows]
    return table


def _texts(texts: Sequence[str], column: str, notes: list[str]) -> list[str]:
    """Return the texts, without the apostrophe that protects from Excel, and tell what Excel may have done."""
    made = [text[1:] if re.match(r"'[=+\-@]", text) else text for text in texts]
    if changed := sum(a != b for a, b in zip(texts, made, strict=True)):
        notes.append(
            f"{changed} texts began with an apostrophe before =, +, - or @, Excel's sign for 'text': it was taken off."
        )
    for count, what in (
        (sum(len(text) >= EXCEL_LIMIT for text in made), f"have {EXCEL_LIMIT} characters, where Excel cuts texts off"),
        (sum(bool(re.fullmatch(r"[-+]?[\d.,\s]+%?", text.strip())) for text in made), "are numbers"),
        (sum(bool(EXCEL_DATE.fullmatch(text.strip())) for text in made), "are dates, which Excel makes of short texts"),
    ):
        if count:
            notes.append(f"{count} texts in column {column!r} {what}. Check them against the source.")
    return made


def _tell_undecided(coded: Coded, ids: Sequence[str], classes: Sequence[str | None], settings: Settings) -> None:
    open_ids = [str(name) for name, found in zip(ids, classes, strict=True) if found is None]
    coded.undecided = open_ids
    if open_ids:
        why = f"no class by the rule {settings.rule}" if len(settings.coders) > 1 else "no label"
        done = "stay in, without a class (label -1)" if settings.ties == "unlabelled" else "were left out"
        shown = ", ".join(open_ids[:5]) + (", …" if len(open_ids) > 5 else "")
        coded.notes.append(f"{len(open_ids)} texts have {why} and {done} (--ties): {shown}")


def _finish(coded: Coded, table: dict[str, list[Any]], names: Sequence[str], settings: Settings) -> None:
    """Drop what has no class, set the features and part the rows into splits."""
    split = table.pop("split", None) if settings.split_column else None
    kinds = {int: "int64", float: "float64"}
    for column, values in table.items():
        kind = next((type(value) for value in values if value is not None), str)
        coded.features[column] = datasets.Value("string" if column in ("id", "text") else kinds.get(kind, "string"))
    coded.features["label"] = datasets.ClassLabel(names=list(names))
    keep = [k for k, name in enumerate(table["label"]) if name is not None or settings.ties == "unlabelled"]
    if not keep:
        raise DataError(
            f"No text has a class by the rule {settings.rule}. Try another --rule, --ties first, fewer --min-coders."
        )
    where = _splits(keep, table, split, names, settings)
    for k in keep:
        row = {column: values[k] for column, values in table.items()}
        row["label"] = -1 if row["label"] is None else row["label"]
        coded.rows.setdefault(where[k], []).append(row)
    coded.rows = {name: coded.rows[name] for name in sorted(coded.rows, key=lambda name: (name != "train", name))}
    sides: dict[str, set[str]] = {}
    for name, part in coded.rows.items():
        for row in part:
            sides.setdefault(normalise(row["text"]), set()).add(name)
    if shared := sum(len(found) > 1 for found in sides.values()):
        coded.notes.append(f"{shared} texts stand in several splits: a leak. Mend column {settings.split_column!r}.")


def _splits(
    keep: Sequence[int],
    table: Mapping[str, list[Any]],
    given: list[Any] | None,
    names: Sequence[str],
    settings: Settings,
) -> dict[int, str]:
    """Return each row's split: as the column says, or a stratified share of the texts, equal texts on one side."""
    if given is not None:
        bad = next((given[k] for k in keep if not re.fullmatch(r"\w+", str(given[k] or ""))), False)
        if bad is not False:
            raise DataError(
                f"Column {settings.split_column!r} should hold a split's name (train, test, …) in every row, letters "
                f"and digits only; a row holds {bad!r}."
            )
        return {k: str(given[k]).lower() for k in keep}
    if not settings.test_share:
        return dict.fromkeys(keep, "train")
    groups: dict[str, list[int]] = {}
    for k in keep:
        groups.setdefault(normalise(table["text"][k]), []).append(k)
    labelled = [found for found in groups.values() if table["label"][found[0]] is not None]
    units = datasets.Dataset.from_dict(
        {"label": [table["label"][found[0]] for found in labelled], "group": list(range(len(labelled)))},
        features=datasets.Features({"label": datasets.ClassLabel(names=list(names)), "group": datasets.Value("int64")}),
    )
    try:
        parts = units.train_test_split(settings.test_share, stratify_by_column="label", seed=settings.seed)
    except ValueError as error:
        raise DataError(
            f"A test set of --test-share {settings.test_share} can't be drawn from {len(labelled)} different texts: "
            f"{error} Expected a share between 0 and 1, and two texts or more in every class."
        ) from error
    test = {k for group in parts["test"]["group"] for k in labelled[group]}
    return {k: "test" if k in test else "train" for k in keep}
