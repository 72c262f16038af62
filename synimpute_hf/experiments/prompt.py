"""``prompt``: variants of the prompt against each other, by their texts, by blind review and by F1."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from ..audit import Audited, audit
from ..corpus import ORIGINAL
from ..errors import DataError, MissingPackageError, PlanError
from ..facts import MISSING, estimate, flat, in_line, number, p_value, percent, words
from ..figures import CYCLE, GREY, VERMILLION, Drawing, blank, dot_interval, dot_rows, key_line
from ..prompts import load_prompt
from ..review import Item, Mix, measure, read_coders
from ..review.base import read_key, write_key
from ..review.mix import item_ids, letters, shown_text
from ..review.pages import write_pages
from ..seeding import digest, normalise
from ..sheets import Sheet
from ..stats import share_interval
from ..validators.language import load_detector
from .base import (
    METRICS,
    Bench,
    Experiment,
    Run,
    Settings,
    Trial,
    Words,
    Writing,
    Written,
    compare,
    mean_score,
    rejected_sheet,
)

__all__ = ["PLUGIN", "PromptExperiment", "PromptSettings", "Variant", "blind_mix", "text_figures"]

REVIEW_FOLDER = "review"
FOREIGN = "another language"
"""The reason of the validator ``language``."""
LEAST_MADE = 5
"""Synthetic texts that train a fold, on average, under which scores are not compared: with none, the arm is the
originals alone, and equal to them by construction."""
DISTRACTORS = 4
"""Texts of the category on a sheet for each text of another class."""


@dataclass(frozen=True)
class Variant:
    """A prompt as it is tried.

    Attributes:
        prompt: its name, or path of a file.
        language: language that it names, or empty.
    """

    prompt: str
    language: str = ""

    @classmethod
    def read(cls, spec: str) -> Variant:
        """Read ``PROMPT`` or ``PROMPT=LANGUAGE``.

        Raises:
            PromptError: there is no such prompt.
        """
        prompt, _, language = (part.strip() for part in spec.partition("="))
        load_prompt(prompt)
        return cls(prompt, language)

    @property
    def name(self) -> str:
        """What reports call it."""
        stem = Path(self.prompt).stem if self.prompt.endswith((".yaml", ".yml")) else self.prompt
        return f"{stem}, in {self.language}" if self.language else stem


@dataclass(frozen=True)
class PromptSettings(Settings):
    """Options.

    Attributes:
        prompts: what is compared, with semicolons between: ``PROMPT``, or ``PROMPT=LANGUAGE`` to name the language.
        texts: to write with each, for their figures and the blind review.
        keep: originals of the category that stay for the comparison of F1; fewer than there are.
        review: whether a blind review sheet is written.
    """

    prompts: Words = ("general", "sentences", "messages")
    texts: Annotated[int, Field(ge=2)] = 20
    keep: Annotated[int, Field(ge=2)] = 50
    review: bool = True


class PromptExperiment(Experiment):
    """Writes texts with each prompt, looks at them, and trains with them, on the same folds."""

    key = "prompt"
    question = "Which prompt's texts are the most varied, the truest to their class, and the most useful in training?"
    settings_class: ClassVar[type[Settings]] = PromptSettings
    full: ClassVar[Mapping[str, Any]] = {"prompts": ("general", "sentences", "messages", "speeches")}
    settings: PromptSettings

    def variants(self) -> list[Variant]:
        """Return what is compared.

        Raises:
            PlanError: there are none, or two of one name.
        """
        found = [Variant.read(spec) for spec in self.settings.prompts]
        if not found or len({variant.name for variant in found}) < len(found):
            raise PlanError(f"prompts={';'.join(self.settings.prompts)}: expected one prompt or more, each once.")
        return found

    def impute(self, bench: Bench, variant: Variant) -> dict[str, Any]:
        """Return the settings of ``SyntheticImputer`` for a variant."""
        return {"prompt": variant.prompt, "language": variant.language or None}

    def jobs(self, bench: Bench) -> list[Trial | Writing]:
        """Return a writing and a trial a prompt.

        Raises:
            PlanError: no fewer originals are kept than there are.
        """
        keep = self.settings.keep
        if keep >= bench.originals:
            raise PlanError(
                f"keep={keep}: class {bench.category!r} has {bench.originals} originals, and fewer must stay, or no "
                "text is missing. Say --set keep=…, or another --category."
            )
        named = [(f"{i}-{_slug(v.name)}", v, self.impute(bench, v)) for i, v in enumerate(self.variants(), start=1)]
        writings = [Writing(f"texts-{name}", self.settings.texts, said) for name, _, said in named]
        trials = [Trial(f"prompt-{name}", ("original", "imputed"), keep, impute=said) for name, _, said in named]
        return [*writings, *trials]

    def analyse(self, bench: Bench, done: Sequence[Run | Written]) -> dict[str, Any]:
        """Return the figures of each prompt's texts, its scores, and where the review sheet is."""
        written = [entry for entry in done if isinstance(entry, Written)]
        runs = [entry for entry in done if isinstance(entry, Run)]
        margin, first = bench.settings.get("margin", 0.02), runs[0]
        variants: list[dict[str, Any]] = []
        for variant, texts, run in zip(self.variants(), written, runs, strict=True):
            pair = None if run is first else compare([(run, first)], "imputed", "imputed", margin)
            variants.append(
                {
                    "name": variant.name,
                    "language": variant.language,
                    "texts": text_figures(texts, bench),
                    **{metric: mean_score([run], "imputed", metric) for metric in METRICS},
                    "made": run.made("imputed"),
                    "gain": compare([(run, run)], "imputed", "original", margin),
                    "against_first": pair,
                }
            )
        review, notes = self._review(bench, written) if self.settings.review else (None, [])
        few = [v["name"] for v in variants if v["texts"]["kept"] < self.settings.texts]
        notes += [f"Fewer than {self.settings.texts} texts were accepted with: {'; '.join(few)}."] if few else []
        thin = [f"{v['name']} ({number(v['made'], 1)})" for v in variants if _thin(v)]
        if thin:
            notes.append(
                f"Fewer than {LEAST_MADE} texts trained a fold, on average, with: {'; '.join(thin)}. Their scores are "
                "those of the originals, and no verdict is given: raise --target, or keep fewer originals."
            )
        return {
            "category": bench.category,
            "keep": self.settings.keep,
            "margin": margin,
            "variants": variants,
            "original": {metric: mean_score([first], "original", metric) for metric in METRICS},
            "review": review,
            "warnings": notes,
        }

    def _review(self, bench: Bench, written: Sequence[Written]) -> tuple[dict[str, Any] | None, list[str]]:
        """Write the sheet, and read the ratings that lie beside it; what cannot be read is told, and not fatal."""
        names, seed = [variant.name for variant in self.variants()], int(bench.settings.get("seed") or 0)
        columns = bench.settings.get("text"), bench.settings.get("label")
        mix = blind_mix(dict(zip(names, written, strict=True)), bench.category, bench.source, *columns, seed)
        if not any(item.synthetic for item in mix.items):
            return None, ["There is no text to review."]
        bench.output.mkdir(parents=True, exist_ok=True)
        write_key(bench.output, mix)
        folder = bench.output / REVIEW_FOLDER
        files, notes = write_pages(mix, folder)
        own = {file.name for file in files} | {"review.xlsx"}
        rated = sorted(f for f in folder.iterdir() if f.suffix in (".json", ".csv", ".xlsx") and f.name not in own)
        found = {"texts": len(mix.items), "files": sorted(file.name for file in files), "coders": 0, "variants": []}
        if rated:
            try:
                found |= _ratings(bench.output, mix.rows, rated, names)
            except (DataError, MissingPackageError) as error:
                notes.append(f"The ratings were not read: {error}")
        return found, notes

    @classmethod
    def answer(cls, result: Mapping[str, Any]) -> list[str]:
        """Say which prompt's texts are the best, and how to use the review sheet."""
        return [*_texts_in_words(result), *_scores_in_words(result), *_review_in_words(result["review"])]

    @classmethod
    def sheets(cls, result: Mapping[str, Any]) -> list[Sheet]:
        """Return texts, scores, reasons of rejection, and what coders said."""
        made = [
            _text_sheet(result),
            _score_sheet(result),
            rejected_sheet("prompt", [(entry["name"], entry["texts"]) for entry in result["variants"]]),
            _review_sheet(result["review"]),
        ]
        return [sheet for sheet in made if sheet.rows]

    @classmethod
    def drawings(cls, result: Mapping[str, Any]) -> list[Drawing]:
        """Return the texts' figures and the scores by prompt."""
        return [_text_drawing(result), _score_drawing(result)]


