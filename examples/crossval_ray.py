"""Cross-validation whose fits run on a Ray cluster, here one of two workers on this machine.

Run: python examples/crossval_ray.py            On a cluster: ray.init("auto"), and n_jobs=-1 below.
Echo texts are shuffled words, to try it out in a minute; for real use take GENERATOR=local, or openai:gpt-4o, and leave
folds and repeats at 10. For GPUs: a transformers classifier, parallel_config("ray", ray_remote_args={"num_gpus": 1}).
"""

import os

import joblib
import ray
from ray.util.joblib import register_ray
from rich.console import Console
from synimpute_hf.dataset_scripts.city_service_line import CityServiceLine

from synimpute_hf import CrossValidation, SyntheticImputer
from synimpute_hf.report import tables

if __name__ == "__main__":
    builder = CityServiceLine()
    builder.download_and_prepare()
    ds = builder.as_dataset("train")

    targets = {"accessibility": 100, "lighting": 100}
    impute = SyntheticImputer(id="id", sampling_strategy=targets, generator=os.environ.get("GENERATOR", "echo"))
    validation = CrossValidation(id="id", arms=["original", "class_weights", "imputed"], folds=5, repeats=2)

    ray.init(num_cpus=2, log_to_driver=False)
    register_ray()
    with joblib.parallel_config("ray", n_jobs=2):
        facts = validation.run(ds, impute, "crossval-output")
    Console().print(*tables(facts), sep="\n")
