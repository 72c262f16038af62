"""The model card, from the facts of a training and of a cross-validation, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..facts import words
from .base import crossval_view, merge_card, metadata_of, render

__all__ = ["model_card", "model_metadata", "model_section", "unlike_training"]

MARK = "model"
TASK = "text-classification"
SAID = ("base_model", "base_model_relation", "metrics", "pipeline_tag")
"""What a training settles anew, whatever an earlier one left in the card."""
MEASURED = {
    "seed_aware": "seed-aware {repeats} x {folds} cross-validation",
    "nested": "nested {repeats} x {folds} cross-validation",
    "holdout": "hold-out test set of originals",
}


def model_card(facts: Mapping[str, Any], card: str = "", crossval: Mapping[str, Any] | None = None) -> str:
    """Write the card of a classifier, or our part of one that is there.

    Args:
        facts: the content of a classifier's ``synimpute.json``.
        card: the card that is there; what a person wrote in it stays.
        crossval: the facts of a cross-validation, or None: then those that the Trainer callback kept, if any.

    Raises:
        OutputError: the card that is there cannot be read.
    """
    metadata = model_metadata(facts, metadata_of(card), crossval)
    asked = [name for name in ("license", "language") if facts["metadata"].get(name, {}).get("asked")]
    return merge_card(card, metadata, model_section(facts, crossval), MARK, [*SAID, *asked])


def model_section(facts: Mapping[str, Any], crossval: Mapping[str, Any] | None = None) -> str:
    """Return our section of a model card.

    Args:
        facts: the content of a classifier's ``synimpute.json``.
        crossval: as for ``model_card``.
    """
    found = _crossval(facts, crossval)
    unlike = unlike_training(facts, found) if found else []
    plan = facts.get("plan")
    return render(
        "model_card.md.jinja",
        facts=facts,
        base=facts.get("base_model"),
        dataset_id=facts["metadata"].get("dataset_id"),
        repo_id=facts["metadata"].get("repo_id"),
        short=[entry for entry in plan["classes"] if entry["to_write"]] if plan else [],
        n_examples=plan["settings"]["n_examples"] if plan else None,
        scores=_reported(facts, "scores"),
        gap=_reported(facts, "overfitting"),
        results={name: _shown(value) for name, value in facts["training"].get("results", {}).items()},
        log=_log(facts["training"].get("log") or []),
        hyperparameters={name: _shown(value) for name, value in facts["training"]["hyperparameters"].items()},
        crossval=crossval_view({**found, "unlike": unlike}) if found else None,
        crossval_file="crossval/crossval.json" if crossval is None else "crossval.json",
        of_this_training=_of_this_training(facts, unlike),
        version=facts["versions"]["synimpute_hf"],
    )


def model_metadata(
    facts: Mapping[str, Any], theirs: Mapping[str, Any], crossval: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return our metadata of a model card; what is None is to be taken out.

    Args:
        facts: the content of a classifier's ``synimpute.json``.
        theirs: the metadata that are there, whose results of other makers stay.
        crossval: as for ``model_card``.
    """
    from huggingface_hub import ModelCardData

    told = facts["metadata"]
    base = (facts.get("base_model") or {}).get("hub_id")
    dataset = told.get("dataset_id")
    results = _results(facts, _crossval(facts, crossval))
    data: Any = ModelCardData(
        library_name="transformers",
        pipeline_tag=TASK,
        base_model=base,
        base_model_relation="finetune" if base else None,
        datasets=[dataset] if dataset else None,
        license=told.get("license", {}).get("value"),
        language=told.get("language", {}).get("value"),
        tags=[TASK, "synimpute", *(["synthetic"] if facts["rows"]["synthetic"] else []), *told.get("tags", ())],
        metrics=["f1"] if results else None,
        model_name=facts["title"],
        eval_results=results,
    )
    found = data.to_dict()
    index = found.pop("model-index")[0]["results"]
    models = [model for model in theirs.get("model-index") or [] if isinstance(model, Mapping)]
    others = [entry for model in models for entry in model.get("results") or [] if isinstance(entry, Mapping)]
    index += [entry for entry in others if not _is_ours(entry)]
    return {**found, "model-index": [{"name": facts["title"], "results": index}] if index else None}


