#!/usr/bin/env bash
# The tables of docs/results/crossval.md: cross-validation on real texts, with texts by the embedded language model.
#   benchmarks/crossval_evidence.sh FOLDER_WITH_DATA OUTPUT [linear|tuned]
# FOLDER_WITH_DATA holds nostalgia600, vader_tweets and banking77, each with a data.parquet (columns text, label).
# What is interrupted goes on where it stopped: run the same command again. GENERATOR holds other options of a generator,
# such as '--generator openai:smollm2,form=continuation --base-url http://127.0.0.1:8080/v1'.
set -euo pipefail
data=$1 out=$2 part=${3:-linear}
synimpute=${SYNIMPUTE:-.venv/bin/synimpute} python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"
description='1=nostalgia: longing for the past, its traditions and values'
arms=original,threshold,class_weights,oversample,eda:synonyms=none,imputed,imputed+class_weights
arms=$arms,imputed+contrast:match=number,imputed:weight=0.5,ceiling

crossval() {
  "$synimpute" crossval "$1" --text text --label label ${GENERATOR:---generator local} --journal "$out/journal.sqlite" "${@:2}"
}

nostalgia() { # originals kept, folder, further options
  crossval "$data/nostalgia600/data.parquet" --keep "1=$1" --sampling-strategy 1=151 --prompt sentences \
    --category-description "$description" --output "$out/$2" "${@:3}"
}

linear() {
  for kept in 50 75; do nostalgia $kept "nostalgia-$kept" --holdout 0.25 --arms "$arms"; done
  nostalgia 100 nostalgia-100 --holdout 0.25 --arms "$arms,imputed+contrast"
  crossval "$data/vader_tweets/data.parquet" --keep negative=75 --sampling-strategy negative=200 --holdout 0.25 \
    --prompt messages --arms "${arms/,imputed+contrast:match=number/}" --output "$out/vader"
  six='card_arrival card_delivery_estimate card_not_working declined_card_payment lost_or_stolen_card pending_card_payment'
  "$python" - "$data/banking77/data.parquet" "$out/six_intents.parquet" $six <<'PY'
import sys
from datasets import Dataset
source, target, *names = sys.argv[1:]
Dataset.from_parquet(source).filter(lambda row: row["label"] in names).to_parquet(target)
PY
  crossval "$out/six_intents.parquet" --keep card_delivery_estimate=50 --keep pending_card_payment=50 \
    --sampling-strategy card_delivery_estimate=150,pending_card_payment=150 --holdout 0.25 --prompt messages \
    --arms "${arms/,imputed+contrast:match=number/}" --output "$out/banking"
}

tuned() { # fine-tunes the top layer of the embedded encoder; the texts are those of `linear`
  for kept in 50 100; do
    nostalgia $kept "tuned-$kept" --holdout 0.25 --repeats 3 --no-inflation \
      --classifier transformers,train_layers=1,learning_rate=2e-4,epochs=4 \
      --arms original,class_weights,imputed,imputed+contrast:match=number
  done
}

"$part"
