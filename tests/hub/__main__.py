"""Run the tests' Hub by hand: ``python tests/hub --folder DIR --port 8321``.

Not ``python -m tests.hub``: other distributions install a package of the name ``tests``, which would be found first.
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from hub import HubServer


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python tests/hub", description="A Hugging Face Hub on this machine.")
    parser.add_argument("--folder", type=Path, default=Path("demo-output/hub"), help="where all is kept")
    parser.add_argument("--port", type=int, default=8321)
    parser.add_argument("--multipart", type=int, metavar="BYTES", help="take LFS files above this in parts of it")
    parser.add_argument("--quota", type=int, metavar="BYTES", help="refuse what would make a namespace larger")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    try:
        server = HubServer(folder / "hub", arguments.port)
    except OSError as error:
        parser.error(f"port {arguments.port} cannot be had ({error.strerror}): is a server running? Try another --port")
    with server as hub:
        hub.multipart_bytes, hub.storage_quota = arguments.multipart, arguments.quota
        print(introduction(hub, folder), flush=True)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        stop.wait()


def introduction(hub: HubServer, folder: Path) -> str:
    """Return what a person exports to push to the server."""
    repos = "\n".join(f"  {repo.kind} {repo.name}: {len(repo.commits)} commits" for repo in hub.store.repos.values())
    return f"""A Hub for trying out pushes. It listens on this machine alone and keeps everything in {folder}.

In another shell:

  export HF_ENDPOINT={hub.url}
  export HF_TOKEN={hub.tokens["owner"]}   # user ada, organization museum; may write
  export HF_HOME={folder / "home"}   # one for this server alone: hf_xet notes in it what is stored where
  export HF_UPDATE_DOWNLOAD_COUNTS=0 HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_UPDATE_CHECK=1 HF_HUB_OFFLINE=0

Uploads go by Xet, as they do by default; HF_HUB_DISABLE_XET=1 sends them by plain LFS.
Other tokens: {hub.tokens["reader"]} is ada's and may only read,
{hub.tokens["other"]} is the user ben's, {hub.tokens["bad"]} is nobody's.

Kept so far:
{repos or "  nothing"}

Ctrl-C ends it; what was pushed is there again next time."""


if __name__ == "__main__":
    main()
