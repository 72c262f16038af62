"""Reports of cross-validations: tables for a terminal, Markdown, LaTeX, csv, figures, and one HTML page."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import OutputError, PlanError, nearest
from .facts import PROTOCOLS, Findings, read_facts, run_labels
from .figures import Drawing, learning_curve, on_page, run_drawings, save_drawing
from .sheets import learning_sheet, sheets
from .typeset import csv_text, html_page_of, md, md_code, md_list, md_sheet, rich_table, tex_sheet

__all__ = [
    "FORMATS",
    "comparisons_csv",
    "fits_csv",
    "html_page",
    "latex",
    "markdown",
    "read_facts",
    "summary_csv",
    "tables",
    "write_report",
]

FORMATS = ("html", "md", "tex", "csv", "png", "svg")
TERMINAL = ("scores-", "inflation", "overfitting", "calibration", "leak-check")
SUMMARY = ("protocol", "arm", "metric", "class", "estimate", "low", "high", "sd", "n")
COMPARISONS: tuple[str, ...] = (
    "protocol",
    "arm",
    "against",
    "metric",
    "class",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "p_equivalence",
)
COMPARISONS += ("prob_worse", "prob_equivalent", "prob_better", "verdict", "sentence")
FIT = ("protocol", "arm", "repeat", "fold", "key", "seconds")
# (words, address, what must have been used: an arm's or a protocol's first word; empty: always)
REFERENCES = (
    (
        "Timoneda, J. C. The Synthetic Imputation Approach: Generating Optimal Synthetic Texts For Underrepresented "
        "Categories In Supervised Classification Tasks. Political Analysis, 2026. arXiv:2504.15160",
        "https://arxiv.org/abs/2504.15160",
        "",
    ),
    ("Nadeau, C. and Bengio, Y. Inference for the generalization error. Machine Learning 52, 2003, 239-281", "", ""),
    (
        "Bouckaert, R. R. and Frank, E. Evaluating the replicability of significance tests for comparing learning "
        "algorithms. PAKDD 2004",
        "",
        "",
    ),
    (
        "Benavoli, A., Corani, G., Demšar, J. and Zaffalon, M. Time for a change: a tutorial for comparing multiple "
        "classifiers through Bayesian analysis. Journal of Machine Learning Research 18(77), 2017, 1-36",
        "",
        "",
    ),
    (
        "Schuirmann, D. J. A comparison of the two one-sided tests procedure and the power approach for assessing the "
        "equivalence of average bioavailability. Journal of Pharmacokinetics and Biopharmaceutics 15, 1987, 657-680",
        "",
        "",
    ),
    (
        "Holm, S. A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6, 1979, "
        "65-70",
        "",
        "",
    ),
    (
        "Ng, N., Cho, K. and Ghassemi, M. SSMBA: self-supervised manifold based data augmentation for improving "
        "out-of-domain robustness. EMNLP 2020",
        "",
        "ssmba",
    ),
    (
        "Wei, J. and Zou, K. EDA: easy data augmentation techniques for boosting performance on text classification "
        "tasks. EMNLP-IJCNLP 2019",
        "",
        "eda",
    ),
    ("Efron, B. and Tibshirani, R. J. An introduction to the bootstrap. Chapman and Hall, 1993", "", "holdout"),
)


def tables(facts: Mapping[str, Any], width: int | None = None) -> list[Any]:
    """Return the tables that a terminal shows: the scores of each protocol, inflation, overfitting, leak check.

    Args:
        facts: the content of ``crossval.json``.
        width: columns of the terminal; None asks the terminal.

    Returns:
        Rich tables, with warnings and alarms between them as Rich texts.
    """
    from rich.console import Console
    from rich.text import Text

    width = width or Console().width
    answer = Findings(facts).answer()
    shown: list[Any] = [Text(f"Note: {text}", style="yellow") for text in answer.warnings]
    shown += [rich_table(sheet, width) for sheet in sheets(facts) if sheet.key.startswith(TERMINAL)]
    shown += [
        Text(text)
        for text in (
            *answer.lead,
            *(["F1 against original:"] if answer.verdicts else []),
            *(f"{arm}: {word}: {sentence}" for word, arm, sentence in answer.verdicts),
            *answer.ranking,
        )
    ]
    shown += [Text(f"Alarm, {name}: {text} {advice}".strip(), style="yellow") for name, text, advice in answer.alarms]
    return shown


def markdown(facts_list: Sequence[Mapping[str, Any]]) -> str:
    """Return the report as Markdown: the answer, the tables, settings, versions, how to run it again, references.

    Args:
        facts_list: the facts of one or several cross-validations.
    """
    several = len(facts_list) > 1
    parts = ["# Cross-validation" if several else f"# {md(facts_list[0]['title'])}"]
    learning = learning_sheet(facts_list)
    level = "###" if several else "##"
    if learning:
        parts += md_sheet(learning, "##")
    for label, facts in zip(run_labels(facts_list), facts_list, strict=True):
        answer = Findings(facts).answer()
        if several:
            parts.append(f"## {md(label)}")
        parts.append(f"{level} The answer")
        parts += [f"**{md(text)}**" for text in answer.warnings] + [md(text) for text in answer.lead]
        parts += ["F1 against original:"] if answer.verdicts else []
        parts.append(md_list(f"{arm}: {word}: {sentence}" for word, arm, sentence in answer.verdicts))
        parts.append(md_list((*answer.ranking, *answer.overfitting)))
        parts.append(md_list(f"Alarm, {name}: {text} {advice}" for name, text, advice in answer.alarms))
        if not answer.alarms:
            parts.append("No alarm was raised.")
        for sheet in sheets(facts):
            parts += md_sheet(sheet, level)
        pairs = [*_settings(facts), *_versions(facts)]
        parts += [f"{level} Settings and versions", "| setting | value |\n|---|---|\n" + "\n".join(
            f"| {md(key)} | {md(value)} |" for key, value in pairs
        )]  # fmt: skip
        parts += [f"{level} Run it again", md_code(_command(facts))]
    parts += [
        "## References",
        md_list(text + (f" ({link})" if link else "") for text, link in _references(facts_list)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(facts_list: Sequence[Mapping[str, Any]]) -> str:
    r"""Return the tables as LaTeX, to be ``\input`` into a document that uses booktabs.

    Args:
        facts_list: the facts of one or several cross-validations.
    """
    parts = ["% Tables by synimpute_hf. In the preamble: \\usepackage[utf8]{inputenc} \\usepackage{booktabs}"]
    made = [("", sheet) for sheet in (learning_sheet(facts_list),) if sheet]
    labels = run_labels(facts_list) if len(facts_list) > 1 else [""]
    for label, facts in zip(labels, facts_list, strict=True):
        made += [(label, sheet) for sheet in sheets(facts)]
    parts += [tex_sheet(sheet, f"{sheet.key}-{i}", label) for i, (label, sheet) in enumerate(made, start=1)]
    return "\n\n".join(parts) + "\n"


def _with_run(facts_list: Sequence[Mapping[str, Any]], key: str) -> Iterator[dict[str, Any]]:
    for label, facts in zip(run_labels(facts_list), facts_list, strict=True):
        for entry in facts.get(key) or ():
            yield {"run": label, **entry}


def summary_csv(facts_list: Sequence[Mapping[str, Any]]) -> str:
    """Return every summary figure as csv, one a row; text cells that begin like a formula begin with an apostrophe."""
    return csv_text(("run", *SUMMARY), _with_run(facts_list, "summary"))


def comparisons_csv(facts_list: Sequence[Mapping[str, Any]]) -> str:
    """Return every paired comparison as csv, one a row."""
    return csv_text(("run", *COMPARISONS), _with_run(facts_list, "comparisons"))


def fits_csv(facts_list: Sequence[Mapping[str, Any]]) -> str:
    """Return every fit as csv, one a row: where it stands, what it trained on, and a column a score and class."""
    rows = []
    names = {
        label: [e["name"] for e in facts["classes"]]
        for label, facts in zip(run_labels(facts_list), facts_list, strict=True)
    }
    for fit in _with_run(facts_list, "fits"):
        row = {"run": fit["run"], **{key: fit.get(key) for key in FIT}}
        for group in ("train", "check", "short"):
            row |= {f"{group}:{key}": value for key, value in (fit.get(group) or {}).items()}
        row["threshold"] = fit.get("threshold")
        for group, prefix in (("scores", ""), ("scores_originals", "originals:")):
            for metric, value in (fit.get(group) or {}).items():
                if isinstance(value, (list, tuple)):
                    row |= {f"{prefix}{metric}:{n}": v for n, v in zip(names[fit["run"]], value, strict=True)}
                else:
                    row[f"{prefix}{metric}"] = value
        rows.append(row)
    columns = dict.fromkeys(key for row in rows for key in row) or dict.fromkeys(("run", *FIT))
    return csv_text(list(columns), rows)


def _settings(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return settings, data source and generation as (name, value), nested ones with dots."""

    def flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                yield from flatten(f"{prefix}.{key}" if prefix else str(key), inner)
        elif isinstance(value, (list, tuple)):
            yield prefix, ", ".join(map(str, value))
        else:
            yield prefix, "none" if value is None else str(value)

    pairs = [("source", str(facts["source"])), ("created", str(facts["created"])), *flatten("", facts["settings"])]
    return pairs + list(flatten("generation", facts["generation"]) if facts.get("generation") else ())


