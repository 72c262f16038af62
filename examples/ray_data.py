"""Ray Data: the fitted imputer is the function for ``map_batches``. Run: python examples/ray_data.py"""

import ray
from datasets import Dataset

from synimpute_hf import SyntheticImputer

if __name__ == "__main__":
    texts = [f"Message {i} about the bus." for i in range(30)] + [f"Message {i} about a lamp." for i in range(10)]
    labels = ["bus"] * 30 + ["lamp"] * 10
    ds = Dataset.from_dict({"text": texts, "label": labels})

    impute = SyntheticImputer(text="text", label="label", target=30, generator="echo").fit(ds)
    impute.generate()  # once, here; the workers only look their rows up in the journal

    ray.init(num_cpus=2, log_to_driver=False)
    rays = ray.data.from_items(ds.to_list())
    rows = rays.map_batches(impute, batch_size=8).take_all()

    synthetic = [row for row in rows if row["is_synthetic"]]
    print(f"{len(rows)} rows, {len(synthetic)} of them synthetic")
    assert len(rows) == 60
    assert {row["text"] for row in synthetic} == {row["text"] for row in impute(ds) if row["is_synthetic"]}
