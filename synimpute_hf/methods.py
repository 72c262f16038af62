"""A paragraph for a methods section, from the facts of a result and of a cross-validation, and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .errors import PlanError
from .facts import ADVISED, ALARMING, MISSING, Findings, made_in_folds, number, p_value, words
from .seeding import digest
from .version import __version__

__all__ = ["methods_paragraph"]

REFERENCES = {
    "Bouckaert": "Bouckaert, R. R., and Frank, E. (2004). Evaluating the replicability of significance tests for "
    "comparing learning algorithms. In Advances in Knowledge Discovery and Data Mining (PAKDD 2004).",
    "Efron": "Efron, B., and Tibshirani, R. J. (1993). An introduction to the bootstrap. Chapman and Hall.",
    "Holm": "Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
    "Statistics, 6, 65-70.",
    "Nadeau": "Nadeau, C., and Bengio, Y. (2003). Inference for the generalization error. Machine Learning, 52, "
    "239-281.",
    "Timoneda": "Timoneda, J. C. (2026). The Synthetic Imputation Approach: Generating Optimal Synthetic Texts For "
    "Underrepresented Categories In Supervised Classification Tasks. Political Analysis. arXiv:2504.15160.",
    "The synimpute_hf": "The synimpute_hf developers. synimpute_hf, version {version} [computer software].",
}
"""In the order of the list; each is named where the text holds its first words."""
LEAD = "We used the Synthetic Imputation Approach (Timoneda 2026) to write synthetic texts for classes with few texts."
DRAWN = {
    "across": "drawn at random anew for each text, none of them twice in one prompt",
    "within": "drawn at random anew for each text, with replacement",
    "fixed": "drawn once and shown for all texts of the class",
}
MEASURED = {
    "seed_aware": "Tested texts were originals, and a synthetic text trained a fold only if none of the originals that "
    "the model had been shown for it, and no near-copy of them, was tested in that fold",
    "nested": "Tested texts were originals, and the synthetic texts of each fold were written anew from the originals "
    "of its training part",
    "holdout": "Tested texts were originals that had been set apart, of which none had been shown to the model",
}
VERDICTS = {
    "better": "Training with synthetic texts scored higher",
    "worse": "Training with synthetic texts scored lower",
    "equivalent": "The two scores are equivalent within that margin",
    "cannot tell": "The two could not be told apart, which does not show that they are equal",
}


def methods_paragraph(facts: Mapping[str, Any] | None, result: Mapping[str, Any] | None) -> str:
    """Return paragraphs for a methods section, to adapt, and the references that they name.

    What the facts do not hold stands in square brackets, for the author to fill in.

    Args:
        facts: the content of ``crossval.json``, or None.
        result: the content of ``synimpute.json`` of an imputed dataset, or None.

    Returns:
        Plain text: a line a paragraph, blank lines between, ``References`` and a line a reference.

    Raises:
        PlanError: there are no facts at all, or the two are not about the same rows.
    """
    if facts is None and result is None:
        raise PlanError(
            "There is nothing to write about: expected facts of a result, of a cross-validation, or of both."
        )
    if facts is not None and result is not None:
        _check_rows(facts, result)
    parts = [_join(_writing(facts, result))]
    if facts is None:
        parts.append(
            "[Nothing is known here of how well a classifier does: run `synimpute crossval`, and name its folder, too.]"
        )
    else:
        parts += [_join(_comparison(facts)), _join(_scores(Findings(facts)))]
    parts.append(_software(facts, result))
    text = "\n\n".join(part for part in parts if part)
    named = [entry for first, entry in REFERENCES.items() if first in text]
    return f"{text}\n\nReferences\n\n" + "\n".join(named).format(version=_version(facts, result)) + "\n"


def _join(sentences: Iterator[str]) -> str:
    return " ".join(sentences)


def _check_rows(facts: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Refuse a cross-validation that has other classes, or more originals, than the result."""
    counts = {entry["name"]: entry["originals"] for entry in result["plan"]["classes"]}
    measured = {entry["name"]: entry["originals"] for entry in facts["classes"]}
    if set(counts) != set(measured) or any(measured[name] > counts[name] for name in counts):
        said = [", ".join(f"{words(n)} ({c})" for n, c in sorted(each.items())) for each in (measured, counts)]
        raise PlanError(
            f"The cross-validation and the result are not about the same rows: expected equal classes, got {said[0]} "
            f"in the one and {said[1]} in the other. Name folders that belong together."
        )


# -- how the texts were written ----------------------------------------------------------------------------------------