def _thin(entry: Mapping[str, Any]) -> bool:
    """Say whether so few texts trained a fold that scores say nothing about the prompt."""
    return bool(entry["made"] < LEAST_MADE)


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower()).strip("-")


def text_figures(written: Written, bench: Bench) -> dict[str, Any]:
    """Return what can be said of a prompt's texts; figures that need more texts are None.

    Args:
        written: the texts, with the originals.
        bench: for the columns, the category and the seed.

    Returns:
        ``kept``, ``generated``, ``rejected`` by reason, the shares ``acceptance`` and ``foreign`` (rejected for their
        language), the numbers of accepted texts by ``languages``, and from the audit ``diversity``, ``nearest``,
        ``class_drift`` and ``told_apart``.
    """
    account = written.account
    generated, rejected = account["generated"], dict(account["rejected"])
    found: dict[str, Any] = {
        "kept": account["kept"],
        "generated": generated,
        "rejected": rejected,
        "acceptance": _share(min(account["kept"], generated), generated),
        "foreign": _share(rejected.get(FOREIGN, 0), generated),
        "languages": _languages(written.texts),
        **dict.fromkeys(("diversity", "nearest", "class_drift", "told_apart")),
    }
    if len(written.texts) >= 2:
        text, label = (bench.settings.get(name) for name in ("text", "label"))
        facts = audit(written.rows, seed=int(bench.settings.get("seed") or 0), text=text, label=label)
        entry = next(entry for entry in facts["classes"] if entry["name"] == bench.category)
        found |= {key: entry[key] for key in ("diversity", "nearest", "class_drift")}
        found["told_apart"] = entry["told_apart"]["embeddings"]
    return found


