"""POST validate-yaml: checks of a card's metadata, as far as the Hub's rules are public.

The rules are those of the documentation of model cards and dataset cards; the real list of checks is longer, so that a
card which passes here may still be refused by the Hub, hardly the other way round.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from .access import Call
from .wire import Reply, Route

__all__ = ["ROUTES", "find_problems", "read_metadata"]

BLOCK = re.compile(r"\A\s*---[\n\r]+([\S\s]*?)[\n\r]+---[\n\r]?")
_LICENSES = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 lgpl-lr isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl
openmdw-1.0 openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown
other
"""
_TASKS = """
text-classification token-classification table-question-answering question-answering zero-shot-classification
translation summarization feature-extraction text-generation fill-mask sentence-similarity text-to-speech
text-to-audio automatic-speech-recognition audio-to-audio audio-classification audio-text-to-text
voice-activity-detection depth-estimation image-classification object-detection image-segmentation text-to-image
image-to-text image-to-image image-to-video unconditional-image-generation video-classification reinforcement-learning
robotics tabular-classification tabular-regression tabular-to-text table-to-text multiple-choice text-ranking
text-retrieval time-series-forecasting text-to-video image-text-to-text visual-question-answering
document-question-answering zero-shot-image-classification graph-ml mask-generation zero-shot-object-detection
text-to-3d image-to-3d image-feature-extraction video-text-to-text keypoint-detection visual-document-retrieval
any-to-any video-to-video other
"""
_LISTS_OF_STRINGS = """
annotations_creators language_creators multilinguality size_categories source_datasets tags task_categories task_ids
datasets metrics language base_model
"""
LICENSES = frozenset(_LICENSES.split())
TASKS = frozenset(_TASKS.split())
LISTS_OF_STRINGS = tuple(_LISTS_OF_STRINGS.split())
STRINGS = ("license_name", "license_link", "pretty_name", "library_name", "pipeline_tag", "viewer", "thumbnail")
SIZES = re.compile(
    "n<1K|1K<n<10K|10K<n<100K|100K<n<1M|1M<n<10M|10M<n<100M|100M<n<1B|1B<n<10B|10B<n<100B|100B<n<1T|n>1T"
)


class StrictLoader(yaml.SafeLoader):
    """YAML in which a key may stand once, as in the Hub's parser."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a dict; two equal keys are an error."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"duplicated mapping key: {key}", node.start_mark)
        return super().construct_mapping(node, deep)


def read_metadata(text: str) -> dict[str, Any]:
    """Return a card's metadata, empty where there is none or it cannot be read."""
    block = BLOCK.match(text)
    try:
        told = yaml.load(block[1], StrictLoader) if block else {}
    except yaml.YAMLError:
        return {}
    return told if isinstance(told, dict) else {}


def validate(call: Call) -> Reply:
    """POST validate-yaml."""
    told = call.request.json()
    errors, warnings = find_problems(told.get("content", ""), told.get("repoType", "model"))
    answer = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
    return Reply.json(answer, 400 if errors else 200)


def find_problems(text: str, kind: str) -> tuple[list[str], list[str]]:
    """Return errors and warnings about a card of a ``model``, a ``dataset`` or a ``space``."""
    block = BLOCK.match(text)
    if block is None:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        told = yaml.load(block[1], StrictLoader)
    except yaml.YAMLError as error:
        return [f"Invalid YAML: {error}"], []
    if told is None:
        return [], ["empty or missing yaml metadata in repo card"]
    if not isinstance(told, dict):
        return ["Invalid YAML: the metadata must be a mapping"], []
    errors, warnings = check_common(told)
    if kind == "model":
        errors += check_model_index(told)
    if kind == "dataset":
        errors += check_configs(told)
        errors += check_dataset_info(told)
    return errors, warnings


def listed(told: dict[str, Any], name: str) -> list[Any]:
    """Return a field's values, of which one may stand alone."""
    value = told.get(name)
    return value if isinstance(value, list) else [] if value is None else [value]