def unlike_training(facts: Mapping[str, Any], crossval: Mapping[str, Any]) -> list[str]:
    """Say in what the fits of a cross-validation are not like a training.

    Args:
        facts: the content of a classifier's ``synimpute.json``.
        crossval: the facts of the cross-validation.

    Returns:
        Nothing where its scores are those of this way to train.
    """
    kept = facts.get("crossval") or {}
    if "unlike" in kept:
        return list(kept["unlike"])
    here, there = facts["classifier"], crossval["settings"]["classifier"]
    if here["name"] != there["name"]:
        return [f"its classifier is {here['name']} (there {there['name']})"]
    found = [
        f"{name} {value} (there {there['parameters'].get(name)})"
        for name, value in here["parameters"].items()
        if name != "bf16" and value != there["parameters"].get(name)
    ]
    measured = {row["name"]: row["originals"] for row in crossval["classes"]}
    return found + [
        f"{row['originals']} originals of class {words(row['name'])} (there {measured.get(row['name'], 0)})"
        for row in facts["counts"]
        if row["originals"] != measured.get(row["name"], 0)
    ]


def _of_this_training(facts: Mapping[str, Any], unlike: Sequence[str]) -> bool:
    """Return whether the scores of a cross-validation are those of this way to train."""
    kept = facts.get("crossval") or {}
    return bool(kept.get("of_this_training", not unlike))


def _crossval(facts: Mapping[str, Any], crossval: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the facts of the cross-validation that goes with a training."""
    kept = facts.get("crossval") or {}
    return crossval if crossval is not None else kept if "summary" in kept else None


def _results(facts: Mapping[str, Any], crossval: Mapping[str, Any] | None) -> list[Any]:
    """Return what stands in the model-index: cross-validated scores, else those on the evaluation set's originals."""
    if crossval is not None and _of_this_training(facts, unlike_training(facts, crossval)):
        view = crossval_view(crossval)
        settings = view["settings"]
        how = MEASURED[view["protocol"]].format(**settings) if view["protocol"] else ""
        return [
            _result(
                facts,
                row["class"],
                row["estimate"],
                how,
                {"protocol": view["protocol"], "arm": "imputed", "low": row["low"], "high": row["high"]},
            )
            for row in view["rows"]
            if row["arm"] == "imputed" and row["estimate"] is not None and how
        ]
    scores = _reported(facts, "scores")
    if scores is None:
        return []
    rare = {row["name"] for row in facts["counts"] if row["synthetic"] or row.get("held_back")}
    rows = [*((row["name"], row["f1"]) for row in scores["classes"] if row["name"] in rare), (None, scores["macro"])]
    return [
        _result(
            facts, name, value, "originals of the evaluation set", {"protocol": "evaluation", "step": scores["step"]}
        )
        for name, value in rows
    ]


def _result(facts: Mapping[str, Any], name: str | None, value: float, how: str, args: Mapping[str, Any]) -> Any:
    from huggingface_hub import EvalResult

    data = facts["data"]
    return EvalResult(
        task_type=TASK,
        task_name="Text Classification",
        dataset_type=facts["metadata"].get("dataset_id") or "local",
        dataset_name=data["title"],
        dataset_split=data.get("split"),
        metric_type="f1",
        metric_name=f"F1, {'macro mean' if name is None else f'class {words(name)}'}, {how}",
        metric_value=value,
        metric_args=dict(args),
    )


def _is_ours(entry: Mapping[str, Any]) -> bool:
    """Return whether a result of a model-index was written by an earlier card of ours."""
    return all("protocol" in (metric.get("args") or {}) for metric in entry.get("metrics") or [{}])


def _reported(facts: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """Return the measurement of the weights that are kept: the best step's where those were loaded, else the last."""
    entries: Sequence[Mapping[str, Any]] = facts.get(name) or []
    chosen = [entry for entry in entries if entry["step"] == facts.get("best_step")] or entries
    return chosen[-1] if chosen else None


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else words(value)


def _log(entries: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return the scores while training as a table, its heading first; nothing where there are none."""
    if not entries:
        return []
    names = list(entries[0])
    return [names, *([_shown(entry.get(name, "")) for name in names] for entry in entries)]