def _share(hits: int, count: int) -> dict[str, float | None]:
    if not count:
        return {"estimate": None, "low": None, "high": None}
    found = share_interval(np.arange(count) < hits, np.ones(count))
    return {"estimate": found.estimate, "low": found.low, "high": found.high}


def _languages(texts: Sequence[str]) -> dict[str, int] | None:
    """Return the texts by their likeliest language, the most frequent first; None without a detector."""
    try:
        detector = load_detector()
    except MissingPackageError:
        return None
    return dict(Counter(str(detector.classify(text)[0]) for text in texts).most_common())


def blind_mix(
    written: Mapping[str, Written], category: str, source: str, text: str | None, label: str | None, seed: int
) -> Mix:
    """Mix the texts of all prompts, as many originals of the class, and some of other classes.

    Equal texts stand once. The key's ``row_id`` begins with the prompt's name, ``NAME/ROW``, for synthetic texts.

    Args:
        written: texts by the prompt's name.
        category: their class.
        source: what the data are called.
        text: the text column; None guesses it.
        label: the label column; None guesses it.
        seed: of the draw: the same texts and seed give the same sheet.
    """
    chosen: list[tuple[str, bool, str, str]] = []  # class, synthetic, row id, text
    pools: dict[str, tuple[str, str]] = {}
    for name, entry in written.items():
        corpus = Audited.of(entry.rows, text, label).corpus
        for k, shown in enumerate(map(shown_text, corpus.texts)):
            own = corpus.names[corpus.labels[k]]
            if corpus.kinds[k] == ORIGINAL:
                pools.setdefault(corpus.ids[k], (own, shown))
            elif own == category:
                chosen.append((own, True, f"{name}/{corpus.ids[k]}", shown))
    drawn = sorted(pools, key=lambda row_id: digest("prompt review", seed, row_id))
    for mine, wanted in ((True, len(chosen)), (False, 2 * len(chosen) // DISTRACTORS)):
        fitting = [row_id for row_id in drawn if (pools[row_id][0] == category) == mine]
        chosen += [(pools[row_id][0], False, row_id, pools[row_id][1]) for row_id in fitting[:wanted]]
    once = {normalise(entry[3]): entry for entry in reversed(chosen)}
    rows = digest("prompt review", sorted(once.values()))
    sheet = letters(digest("review", rows, seed), 8)
    order = sorted(once.values(), key=lambda entry: digest("order", sheet, entry[2]))
    ids = item_ids(sheet, len(order))
    items = tuple(Item(id, category, *entry) for id, entry in zip(ids, order, strict=True))
    return Mix(sheet, rows, source, len(items), seed, items, {})


def _ratings(output: Path, rows: str, files: Sequence[Path], names: Sequence[str]) -> dict[str, Any]:
    """Return what coders said of each prompt's texts, each beside the same originals."""
    items, former, _ = read_key(output, rows)
    coders = read_coders(files, items, former)
    found = []
    for name in names:
        own = {key for key, item in items.items() if not item.synthetic or item.row_id.startswith(f"{name}/")}
        judged = [
            type(coder)(coder.name, {k: r for k, r in coder.ratings.items() if k in own}, coder.file)
            for coder in coders
        ]
        figures = measure(items, judged)
        found.append({"name": name, **{key: figures[key][0] for key in ("told_apart", "belongs")}})
        found[-1]["quality"] = figures["quality"][0] if figures["quality"] else None
    return {"coders": len(coders), "variants": found}


def _texts_in_words(result: Mapping[str, Any]) -> list[str]:
    said = []
    for entry in result["variants"]:
        found = entry["texts"]
        line = f"{entry['name']}: {found['kept']} of {found['generated']} answers were accepted"
        drift, diversity = found["class_drift"], found["diversity"]
        if diversity:
            line += (
                f"; unique trigrams {number(diversity['synthetic']['unique_ngrams'], 2)} (originals "
                f"{number(diversity['originals']['unique_ngrams'], 2)}), self-BLEU "
                f"{number(diversity['synthetic']['self_bleu'], 1)} ({number(diversity['originals']['self_bleu'], 1)})"
            )
        if drift:
            line += (
                f"; a classifier of originals puts {flat(percent(drift['synthetic']))} of the texts into the class, "
                f"and {flat(percent(drift['originals']))} of the originals"
            )
        said.append(f"{line}.")
    return said


def _scores_in_words(result: Mapping[str, Any]) -> list[str]:
    first = result["variants"][0]
    said = [f"With {result['keep']} originals alone F1 is {in_line(result['original']['f1'])}."]
    for entry in result["variants"]:
        gain, other = entry["gain"], entry["against_first"]
        if _thin(entry):
            said.append(
                f"Of the texts by {entry['name']}, {number(entry['made'], 1)} trained a fold, on average: too few to "
                "say what they change."
            )
            continue
        line = f"Texts by {entry['name']} change it by {in_line(gain, 'difference', sign=True)}"
        line += f" ({gain['verdict']})"
        if other and not _thin(first):
            change = in_line(other, "difference", sign=True)
            line += f", and against {first['name']} by {change} ({other['verdict']})"
        said.append(f"{line}.")
    return said


def _review_in_words(review: Mapping[str, Any] | None) -> list[str]:
    if review is None:
        return []
    if not review["coders"]:
        return [
            f"A blind review sheet of {review['texts']} texts is in the folder {REVIEW_FOLDER}: hand it to the coders, "
            "put what they give back (ratings-NAME.json, review-NAME.csv or review-NAME.xlsx) into the same folder, "
            "and run the same command again: nothing is paid twice, and the figures of the review join these."
        ]
    coders = f"{review['coders']} coder{'s' if review['coders'] > 1 else ''}"
    return [
        f"{coders} told texts by {entry['name']} from originals in "
        f"{flat(percent(entry['told_apart']))} of cases (50 % is chance), and found "
        f"{flat(percent(entry['belongs']['synthetic']))} of them to belong to the class."
        for entry in review["variants"]
    ]


def _text_row(name: str, found: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    made = kind == "synthetic"
    diversity, nearest, drift = ((found[key] or {}).get(kind) for key in ("diversity", "nearest", "class_drift"))
    languages = found["languages"] if made else None
    return (
        words(name),
        f"{found['kept']:,}" if made else "",
        percent(found["acceptance"]) if made else "",
        percent(found["foreign"]) if made else "",
        ", ".join(f"{name} {count:,}" for name, count in (languages or {}).items()),
        number(diversity and diversity["unique_ngrams"]),
        number(diversity and diversity["self_bleu"], 1),
        number(nearest and nearest["median"]),
        percent(drift),
        estimate(found["told_apart"], "auc") if made else "",
    )


def _text_sheet(result: Mapping[str, Any]) -> Sheet:
    rows = [_text_row(entry["name"], entry["texts"], "synthetic") for entry in result["variants"]]
    beside = next((entry["texts"] for entry in result["variants"] if entry["texts"]["diversity"]), None)
    if beside:
        rows.append(_text_row("originals", beside, "originals"))
    caption = (
        f"New texts of {words(result['category'])} from all its originals: how many were kept, shares of the answers "
        "that were accepted, and rejected as in another language; languages of the kept texts; the share of a text's "
        "three words in a row that no other text has, self-BLEU (0 to 100, higher: more alike; both at the number of "
        "texts of the prompt, so only prompts with as many texts compare), the median cosine to the nearest original, "
        "the share that a classifier of originals assigns to the class, and how well the texts are told from originals "
        "(AUC, 0.5 is chance)."
    )
    columns: tuple[str, ...] = ("prompt", "texts", "accepted", "rejected: language", "languages")
    columns += ("unique trigrams", "self-BLEU", "nearest original", "label agreement", "told apart")
    return Sheet("texts", "Texts by prompt", caption, columns, "lrcclrrrcc", tuple(rows))


def _score_sheet(result: Mapping[str, Any]) -> Sheet:
    base = tuple(estimate(result["original"][metric]) for metric in METRICS)
    rows = [("none: originals alone", "", *base, "", "", "", "", "")]
    for entry in result["variants"]:
        gain, other = entry["gain"], entry["against_first"]
        thin, pair = _thin(entry), other and not _thin(entry) and not _thin(result["variants"][0])
        cells = (
            [MISSING] * 3 if thin else [estimate(gain, "difference", sign=True), p_value(gain["p"]), gain["verdict"]]
        )
        cells += [estimate(other, "difference", sign=True), p_value(other["p"])] if pair else ["", ""]
        scores = [estimate(entry[metric]) for metric in METRICS]
        rows.append((words(entry["name"]), number(entry["made"], 1), *scores, *cells))
    caption = (
        f"{words(result['category'])} with {result['keep']} originals, on the same folds for every prompt: synthetic "
        "texts that trained a fold, mean scores and 95 % intervals, and paired differences in F1 (margin "
        f"{number(result['margin'], 2)}) to the originals alone and to the first prompt. Each p is of its comparison "
        f"alone. With fewer than {LEAST_MADE} texts a fold nothing is compared."
    )
    columns: tuple[str, ...] = ("prompt", "texts a fold", "F1", "average precision", "F1 less original", "p", "verdict")
    columns += ("F1 less first", "p to first")
    return Sheet("scores", "Scores by prompt", caption, columns, "lrcccrlcr", tuple(rows))


def _review_sheet(review: Mapping[str, Any] | None) -> Sheet:
    rows = [
        (
            words(entry["name"]),
            estimate(entry["told_apart"]),
            estimate(entry["belongs"]["synthetic"]),
            estimate(entry["belongs"]["originals"]),
            estimate(entry["quality"] and entry["quality"]["synthetic"]),
        )
        for entry in (review["variants"] if review else ())
    ]
    caption = (
        "Blind review: how often texts of a prompt and originals were told apart (0.5 is chance), shares judged to "
        "belong to the class, and mean quality from 1 to 5, with 95 % intervals."
    )
    columns = ("prompt", "told apart", "belongs: synthetic", "belongs: originals", "quality")
    return Sheet("review", "Blind review", caption, columns, "lcccc", tuple(rows))


def _text_drawing(result: Mapping[str, Any]) -> Drawing:
    """Draw acceptance, label agreement and nearness by prompt."""
    names = [entry["name"] for entry in result["variants"]]
    figure, grid = blank(1, 3, 1.0 + 0.28 * len(names), 7.0, sharey=True)
    beside = next((entry["texts"] for entry in result["variants"] if entry["texts"]["nearest"]), None)
    for column, (axes, label) in enumerate(
        zip(grid[0], ("accepted", "label agreement", "nearest original"), strict=True)
    ):
        dot_rows(axes, names)
        for place, entry in enumerate(result["variants"]):
            found = entry["texts"]
            drift, nearest = found["class_drift"], found["nearest"]
            middle = nearest and {"estimate": nearest["synthetic"]["median"]}
            spread = middle and {**middle, "low": nearest["synthetic"]["low"], "high": nearest["synthetic"]["high"]}
            shown = (found["acceptance"], drift and drift["synthetic"], spread)[column]
            if shown and shown["estimate"] is not None:
                colour, marker, _ = CYCLE[1 + place % (len(CYCLE) - 1)]
                dot_interval(axes, place, shown, "estimate", color=colour, marker=marker)
        drift, nearest = ((beside or {}).get(key) for key in ("class_drift", "nearest"))
        usual = (None, drift and drift["originals"]["estimate"], nearest and nearest["originals"]["median"])[column]
        if usual is not None:
            axes.axvline(usual, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.set(xlabel=label)
        if column < 2:
            axes.set_xlim(-0.03, 1.06)
    caption = (
        "By prompt: the share of answers that were accepted and the share of texts that a classifier of originals "
        "assigns to the class, with 95 % intervals; cosine to the nearest original, median and middle eight in ten "
        "texts. Dashed: originals."
    )
    return Drawing("texts", caption, figure)


def _score_drawing(result: Mapping[str, Any]) -> Drawing:
    names = ["originals alone", *(entry["name"] for entry in result["variants"])]
    figure, grid = blank(1, 2, 1.0 + 0.28 * len(names), 7.0, sharey=True)
    entries = [result["original"], *result["variants"]]
    for axes, (metric, title) in zip(grid[0], METRICS.items(), strict=True):
        dot_rows(axes, names)
        for place, entry in enumerate(entries):
            colour, marker = (VERMILLION, "D") if place else (GREY, "o")
            dot_interval(axes, place, entry[metric], "estimate", color=colour, marker=marker)
        axes.axvline(entries[0][metric]["estimate"], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        axes.set(xlabel=title)
    handles = [key_line("with synthetic texts", VERMILLION, "D", "-"), key_line("originals alone", GREY, "o", "-")]
    figure.legend(handles=handles, loc="outside upper right", ncols=2)
    caption = f"Scores by prompt with {result['keep']} originals: mean and 95 % interval. Dashed: originals alone."
    return Drawing("scores", caption, figure)


PLUGIN = PromptExperiment