def _versions(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(str(name), str(version)) for name, version in (facts.get("versions") or {}).items()]


def _command(facts: Mapping[str, Any]) -> str:
    """Return the command line that makes these facts: the one that was kept, else one from the settings."""
    if facts.get("command"):
        command = facts["command"]
        return command if isinstance(command, str) else shlex.join(map(str, command))
    settings = facts["settings"]
    parts = ["synimpute", "crossval", str(facts["source"])]
    parts += ["--arms", ",".join(settings["arms"]), "--protocols", ",".join(settings["protocols"])]
    parts += [
        f"--{key}={settings[key]}" for key in ("folds", "repeats", "seed", "margin") if settings.get(key) is not None
    ]
    parts += [f"--groups={settings['groups']}"] if settings.get("groups") else []
    parts += (
        [f"--classifier={settings['classifier']['name']}"] if (settings.get("classifier") or {}).get("name") else []
    )
    return shlex.join(parts)


def _references(facts_list: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (words, address) of what these cross-validations used."""
    used = {""}
    for facts in facts_list:
        settings = facts["settings"]
        used |= {re.split(r"[:+]", arm)[0] for arm in settings["arms"]} | set(settings["protocols"])
    return [(text, link) for text, link, needs in REFERENCES if needs in used]


def _html_run(label: str, facts: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return what the template shows of one run."""
    found = Findings(facts)
    made = sheets(facts)
    last = ("data", "leak-check")
    return {
        "id": place,
        "label": label,
        "answer": found.answer(),
        "sheets": [sheet for sheet in made if sheet.key not in last],
        "checks": [sheet for sheet in made if sheet.key in last],
        "figures": [on_page(drawing, place) for drawing in run_drawings(facts)],
        "settings": _settings(facts),
        "versions": _versions(facts),
        "command": _command(facts),
        "created": facts["created"],
        "source": facts["source"],
        "protocols": {name: PROTOCOLS.get(name, "") for name in found.protocols},
    }


def html_page(facts_list: Sequence[Mapping[str, Any]]) -> str:
    """Return the report as one HTML page that needs nothing else: no script, no address, figures inlined.

    Args:
        facts_list: the facts of one or several cross-validations.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    labels = run_labels(facts_list)
    runs = [_html_run(*pair, f"run-{i}") for i, pair in enumerate(zip(labels, facts_list, strict=True), start=1)]
    learning = learning_sheet(facts_list)
    return html_page_of(
        "crossval_report.html.jinja",
        title=labels[0] if len(labels) == 1 else "Cross-validation of synthetic imputation",
        runs=runs,
        learning=learning,
        curves=[on_page(drawing, "all") for drawing in learning_curve(facts_list)],
        references=_references(facts_list),
    )


def _drawings(facts_list: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Drawing]]:
    """Yield every figure with the stem of its file; runs are numbered where there are several."""
    for drawing in learning_curve(facts_list):
        yield drawing.name, drawing
    for i, facts in enumerate(facts_list, start=1):
        for drawing in run_drawings(facts):
            yield (f"run-{i}-" if len(facts_list) > 1 else "") + drawing.name, drawing


def write_report(
    facts_list: Sequence[Mapping[str, Any]], folder: Path, formats: Collection[str] = FORMATS
) -> list[Path]:
    """Write the report of one or several cross-validations.

    Args:
        facts_list: the content of each ``crossval.json``; several are set beside each other, and give a learning curve
            where they differ in the number of originals.
        folder: made if it is not there. What an earlier report wrote is replaced.
        formats: of ``html`` (``report.html``), ``md`` (``report.md``), ``tex`` (``report.tex``), ``csv``
            (``summary.csv``, ``comparisons.csv``, ``fits.csv``), ``png`` and ``svg`` (``figures/``).

    Returns:
        The files written, the page first.

    Raises:
        MissingPackageError: figures are asked for and matplotlib is not installed.
        OutputError: the folder can't be written.
        PlanError: there is nothing to report, or a format is unknown.
    """
    if not facts_list:
        raise PlanError("There is no cross-validation to report: name at least one folder.")
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise PlanError(f"No format {unknown[0]!r}: choose of {', '.join(FORMATS)}.{nearest(unknown[0], FORMATS)}")
    makers = {
        "html": {"report.html": html_page},
        "md": {"report.md": markdown},
        "tex": {"report.tex": latex},
        "csv": {"summary.csv": summary_csv, "comparisons.csv": comparisons_csv, "fits.csv": fits_csv},
    }
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (name for name in FORMATS if name in formats):
            for file, make in makers.get(name, {}).items():
                written.append(_replace(folder / file, make(facts_list)))
        kinds = [kind for kind in ("png", "svg") if kind in formats]
        if kinds:
            (folder / "figures").mkdir(exist_ok=True)
            for stem, drawing in _drawings(facts_list):
                for kind in kinds:
                    written.append(folder / "figures" / f"{stem}.{kind}")
                    save_drawing(drawing, written[-1])
    except OSError as error:
        raise OutputError(
            f"The report could not be written to {folder}: {error.strerror or error}. The scores are safe; make room "
            "or choose another place, and run `synimpute report` again."
        ) from error
    return written


def _replace(path: Path, text: str) -> Path:
    """Write a file so that a reader sees the old one or the new one, never half of one."""
    unfinished = path.with_name(f".{path.name}-unfinished")
    unfinished.write_text(text, encoding="utf-8", newline="")
    os.replace(unfinished, path)
    return path
