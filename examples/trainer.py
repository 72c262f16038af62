"""An ordinary Trainer script, and two lines that impute. Offline, on any laptop.

Run: python examples/trainer.py            (GENERATOR=echo EPOCHS=1: quicker, and without a language model)
or:  torchrun --nproc_per_node 2 examples/trainer.py
"""

import os

import torch
from synimpute_hf.dataset_scripts.city_service_line import CityServiceLine
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

from synimpute_hf import SyntheticImputer
from synimpute_hf.callback import SyntheticImputationCallback
from synimpute_hf.encoder import embedded_encoder

builder = CityServiceLine()
builder.download_and_prepare()
ds = builder.as_dataset("train").train_test_split(0.15, stratify_by_column="label", seed=0)
tokenizer = AutoTokenizer.from_pretrained(embedded_encoder())
ds = ds.map(lambda rows: tokenizer(rows["text"], truncation=True), batched=True)
model = AutoModelForSequenceClassification.from_pretrained(embedded_encoder(), num_labels=5)
args = TrainingArguments(
    "trainer-output",
    num_train_epochs=float(os.environ.get("EPOCHS", 3)),
    learning_rate=3e-4,
    eval_strategy="epoch",
    use_cpu=not torch.cuda.is_available(),  # torchrun on CPUs wants it said
)
trainer = Trainer(model, args, train_dataset=ds["train"], eval_dataset=ds["test"], processing_class=tokenizer)

targets = {"accessibility": 100, "lighting": 100}
impute = SyntheticImputer(sampling_strategy=targets, prompt="messages", generator=os.environ.get("GENERATOR", "local"))
callback = SyntheticImputationCallback(impute).attach(trainer)

trainer.train()
trainer.create_model_card()
trainer.accelerator.end_training()  # under torchrun: the processes leave in good order