def check_common(told: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Check fields that all cards share."""
    errors, warnings = [], []
    for name in STRINGS:
        if name in told and not isinstance(told[name], (str, bool)):
            errors.append(f'"{name}" must be a string')
    for name in LISTS_OF_STRINGS:
        for place, value in enumerate(listed(told, name)):
            if not isinstance(value, str):
                errors.append(f'"{name}[{place}]" must be a string')
    if "tags" in told and not isinstance(told["tags"], list):
        errors.append('"tags" must be an array')
    if "widget" in told and not isinstance(told["widget"], list):
        errors.append('"widget" must be an array')
    errors += [
        f'"license" must be one of [{", ".join(sorted(LICENSES))}]'
        for v in listed(told, "license")
        if v not in LICENSES
    ]
    for place, value in enumerate(listed(told, "language")):
        if isinstance(value, str) and not re.fullmatch("[a-z]{2,3}(-[A-Za-z0-9]+)*|code|multilingual|other", value):
            errors.append(
                f'"language[{place}]" must only contain lowercase characters: use an ISO 639 code, not "{value}"'
            )
    for place, value in enumerate(listed(told, "size_categories")):
        if isinstance(value, str) and not SIZES.fullmatch(value):
            errors.append(
                f'"size_categories[{place}]" with value "{value}" fails to match the required pattern: {SIZES.pattern}'
            )
    for name in ("task_categories", "pipeline_tag"):
        for value in listed(told, name):
            if isinstance(value, str) and value not in TASKS:
                warnings.append(f'The {name} "{value}" is not in the official list: {", ".join(sorted(TASKS))}')
    return errors, warnings


def check_model_index(told: dict[str, Any]) -> list[str]:
    """Check the shape of ``model-index``: names, tasks, datasets and metrics of results."""
    index = told.get("model-index")
    if index is None:
        return []
    if not isinstance(index, list):
        return ['"model-index" must be an array']
    errors = []

    def need(value: Any, where: str, *names: str) -> bool:
        if not isinstance(value, dict):
            errors.append(f'"{where}" must be of type object')
            return False
        errors.extend(f'"{where}.{name}" is required' for name in names if value.get(name) is None)
        return True

    for i, model in enumerate(index):
        where = f"model-index[{i}]"
        if not need(model, where, "name", "results"):
            continue
        for j, result in enumerate(listed(model, "results")):
            place = f"{where}.results[{j}]"
            if not need(result, place, "task", "dataset", "metrics"):
                continue
            if result.get("task") is not None:
                need(result["task"], f"{place}.task", "type")
            if result.get("dataset") is not None:
                need(result["dataset"], f"{place}.dataset", "type", "name")
            for k, metric in enumerate(listed(result, "metrics")):
                need(metric, f"{place}.metrics[{k}]", "type", "value")
    return errors


def check_configs(told: dict[str, Any]) -> list[str]:
    """Check ``configs`` of a dataset: names once each, at most one default, data files as text, list or splits."""
    configs = told.get("configs")
    if configs is None:
        return []
    if not isinstance(configs, list):
        return ['"configs" must be an array']
    errors, names = [], []
    for i, config in enumerate(configs):
        if not isinstance(config, dict) or not isinstance(config.get("config_name"), str):
            errors.append(f'"configs[{i}].config_name" is required')
            continue
        names.append(config["config_name"])
        if re.search(r'[<>:/\\|?*"]', config["config_name"]):
            errors.append(f'"configs[{i}].config_name" has characters that a file name cannot hold')
        files = config.get("data_files")
        for j, item in enumerate(files if isinstance(files, list) else []):
            if not isinstance(item, str) and not (isinstance(item, dict) and {"split", "path"} <= set(item)):
                errors.append(f'"configs[{i}].data_files[{j}]" must be a string or have "split" and "path"')
        if files is not None and not isinstance(files, (str, list, dict)):
            errors.append(f'"configs[{i}].data_files" must be a string or an array')
    errors += [
        f'"configs" contains a duplicate config_name "{name}"'
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if sum(isinstance(config, dict) and config.get("default") is True for config in configs) > 1:
        errors.append('"configs" must have one default at most')
    return errors


def check_dataset_info(told: dict[str, Any]) -> list[str]:
    """Check ``dataset_info``: one object or a list of objects, with features and splits as lists."""
    errors = []
    for i, info in enumerate(listed(told, "dataset_info")):
        if not isinstance(info, dict):
            errors.append(f'"dataset_info[{i}]" must be of type object')
            continue
        for name in ("features", "splits"):
            if info.get(name) is not None and not isinstance(info[name], (list, dict)):
                errors.append(f'"dataset_info[{i}].{name}" must be an array')
        for j, split in enumerate(listed(info, "splits")):
            if not isinstance(split, dict) or "name" not in split:
                errors.append(f'"dataset_info[{i}].splits[{j}].name" is required')
    return errors


ROUTES = [Route.of("POST", "/api/validate-yaml", validate)]