def _writing(facts: Mapping[str, Any] | None, result: Mapping[str, Any] | None) -> Iterator[str]:
    """Say which classes were filled up, by what, how, and how many answers were accepted."""
    generation = (facts or {}).get("generation") or {}
    settings = result["plan"]["settings"] if result else generation.get("settings")
    if facts and not result and Findings(facts).imputed is None:
        return  # a comparison of other ways to train: no synthetic text stands behind it
    yield LEAD
    if result:
        yield from _classes_of_result(result)
    elif facts:
        yield from _classes_of_folds(facts, generation)
    if not settings:
        yield (
            "[How the synthetic texts were written is not in these facts: name the folder that `synimpute impute` "
            "wrote as well.]"
        )
        return
    prompt = f'the prompt "{words(settings["prompt"])}"'
    if result:
        prompt += f" (SHA-256 of its fields {digest(result['prompt'])})"
    yield (
        f"Each synthetic text was written by {_generator(result['generator'] if result else settings['generator'])} "
        f"from {settings['n_examples']} originals of its class, {DRAWN[settings['replacement']]} "
        f"(seed {settings['seed']}), with {prompt}."
    )
    described = sorted(settings["category_descriptions"])
    if described:
        yield f"The prompt held a definition of {_list(described)}."
    if settings.get("language"):
        yield f"It asked for texts in the language {words(settings['language'])}."
    yield from _judging(settings, result, generation)
    if result and generation.get("written"):
        yield from _written(generation)
        other = generation.get("generator")
        if other and other != result["generator"]["name"]:
            yield f'[Its texts were written by another generator, "{words(other)}": say so, or compare again.]'


def _classes_of_result(result: Mapping[str, Any]) -> Iterator[str]:
    kept = {entry["name"]: entry for entry in result["outcome"]["classes"]}
    for entry in result["plan"]["classes"]:
        if not entry["to_write"]:
            continue
        done = kept.get(entry["name"], {"kept": 0, "needed": entry["to_write"]})
        text = f'The class "{words(entry["name"])}" had {_count(entry["originals"], "original")}'
        if entry["contrast"]:
            text += (
                f" and was given {_count(done['kept'], 'synthetic text')} for contrast: they keep machine style from "
            )
            text += "telling the class"
        else:
            text += f" and a target of {entry['target']:,}; {_count(done['kept'], 'synthetic text')} came about"
        if done["kept"] < done["needed"]:
            text += f", {done['needed'] - done['kept']:,} fewer than the {done['needed']:,} that were planned"
        yield f"{text}."


def _classes_of_folds(facts: Mapping[str, Any], generation: Mapping[str, Any]) -> Iterator[str]:
    for entry in facts["classes"]:
        if not entry["focus"]:
            continue
        yield (
            f'The class "{words(entry["name"])}" had {_count(entry["originals"], "original")} and a target of '
            f"{entry['target']:,}."
        )
    yield from _written(generation)


def _written(generation: Mapping[str, Any]) -> Iterator[str]:
    """Say how many texts a cross-validation had written."""
    if generation.get("written") is not None:
        text = f"For the cross-validation, {_count(generation['written'], 'synthetic text')} came about in all"
        extra = generation.get("extra_for_folds")
        if extra:
            text += f", {extra:,} of them so that folds reach their target without texts written from their test part"
        yield f"{text}."
    if generation.get("nested"):
        yield f"For the folds, {_count(generation['nested'], 'synthetic text')} were written from their training parts."
    if generation.get("stopped"):
        yield f"Writing ended early: {words(generation['stopped']).rstrip('.')}."


