"""The tests' own Hugging Face Hub, on loopback, with faults that can be set.

The real clients (huggingface_hub, datasets, transformers, hf-xet) talk to it as they talk to the Hub. In tests:

    with HubServer() as hub, hub.client(home=tmp_path / "hf") as client:
        hub.faults.add(503, "POST", "/commit/")
        hub.before("POST", "/commit/", lambda request: hub.repo("ada/letters").commit({"a.txt": "rival"}))
        client.run("from huggingface_hub import HfApi; result = HfApi().upload_file(...)").status
        hub.repo("ada/letters").files, hub.requests.count("POST", "/commit/"), hub.leaks

By hand: ``python tests/hub --folder DIR --port 8321``, or ``make hub``.
"""

from .client import Client, Outcome
from .faults import KINDS, Fault, Faults, Hook
from .server import HubServer
from .storage import Commit, Entry, Repo
from .wire import Request, RequestLog

__all__ = [
    "KINDS",
    "Client",
    "Commit",
    "Entry",
    "Fault",
    "Faults",
    "Hook",
    "HubServer",
    "Outcome",
    "Repo",
    "Request",
    "RequestLog",
]
