"""The tables of a cross-validation as plain text; ``report`` sets them for terminals, Markdown, LaTeX and HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .facts import LEAKY, MISSING, PREVALENCE_NOTE, PROTOCOLS, Findings, estimate, number, p_value, words

__all__ = ["Sheet", "learning_sheet", "sheets"]

MANY_CLASSES = 12
FURTHER = (("precision", "precision (macro)"), ("recall", "recall (macro)"), ("mcc", "MCC"))


@dataclass(frozen=True)
class Sheet:
    """A table before it is set.

    Attributes:
        key: a name for anchors and labels, of letters, digits, ``_`` and ``-``.
        title: a few words.
        caption: what the numbers are, how many folds, which prevalence.
        columns: headings.
        align: one letter a column: ``l`` for words, ``c`` for an estimate with its interval, ``r`` for numbers.
        rows: cells of plain text. A line break parts an estimate from its interval; there is no other.
        notes: sentences that belong below.
        heads: how many first columns name the row.
    """

    key: str
    title: str
    caption: str
    columns: tuple[str, ...]
    align: str
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    heads: int = 1


def sheets(facts: Mapping[str, Any]) -> list[Sheet]:
    """Return every table of one cross-validation, the most important first."""
    found = Findings(facts)
    made: list[Sheet | None] = [_scores(found, protocol) for protocol in found.protocols]
    made += [_inflation(found), _overfitting(found)]
    made += [_comparisons(found, protocol) for protocol in found.protocols if protocol not in LEAKY]
    made += [_further(found), _classes(found)]
    made += [_calibration(found), _data(found), _leaks(found)]
    return [sheet for sheet in made if sheet and sheet.rows]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _scores(found: Findings, protocol: str) -> Sheet:
    """Return the main table of a protocol: one row an arm, in blocks by class where several are imputed."""
    rows = []
    several, honest = len(found.focus) > 1, protocol not in LEAKY
    compared = any(True for _ in found.comparisons(protocol))
    for name in found.focus:
        for arm in found.arms_of(protocol):
            against = found.comparison(protocol, arm, "f1", name)
            verdict = str(against["verdict"]) if against else ("reference" if arm == "original" else MISSING)
            cells = [
                estimate(found.score(protocol, arm, "f1", name)),
                estimate(found.score(protocol, arm, "average_precision", name)),
                estimate(found.score(protocol, arm, "f1", None)),
                *((estimate(against, "difference", sign=True),) if compared else ()),
                *((verdict,) if compared and honest else ()),  # a score that leaks supports none
            ]
            rows.append(((words(name),) if several else ()) + (words(arm), *cells))
    of = "" if several else f" of {words(found.focus[0])}"
    caption = (
        f"{_capital(PROTOCOLS.get(protocol, 'a protocol of another version'))}. {found.size(protocol)}; mean and 95 % "
        f"interval; AP is average precision. {found.prevalence(protocol)}"
        + (f" Difference in F1{of} against original, paired" if compared else "")
        + (f"; equivalence margin {number(found.margin)}." if compared and honest else "." * compared)
    )
    warn = protocol == "pooled" or (found.prevalence_differs() and "holdout" in found.protocols)
    columns = (f"F1{of}", f"AP{of}", "macro F1", *(("difference in F1",) if compared else ()))
    columns += ("verdict",) if compared and honest else ()
    return Sheet(
        key=f"scores-{protocol}",
        title=f"Scores under {protocol}",
        caption=re.sub(r"\s+", " ", caption),
        columns=(("class", "arm") if several else ("arm",)) + columns,
        align=("ll" if several else "l") + "ccc" + "c" * compared + "l" * (compared and honest),
        rows=tuple(rows),
        notes=(PREVALENCE_NOTE,) if warn else (),
        heads=2 if several else 1,
    )


def _inflation(found: Findings) -> Sheet:
    metrics = {"f1": "F1", "average_precision": "AP"}
    rows = tuple(
        (
            words(e["class"]),
            metrics.get(e["metric"], e["metric"]),
            e["part"],
            estimate(e, sign=True),
            p_value(e.get("p")),
        )
        for e in found.facts.get("inflation") or ()
    )
    caption = (
        f"What pooled reports above seed_aware for {words(found.imputed or 'imputed')}, and its two parts: "
        "synthetic texts in the test folds (pooled minus real_test) and shared sources (real_test minus seed_aware). "
        "Paired by fold, 95 % intervals."
    )
    columns = ("class", "metric", "part", "inflation", "p")
    return Sheet("inflation", "Inflation", caption, columns, "lllcr", rows)


def _overfitting(found: Findings) -> Sheet:
    rows = tuple(
        (
            words(e["class"]),
            words(e.get("arm") or found.imputed or "imputed"),
            e["against"],
            estimate(e, sign=True),
            p_value(e.get("p")),
        )
        for e in found.facts.get("overfitting") or ()
    )
    caption = (
        "F1 on the augmented data's own folds (pooled) minus F1 on true texts, 95 % intervals. "
        "The paper advises fewer synthetic texts, or a better prompt, above 0.04."
    )
    return Sheet(
        "overfitting",
        "Overfitting",
        caption,
        ("class", "arm", "true texts from", "overfitting", "p"),
        "lllcr",
        rows,
        heads=2,
    )


def _comparisons(found: Findings, protocol: str) -> Sheet:
    """Return what the tests say of every arm, for the classes that are imputed and the macro mean."""
    names = {"f1": "F1", "average_precision": "AP", "mcc": "MCC", "f1_macro": "F1", "average_precision_macro": "AP"}
    order = {name: place for place, name in enumerate([*found.focus, None])}
    kept = [entry for entry in found.comparisons(protocol) if entry["class"] in order]
    kept.sort(
        key=lambda entry: (order[entry["class"]], list(names).index(entry["metric"]) if entry["metric"] in names else 9)
    )
    rows = tuple(
        (
            words(e["class"]) if e["class"] is not None else "all",
            names.get(e["metric"], e["metric"]),
            words(e["arm"]),
            estimate(e, "difference", sign=True),
            *(p_value(e.get(key)) for key in ("p", "p_holm", "p_equivalence")),
            " / ".join(number(e.get(f"prob_{word}"), 2) for word in ("worse", "equivalent", "better"))
            if e.get("prob_better") is not None
            else MISSING,
            e["verdict"],
        )
        for e in kept
    )
    caption = (
        f"Paired differences under {protocol}, with 95 % intervals of the corrected resampled t-test (Nadeau and "
        "Bengio 2003); p, p after Holm's correction over the arms, p of equivalence (two one-sided tests, margin "
        f"{number(found.margin)}); the probabilities that the arm is worse, equivalent, better (Benavoli et al. 2017; "
        "the region of practical equivalence is as wide as the margin)."
    )
    if protocol == "holdout":
        caption = (
            "Differences on the same tested texts, with 95 % intervals and p by bootstrap of those; p after "
            f"Holm's correction; equivalent where the 90 % interval lies within {number(found.margin)} either way."
        )
    columns = (
        "class",
        "metric",
        "arm",
        "difference",
        "p",
        "p (Holm)",
        "p (equiv.)",
        "P(worse / equiv. / better)",
        "verdict",
    )
    title = f"Comparisons with original under {protocol}"
    return Sheet(f"comparisons-{protocol}", title, caption, columns, "lllcrrrrl", rows, heads=3)


def _further(found: Findings) -> Sheet | None:
    protocol = found.shown
    if protocol is None:
        return None
    metrics = [*FURTHER, ("calibration_error", "calibration error")]
    rows = tuple(
        (words(arm), *(estimate(found.score(protocol, arm, metric, None)) for metric, _ in metrics))
        for arm in found.arms_of(protocol)
        if any(found.score(protocol, arm, metric, None) for metric, _ in metrics)
    )
    caption = f"Under {protocol}, over all classes. {found.size(protocol)}; mean and 95 % interval. "
    caption += "Calibration error: expected, ten bins of equal width; lower is better."
    return Sheet(
        f"further-{protocol}", "Further scores", caption, ("arm", *(title for _, title in metrics)), "lcccc", rows
    )


def _classes(found: Findings) -> Sheet | None:
    """Return F1, AP, precision and recall of every class; left to the csv where there are very many."""
    protocol, names = found.shown, [entry["name"] for entry in found.facts["classes"]]
    if protocol is None or len(names) > MANY_CLASSES:
        return None
    metrics = ("f1", "average_precision", "precision", "recall")
    rows = tuple(
        (words(name), words(arm), *(estimate(found.score(protocol, arm, metric, name)) for metric in metrics))
        for name in names
        for arm in found.arms_of(protocol)
        if any(found.score(protocol, arm, metric, name) for metric in metrics)
    )
    caption = f"Under {protocol}. {found.size(protocol)}; mean and 95 % interval."
    columns = ("class", "arm", "F1", "AP", "precision", "recall")
    return Sheet(f"classes-{protocol}", "Every class", caption, columns, "llcccc", rows, heads=2)


def _calibration(found: Findings) -> Sheet:
    rows = tuple(
        (
            words(e["class"]),
            f"{e['share']:.0%}",
            estimate({"estimate": e["true"], "low": e.get("true_low"), "high": e.get("true_high")}),
            number(e.get("augmented")),
            estimate(e, "overfitting", sign=True),
        )
        for name in found.focus
        for e in found.facts.get("calibration") or ()
        if e["class"] == name
    )
    caption = "The same texts, used in part. F1 on true texts, F1 on the augmented data's own folds, and "
    caption += "their difference, with 95 % intervals."
    columns = ("class", "share used", "F1 on true texts", "F1 on augmented data", "overfitting")
    return Sheet("calibration", "Calibration", caption, columns, "lrccc", rows, heads=2)


def _data(found: Findings) -> Sheet:
    data = found.facts["data"]
    shares, apart = data.get("prevalence") or {}, data.get("holdout_prevalence") or {}
    keys = ("originals", "imputed", "contrast", "ceiling", "target", "fold_target", "holdout")
    kept = [key for key in keys if any(entry.get(key) for entry in found.facts["classes"])]
    rows = []
    for entry in found.facts["classes"]:
        counts = [f"{entry[key]:,}" if entry.get(key) is not None else MISSING for key in kept]
        cells = (words(entry["name"]), "yes" if entry.get("focus") else "no", *counts)
        cells += (number(shares.get(entry["name"])),) + ((number(apart.get(entry["name"])),) if apart else ())
        rows.append(cells)
    caption = (
        f"{data['originals']:,} originals in {data['groups']:,} groups that stay on one side of a fold, "
        f"{data['twins']:,} of them twins of another."
    )
    named = {"fold_target": "target in a fold", "holdout": "set apart"}
    columns = ("class", "imputed class", *(named.get(key, key) for key in kept), "prevalence")
    columns += ("prevalence set apart",) if apart else ()
    notes = found.facts.get("notes") or ()
    return Sheet(
        "data", "Data", caption, columns, "ll" + "r" * (len(columns) - 2), tuple(rows), tuple(map(words, notes))
    )


def _leaks(found: Findings) -> Sheet:
    checked = found.facts.get("leak_check") or {}
    keys = ("fits", "test", "train", "synthetic", "sources", "pairs", "shared_sources", "synthetic_test")
    rows = []
    for protocol in [name for name in PROTOCOLS if name in checked] + [n for n in checked if n not in PROTOCOLS]:
        counts = {"fits": checked[protocol].get("folds"), **checked[protocol]}
        dirty = bool(counts.get("shared_sources") or counts.get("synthetic_test"))
        word = ("leaks by design" if protocol in LEAKY else "LEAKS") if dirty else "no leak"
        cells = [f"{counts[key]:,}" if counts.get(key) is not None else MISSING for key in keys]
        rows.append((protocol, *cells, word))
    caption = (
        "Run before every fit, counts summed over fits: rows tested and trained on, synthetic training rows "
        "and the sources behind them, near pairs of texts looked at, sources of training rows found in the test part, "
        "and synthetic rows found there."
    )
    columns: tuple[str, ...] = ("protocol", "fits", "tested", "trained", "synthetic", "sources", "pairs")
    columns += ("sources in test", "synthetic in test", "result")
    return Sheet("leak-check", "Leak check", caption, columns, "l" + "r" * 8 + "l", tuple(rows))


def learning_sheet(facts_list: Sequence[Mapping[str, Any]]) -> Sheet | None:
    """Return scores by the number of originals, over several cross-validations.

    Args:
        facts_list: of one data set with different numbers of originals kept.

    Returns:
        None unless a class stands with two numbers of originals.
    """
    rows: dict[tuple[str, int, str], tuple[str, ...]] = {}
    for found in map(Findings, facts_list):
        protocol = found.main
        for name in found.focus if protocol else ():
            for arm in found.arms_of(protocol or ""):
                scores = [found.score(protocol or "", arm, metric, name) for metric in ("f1", "average_precision")]
                count = found.originals(name) or 0
                cells = (words(name), f"{count:,}", words(arm), *map(estimate, scores))
                rows[name, count, arm] = cells
    counts: dict[str, set[int]] = {}
    for name, count, _ in rows:
        counts.setdefault(name, set()).add(count)
    kept = sorted((key for key in rows if len(counts[key[0]]) > 1), key=lambda key: key[:2])
    if not kept:
        return None
    caption = "Scores by the number of originals, each under its run's leak-free protocol; mean and 95 % interval."
    columns = ("class", "originals", "arm", "F1", "AP")
    return Sheet(
        "learning", "By number of originals", caption, columns, "lrlcc", tuple(rows[key] for key in kept), heads=3
    )