def _generator(identity: Mapping[str, Any]) -> str:
    """Return a model with all that could change an answer."""
    known = identity["parameters"].items()
    parameters = [f"{words(key)} {_value(value)}" for key, value in known if value not in (None, "", [], {})]
    return f'"{words(identity["name"])}"' + (f" ({', '.join(parameters)})" if parameters else "")


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{words(key)} {_value(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return " and ".join(_value(part) for part in value)
    return f"{value:g}" if isinstance(value, float) else words(value)


def _judging(
    settings: Mapping[str, Any], result: Mapping[str, Any] | None, generation: Mapping[str, Any]
) -> Iterator[str]:
    """Say what judged the answers, and what share of them was accepted."""
    panel = [
        words(entry["name"])
        + (f" ({', '.join(f'{key} {_value(v)}' for key, v in entry['options'].items())})" if entry["options"] else "")
        for entry in settings["validators"]
    ]
    text = "Refusals, cut-off and empty answers, and copies of an original or of an accepted text were rejected"
    text += f", as were answers that failed one of the validators {_list(panel)}" if panel else ""
    yield f"{text}; a rejected text was drawn anew, at most {settings['max_attempts']} times in all."
    if result:
        entries = result["outcome"]["classes"]
        judged, kept = (sum(entry[key] for entry in entries) for key in ("generated", "kept"))
        failed = sum(sum(entry["failed"].values()) for entry in entries)
        reasons: dict[str, int] = {}
        for entry in entries:
            for reason, count in entry["rejected"].items():
                reasons[reason] = reasons.get(reason, 0) + count
    else:
        judged, reasons, failed = generation.get("generated"), generation.get("rejected") or {}, 0
        kept = (judged or 0) - sum(reasons.values())
    if not judged:
        return
    text = f"Of {_count(judged, 'answer')}, {kept:,} were accepted ({100 * kept / judged:.0f} %)"
    if reasons:
        ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        text += "; the others were rejected as " + ", ".join(
            f"{words(reason)} ({count:,})" for reason, count in ordered
        )
    yield f"{text}."
    if failed:
        yield f"{_count(failed, 'request')} ended without an answer."


# -- how it was measured -----------------------------------------------------------------------------------------------


def _comparison(facts: Mapping[str, Any]) -> Iterator[str]:
    """Say what was compared, on what, how often, and how leaks were kept out."""
    found, settings, data = Findings(facts), facts["settings"], facts["data"]
    if facts.get("incomplete"):
        yield f"[This cross-validation is incomplete: {words(facts['incomplete']).rstrip('.')}.]"
    name = settings["classifier"]["name"]
    parameters = ", ".join(f"{key} {_value(value)}" for key, value in settings["classifier"]["parameters"].items())
    kind = "logistic regression on text embeddings, " if name.startswith("linear") else ""
    yield (
        f"We compared the following ways to train a classifier ({kind}{words(name)}: {parameters}): "
        f"{_list([words(arm) for arm in found.arms])}."
    )
    main = found.main
    if main == "holdout":
        text = f"Each was trained on {data['originals']:,} originals and tested on a set that was held out"
    else:
        text = (
            f"Each was measured by {_repeated(settings)} stratified cross-validation of {data['originals']:,} originals"
        )
        text += ", on the same folds"
    text += f" (seed {settings['seed']})"
    text += f"; texts of one {words(settings['groups'])} stayed on one side" if settings.get("groups") else ""
    twins = data.get("twins")
    text += f"; {_count(twins, 'original')} that equal or nearly equal another stayed on its side" if twins else ""
    yield f"{text}."
    if main is None:
        yield (
            "[Only protocols that leak were run, so that no score can be given for new texts: run `synimpute crossval` "
            "with the protocol seed_aware.]"
        )
        return
    yield MEASURED.get(main, words(main)) + "."
    checks = (facts.get("leak_check") or {}).get(main)
    if checks:
        leaks = checks["shared_sources"] + checks["synthetic_test"]
        yield (
            f"This was checked before each of {checks['fits']:,} fits: of {_count(checks['sources'], 'source')} "
            f"of synthetic training texts and {_count(checks['pairs'], 'pair')} of nearly equal texts that were looked "
            + (f"up, {leaks:,} were found" if leaks else "up, none was found")
            + " in the test part."
        )
    row = _trained(found)
    if row and row["made"]:
        text = f"With synthetic texts, a fold trained on {number(row['made'], 1)} of them on average"
        text += f", {number(row['short'], 1)} fewer than its share" if row["short"] else ""
        yield f"{text}."


def _trained(found: Findings) -> Mapping[str, Any] | None:
    """Return how many synthetic texts trained a fold of the protocol to be believed, where that is known."""
    facts = found.facts
    rows = facts.get("trained") or made_in_folds(facts.get("fits") or ())
    return next((row for row in rows if (row["protocol"], row["arm"]) == (found.main, found.imputed)), None)


def _repeated(settings: Mapping[str, Any]) -> str:
    once = settings["repeats"] == 1
    return f"{settings['folds']}-fold" if once else f"{settings['repeats']} times repeated {settings['folds']}-fold"


def _scores(found: Findings) -> Iterator[str]:
    """Give, for each class, both scores, their difference, and what the paper's protocol would have made of it."""
    main, arm = found.main, found.imputed
    if main is None or arm is None:
        return
    trained = _trained(found)
    if trained and not trained["made"]:
        yield (
            "[No synthetic text could train a fold, so that the scores say nothing of synthetic texts: write more "
            "of them (without --no-extra), or take more folds.]"
        )
        return
    how = "bootstrap (Efron and Tibshirani 1993)" if main == "holdout" else "corrected resampled t-test"
    if main != "holdout":
        how += " (Nadeau and Bengio 2003; Bouckaert and Frank 2004)"
    yield f"Intervals are 95 % intervals, those of differences from the paired {how}; F1 is that of the class."
    for name in found.focus:
        with_texts, alone = found.score(main, arm, "f1", name), found.score(main, "original", "f1", name)
        if with_texts is None:
            continue
        text = f'For "{words(name)}", F1 was {_interval(with_texts)} with synthetic texts'
        yield text + (f" and {_interval(alone)} with the originals alone." if alone else ".")
        entry = found.comparison(main, arm, "f1", name)
        if entry:
            yield _difference(entry, found.margin)
        yield from _inflation(found, name, arm)
        yield from _overfitting(found, name, arm)


def _interval(entry: Mapping[str, Any], key: str = "estimate", sign: bool = False) -> str:
    middle, low, high = (number(entry.get(part), sign=sign) for part in (key, "low", "high"))
    return middle if MISSING in (low, high) else f"{middle} ({low} to {high})"


def _difference(entry: Mapping[str, Any], margin: float) -> str:
    """Return the paired difference with its tests, and no more than they say."""
    tests = []
    if entry.get("p") is not None:
        tests.append(f"p = {p_value(entry['p'])}".replace("= <", "< "))
        if entry.get("p_holm") not in (None, entry["p"]):
            tests.append(f"after Holm's (1979) correction {p_value(entry['p_holm'])}")
    if entry.get("p_equivalence") is not None:
        tests.append(f"two one-sided tests of equivalence p = {p_value(entry['p_equivalence'])}".replace("= <", "< "))
    text = f"The difference was {_interval(entry, 'difference', sign=True)}"
    text += f"; {', '.join(tests)}" if tests else ""
    said = VERDICTS.get(entry["verdict"], words(entry["sentence"]))
    return f"{text}; the equivalence margin was {margin:g}. {said}."


def _inflation(found: Findings, name: str, arm: str) -> Iterator[str]:
    total, pooled = found.inflation(name), found.score("pooled", arm, "f1", name)
    if total is None or pooled is None:
        return
    text = "The pooled protocol, in which synthetic texts are tested, too, and share sources with those that train, "
    text += f"would have reported {_interval(pooled)}, which is {_interval(total, sign=True)} against the score above"
    if total["low"] * total["high"] <= 0:
        text += ", a difference that chance can explain"
    parts = ("synthetic texts in the test folds", "shared sources")
    known = ((part, found.inflation(name, part)) for part in parts)
    told = [f"{_interval(entry, sign=True)} from {part}" for part, entry in known if entry]
    yield text + (f"; {' and '.join(told)}." if told else ".")


def _overfitting(found: Findings, name: str, arm: str) -> Iterator[str]:
    for entry in found.facts.get("overfitting") or ():
        if (entry["class"], entry["arm"]) != (name, arm):
            continue
        value = entry["estimate"]
        text = "Overfitting, which is F1 on the augmented data's own folds less F1 on originals, was "
        text += _interval(entry, sign=True)
        if value > ALARMING:
            text += f", above the {ALARMING:g} that the method's author takes for an alarm"
        elif value > ADVISED:
            text += f", above the {ADVISED:g} under which the method's author advises to stay"
        yield f"{text}."


# -- with what ---------------------------------------------------------------------------------------------------------


def _software(facts: Mapping[str, Any] | None, result: Mapping[str, Any] | None) -> str:
    """Name the versions; of both runs where they differ."""
    known = [dict((each or {}).get("versions") or {}) for each in (result, facts)]
    clash = any(known[0][name] != known[1][name] for name in known[0].keys() & known[1].keys())
    told = [("texts written with ", known[0]), ("compared with ", known[1])] if clash else [("", known[0] | known[1])]
    listed = [prefix + ", ".join(" ".join(pair) for pair in each.items()) for prefix, each in told if each]
    if not listed:
        return "[The versions of the software are not in these facts.] The synimpute_hf developers are cited below."
    return f"Software (The synimpute_hf developers): {'; '.join(listed)}."


def _version(facts: Mapping[str, Any] | None, result: Mapping[str, Any] | None) -> str:
    found = [((each or {}).get("versions") or {}).get("synimpute_hf") for each in (facts, result)]
    return next((version for version in found if version), __version__)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _list(parts: Sequence[str]) -> str:
    """Join words with commas, and the last one with ``and``."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else "none"
