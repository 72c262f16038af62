"""An ordinary Trainer script; the two lines in its middle impute. Offline, on any laptop.

Run: python examples/trainer.py
or:  torchrun --nproc_per_node 2 examples/trainer.py
"""

from importlib.resources import files

from datasets import load_dataset
from torch.cuda import is_available
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

from synimpute_hf import SyntheticImputer
from synimpute_hf.callback import SyntheticImputationCallback
from synimpute_hf.encoder import embedded_encoder

data = str(files("synimpute_hf.dataset_scripts") / "data" / "city_service_line.csv")
ds = load_dataset("csv", data_files=data, split="train").class_encode_column("label")
ds = ds.train_test_split(0.15, stratify_by_column="label", seed=0)
tokenizer = AutoTokenizer.from_pretrained(embedded_encoder())
ds = ds.map(lambda rows: tokenizer(rows["text"], truncation=True), batched=True)
model = AutoModelForSequenceClassification.from_pretrained(embedded_encoder(), num_labels=5)
args = TrainingArguments("trainer-output", learning_rate=3e-4, eval_strategy="epoch", use_cpu=not is_available())
trainer = Trainer(model, args, train_dataset=ds["train"], eval_dataset=ds["test"], processing_class=tokenizer)

impute = SyntheticImputer(sampling_strategy={"accessibility": 100, "lighting": 100}, prompt="messages")
callback = SyntheticImputationCallback(impute).attach(trainer)

trainer.train()
trainer.create_model_card()
