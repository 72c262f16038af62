"""A corpus with predicted categories and the codes of a sample, read from columns, and every estimate asked of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .columns import is_blank, plain_label
from .errors import ColumnError, DataError, PlanError, nearest
from .estimation import (
    CodedCorpus,
    Estimate,
    coded_corpus,
    difference,
    error_rates,
    outcome_regression,
    prevalence,
    prevalence_by_group,
    regressor_regression,
    sample_warnings,
    trend,
)
from .facts import words
from .pretrained import load_model, load_quietly, resolve_model

__all__ = ["ESTIMATES_FORMAT", "Question", "classify", "estimate_all", "read_corpus_of_codes"]

ESTIMATES_FORMAT = 1
BATCH = 32
MANY_GROUPS = 200
CONDITIONS = (
    "The coded texts must be a random sample of the corpus that is described (or drawn with the probabilities given), "
    "and must not have trained the classifier or chosen its settings."
)


@dataclass(frozen=True)
class Question:
    """What is to be estimated, besides the prevalence; all are names of columns.

    Attributes:
        by: the prevalence for each of its values; where there are two, their difference.
        trend: a number, such as the year, along which the prevalence may rise or fall.
        covariates: numbers on which the category is regressed.
        outcome: a number that is regressed on the category.
        controls: numbers beside the category in that regression.
    """

    by: str | None = None
    trend: str | None = None
    covariates: tuple[str, ...] = ()
    outcome: str | None = None
    controls: tuple[str, ...] = ()


def read_corpus_of_codes(
    dataset: Any,
    category: str,
    coded: str,
    *,
    predicted: str | None = None,
    model: str | None = None,
    text: str | None = None,
    probability: str | None = None,
    missing: str | int | None = -1,
) -> CodedCorpus:
    """Read predictions and codes from a dataset.

    Cells of both columns hold class names, or 1 for the category and 0 for others; predictions may be probabilities.

    Args:
        dataset: a ``datasets.Dataset``.
        category: its name.
        coded: column of true codes, empty where a text was not coded.
        predicted: column of predictions; or else
        model: a sequence classifier, by folder or Hub id, that predicts, and
        text: the column that it reads.
        probability: column of sampling probabilities, see ``coded_corpus``.
        missing: what also means "not coded".

    Raises:
        ColumnError: a column is missing, or holds something else.
        DataError: see ``coded_corpus``.
        PlanError: not one of ``predicted`` and ``model``, or a model without a text column.
    """
    if (predicted is None) == (model is None):
        raise PlanError("Say either --predicted COLUMN, or --model MODEL with --text COLUMN: where predictions are.")
    codes = _cells(dataset, coded, missing)
    if model is not None:
        if text is None:
            raise PlanError("--model needs --text COLUMN: the texts that it reads.")
        f = classify(_column(dataset, text), model, category)
        said = [category, *codes]  # the classifier knows it
    else:
        said = _cells(dataset, predicted or "", None)
        f = _predictions(said, category, str(predicted), codes)
    y = _indicator(codes, category, coded, said)
    pi = None if probability is None else _numbers(dataset, probability)
    return coded_corpus(f, y, pi)


def classify(texts: Sequence[Any], model: str, category: str) -> np.ndarray:
    """Let a sequence classifier read texts, in batches of like length.

    Args:
        texts: ``n`` texts.
        model: folder or Hub id of a classifier, such as ``synimpute train`` writes.
        category: one of its classes.

    Returns:
        1.0 where the category is the most probable class, else 0.0, shape ``(n,)``.

    Raises:
        DataError: a text is empty, or the classifier has no such class.
        GeneratorError: the model cannot be loaded.
        MissingPackageError: transformers or torch is missing.
    """
    blank = sum(map(is_blank, texts))
    if blank:
        raise DataError(f"{blank:,} rows have no text, and cannot be classified. Take them out of the data.")
    source = resolve_model(model)[1]
    network, tokenizer = load_model("AutoModelForSequenceClassification", source), load_model("AutoTokenizer", source)
    classes = [str(name) for name in network.config.id2label.values()]
    if category not in classes:
        known = ", ".join(map(repr, classes))
        raise DataError(f"{model!r} knows no class {category!r}. It knows: {known}.{nearest(category, classes)}")
    import torch
    import transformers

    device = 0 if torch.cuda.is_available() else -1
    limit = min(tokenizer.model_max_length, getattr(network.config, "max_position_embeddings", 514) - 2)
    pipe = load_quietly(transformers.pipeline, "text-classification", network, tokenizer=tokenizer, device=device)
    order = sorted(range(len(texts)), key=lambda place: len(str(texts[place])))
    answers = pipe([str(texts[k]) for k in order], batch_size=BATCH, truncation=True, max_length=limit)
    found = np.zeros(len(texts))
    found[order] = [answer["label"] == category for answer in answers]
    return found


def estimate_all(corpus: CodedCorpus, dataset: Any, category: str, question: Question) -> dict[str, Any]:
    """Estimate all that is asked, by every method.

    Args:
        corpus: from ``read_corpus_of_codes``.
        dataset: which has the columns.
        category: its name.
        question: what is asked.

    Returns:
        JSON-able facts: ``texts``, ``coded``, ``positives``, ``negatives``, ``tpr``, ``fpr``, ``warnings``,
        ``condition`` and ``parts``: each with ``key``, ``name``, ``notes`` and ``rows`` of ``what``, ``term``,
        ``texts``, ``coded`` and ``estimates`` by method.

    Raises:
        ColumnError: a column is missing, or holds no numbers.
        DataError: see the functions of ``estimation``.
        MissingPackageError: ppi-python is not installed.
    """
    rates = error_rates(corpus)
    parts = [_part("prevalence", category, [_row(category, corpus, prevalence(corpus))])]
    if question.by is not None:
        parts += _by(corpus, _column(dataset, question.by), question.by)
    if question.trend is not None:
        parts.append(_regression("trend", corpus, dataset, question.trend, (question.trend,), _slope))
    if question.covariates:
        names = question.covariates
        parts.append(_regression("outcome", corpus, dataset, category, names, _on_covariates))
    if question.outcome is not None:
        names = (question.outcome, *question.controls)
        parts.append(_regression("regressor", corpus, dataset, question.outcome, names, _on_category))
    return {
        "format": ESTIMATES_FORMAT,
        "category": category,
        "texts": len(corpus.predicted),
        "coded": int(corpus.is_coded.sum()),
        "positives": rates.positives,
        "negatives": rates.negatives,
        "tpr": _plain(rates.tpr),
        "fpr": _plain(rates.fpr),
        "weighted": corpus.probability is not None,
        "condition": CONDITIONS,
        "warnings": sample_warnings(corpus),
        "parts": parts,
    }


def _slope(corpus: CodedCorpus, values: np.ndarray, names: Sequence[str]) -> list[Estimate]:
    return trend(corpus, values, names[0])


def _on_covariates(corpus: CodedCorpus, values: np.ndarray, names: Sequence[str]) -> list[Estimate]:
    return outcome_regression(corpus, values, names)


def _on_category(corpus: CodedCorpus, values: np.ndarray, names: Sequence[str]) -> list[Estimate]:
    return regressor_regression(corpus, values[:, 0], values[:, 1:], names[1:])


def _by(corpus: CodedCorpus, cells: Sequence[Any], name: str) -> list[dict[str, Any]]:
    """Return the prevalence in each group, and where there are two of them, their difference."""
    labels = [None if is_blank(cell) else cell if _is_fraction(cell) else plain_label(cell) for cell in cells]
    kept = np.array([k for k, label in enumerate(labels) if label is not None], dtype=int)
    groups = [labels[k] for k in kept]
    distinct = len(set(groups))
    if not 1 < distinct <= MANY_GROUPS:
        raise ColumnError(
            f"--by {name!r} has {distinct:,} values: expected 2 to {MANY_GROUPS} groups. For a number, use --trend."
        )
    part = corpus.take(kept)
    notes = _left_out(len(labels) - len(kept), name)
    members = {group: np.array([other == group for other in groups]) for group in dict.fromkeys(groups)}
    found = prevalence_by_group(part, groups)
    rows = [_row(f"{name} {words(group)}", part.take(members[group]), found[group]) for group in found]
    made = [_part("groups", name, rows, notes)]
    if distinct == 2:
        first, second = found
        entries = difference(part, members[second], f"{words(second)} less {words(first)}")
        made.append(_part("difference", name, [_row(entries[0].term, part, entries)], notes))
    return made


def _regression(
    key: str,
    corpus: CodedCorpus,
    dataset: Any,
    name: str,
    names: Sequence[str],
    fit: Callable[[CodedCorpus, np.ndarray, Sequence[str]], list[Estimate]],
) -> dict[str, Any]:
    """Return the coefficients of a regression over the texts that have all of its numbers."""
    values = np.column_stack([_numbers(dataset, column) for column in names])
    kept = np.isfinite(values).all(axis=1)
    if not kept.any():
        raise DataError(f"No text has a number in all of the columns {', '.join(names)}.")
    part = corpus.take(kept)
    terms: dict[str, list[Estimate]] = {}
    for entry in fit(part, values[kept], names):
        terms.setdefault(entry.term, []).append(entry)
    rows = [_row(term, part, entries) for term, entries in terms.items()]
    return _part(key, name, rows, _left_out(int((~kept).sum()), " or ".join(names)))


def _left_out(count: int, name: str) -> list[str]:
    return [f"Texts left out for lack of a value of {name}: {count:,}."] if count else []


def _part(key: str, name: str, rows: list[dict[str, Any]], notes: Sequence[str] = ()) -> dict[str, Any]:
    return {"key": key, "name": name, "notes": list(notes), "rows": rows}


def _row(what: str, corpus: CodedCorpus, entries: Sequence[Estimate]) -> dict[str, Any]:
    return {
        "what": what,
        "term": entries[0].term,
        "texts": len(corpus.predicted),
        "coded": int(corpus.is_coded.sum()),
        "estimates": {entry.method: {key: _plain(v) for key, v in asdict(entry).items()} for entry in entries},
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _column(dataset: Any, name: str) -> list[Any]:
    if name not in dataset.column_names:
        known = ", ".join(dataset.column_names)
        raise ColumnError(
            f"There is no column {name!r}. The columns are: {known}.{nearest(name, dataset.column_names)}"
        )
    return list(dataset[name])


def _cells(dataset: Any, name: str, missing: str | int | None) -> list[Any]:
    """Return class names as strings, fractions as floats, None where there is nothing."""
    cells = _column(dataset, name)
    feature = dataset.features[name]
    names = getattr(feature, "names", None)
    found: list[Any] = []
    for cell in cells:
        fraction = _is_fraction(cell)
        value = cell if fraction else plain_label(cell)
        if value is None or (missing is not None and str(value) == str(missing)):
            found.append(None)
        elif names is not None and isinstance(value, int):
            found.append(names[value] if value >= 0 else None)
        else:
            found.append(value if fraction else str(int(value) if isinstance(value, bool) else value))
    return found


def _is_fraction(cell: Any) -> bool:
    return isinstance(cell, float) and math.isfinite(cell) and not cell.is_integer()


def _predictions(cells: list[Any], category: str, name: str, codes: list[Any]) -> np.ndarray:
    if None in cells:
        raise ColumnError(f"{cells.count(None):,} cells of {name!r} are empty: expected a prediction for every text.")
    if any(isinstance(cell, float) for cell in cells):
        try:
            return np.array([float(cell) for cell in cells])
        except ValueError as error:
            raise ColumnError(f"{name!r} mixes probabilities and class names: {error}.") from error
    return _indicator(cells, category, name, codes)


def _indicator(cells: list[Any], category: str, name: str, others: list[Any]) -> np.ndarray:
    """Return 1 for the category, 0 for another class, nan for nothing.

    Where neither column has the category, 0 and 1 are read as no and yes.
    """
    values = {cell for cell in cells if cell is not None}
    if any(isinstance(value, float) for value in values):
        raise ColumnError(f"{name!r} holds fractions: expected class names, or 1 for the category and 0 for others.")
    shared = category in others and not values.isdisjoint(others)  # a class that was never coded, or never predicted
    if category in values or (shared and not values <= {"0", "1"}):
        yes = category
    elif values <= {"0", "1"}:
        yes = "1"
    else:
        known = ", ".join(map(repr, sorted(values)[:20]))
        raise ColumnError(f"{name!r} has no class {category!r}. Its classes are: {known}.{nearest(category, values)}")
    return np.array([math.nan if cell is None else float(cell == yes) for cell in cells])


def _numbers(dataset: Any, name: str) -> np.ndarray:
    cells = _column(dataset, name)
    try:
        return np.array([math.nan if is_blank(cell) else float(cell) for cell in cells])
    except (TypeError, ValueError) as error:
        raise ColumnError(f"{name!r} must hold numbers: {error}. Make a 0/1 column of each group.") from error
