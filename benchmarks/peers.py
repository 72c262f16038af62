"""Other tools at the same calls: bespokelabs-curator, NeMo Data Designer, distilabel.

Each lives in an environment of its own, as their requirements exclude each other's and ours (some 2 GB in all):
    make peers
    python benchmarks/generation.py throughput kill         # takes those along that are installed

This file is run by each environment's own interpreter. Everything stays on loopback: no telemetry, no look-ups.
Imports are not timed, and what a tool asks a server before its first prompt is.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from generation import measured

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "OPENAI_API_KEY": "none",
    # What would leave the machine all the same (Data Designer's token counts) fails here.
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
    # curator
    "TELEMETRY_ENABLED": "false",
    "CURATOR_VIEWER": "0",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    # Data Designer
    "NEMO_TELEMETRY_ENABLED": "false",
}


def curator(url: str, prompts: list[Any], in_flight: int, folder: Path, report: dict[str, Any]) -> list[str]:
    # Its tokenizer is downloaded, unless tiktoken finds the copy that litellm, which it requires, brings along.
    import litellm

    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(litellm.__file__).parent / "litellm_core_utils/tokenizers")
    from bespokelabs.curator import LLM
    from bespokelabs.curator.request_processor.online import openai_online_request_processor  # noqa: F401
    from datasets import Dataset

    class Writer(LLM):  # type: ignore[misc]
        def prompt(self, row: dict[str, Any]) -> Any:
            return row["messages"]

        def parse(self, row: dict[str, Any], response: str) -> dict[str, Any]:
            return {"text": response}

    limits = {"max_requests_per_minute": 10_000_000, "max_tokens_per_minute": 10_000_000_000}
    with measured(report):
        writer = Writer(
            model_name="m",
            backend="openai",
            generation_params={"temperature": 0.7, "max_tokens": 100},
            backend_params={"base_url": url, "max_concurrent_requests": in_flight, **limits},
        )
        done = writer(Dataset.from_dict({"messages": prompts}), working_dir=str(folder))
    return list(done.dataset["text"])


def data_designer(url: str, prompts: list[Any], in_flight: int, folder: Path, report: dict[str, Any]) -> list[str]:
    import data_designer.config as dd
    import pandas as pd
    from data_designer.interface import DataDesigner

    model = dd.ModelConfig(
        alias="writer",
        model="m",
        provider="loopback",
        inference_parameters=dd.ChatCompletionInferenceParams(
            temperature=0.7, max_tokens=100, max_parallel_requests=in_flight
        ),
    )
    config = dd.DataDesignerConfigBuilder(model_configs=[model])
    seeds = {role: [next(m["content"] for m in p if m["role"] == role) for p in prompts] for role in ("system", "user")}
    config.with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame(seeds)))
    config.add_column(
        dd.LLMTextColumnConfig(name="text", model_alias="writer", system_prompt="{{ system }}", prompt="{{ user }}")
    )
    provider = dd.ModelProvider(name="loopback", endpoint=url, provider_type="openai", api_key="none")
    designer = DataDesigner(artifact_path=folder, model_providers=[provider])
    # A row group is what a restart need not repeat.
    rows = {"buffer_size": int(os.environ["ROW_GROUP"])} if "ROW_GROUP" in os.environ else {}
    designer.set_run_config(dd.RunConfig(otel_metrics_port=None, **rows))
    with measured(report):
        done = designer.create(config, num_records=len(prompts), resume=dd.ResumeMode.IF_POSSIBLE)
    return list(done.load_dataset()["text"])


def distilabel(url: str, prompts: list[Any], in_flight: int, folder: Path, report: dict[str, Any]) -> list[str]:
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps.tasks import ChatGeneration

    with Pipeline("writer", cache_dir=folder) as pipeline:
        ChatGeneration(
            llm=OpenAILLM(
                model="m",
                base_url=url,
                api_key="none",
                generation_kwargs={"temperature": 0.7, "max_new_tokens": 100},
            ),
            input_batch_size=in_flight,
        )
    with measured(report):
        done = pipeline.run(dataset=[{"messages": p} for p in prompts], dataset_batch_size=in_flight)
    return list(done["default"]["train"]["generation"])


PEERS = {"curator": curator, "data-designer": data_designer, "distilabel": distilabel}


def main() -> None:
    """Arguments: a peer, the server, a file of prompts, calls in flight, a folder for what the peer keeps."""
    name, url, prompts, in_flight, folder = sys.argv[1:]
    report: dict[str, Any] = {}
    texts = PEERS[name](url, json.loads(Path(prompts).read_text()), int(in_flight), Path(folder), report)
    report["texts"] = len(set(texts))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
