"""A real Chromium, driven by keys over its DevTools protocol: no driver binary, only a websocket."""

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CODES = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40, "Delete": 46, "Tab": 9, " ": 32}


def find_chromium():
    """Return the path of a Chromium on this machine, or None."""
    named = [os.environ.get("SYNIMPUTE_TEST_CHROMIUM")] + [shutil.which(name) for name in NAMES]
    return next((path for path in named if path), None)


class Browser:
    """One page of a headless Chromium with a profile of its own.

    Args:
        folder: for the profile, which a later browser may use again.
        downloads: where the page's files go.
        size: width and height in CSS pixels.
        dark: whether the user prefers dark colours.
    """

    def __init__(self, folder, downloads, size=(1100, 900), dark=False):
        from websockets.sync.client import connect

        profile = Path(folder)
        port = profile / "DevToolsActivePort"
        port.unlink(missing_ok=True)
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"]
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
        flags += ["--hide-scrollbars", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            [find_chromium(), *flags, f"--window-size={size[0]},{size[1]}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        wait_for(lambda: port.is_file() and port.read_text().count("\n"), 60)
        number, path = port.read_text().split("\n")[:2]
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(f"ws://127.0.0.1:{number}{path}", max_size=None, proxy=None))
        self._session, self._turn, self.events = None, 0, []
        (page,) = [t for t in self("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        attached = self("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self(f"{domain}.enable")
        width, height = size
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self("Emulation.setEmulatedMedia", features=scheme)

    def __call__(self, method, **params):
        """Call a method of the protocol; events that come meanwhile are kept."""
        self._turn += 1
        call = {"id": self._turn, "method": method, "params": params}
        if self._session and not method.startswith("Browser."):
            call["sessionId"] = self._session
        self._socket.send(json.dumps(call))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._turn:
                assert "error" not in message, (method, message["error"])
                return message["result"]
            self.events.append(message)

    def open(self, url):
        """Open a page and wait until it is loaded."""
        self.load("Page.navigate", url=url)

    def load(self, method, **params):
        """Navigate or reload, and wait for the new page: until then, nothing can be asked of either."""
        seen = len(self.events)
        self(method, **params)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events[seen:]):
            self.events.append(json.loads(self._socket.recv(timeout=60)))

    def js(self, expression):
        """Return the value of an expression in the page."""
        done = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, *keys):
        """Press keys one after another, as a keyboard would."""
        for key in keys:
            code = CODES.get(key, ord(key.upper()[0]))
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            self("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", key=key, text=text,
                 windowsVirtualKeyCode=code)  # fmt: skip
            self("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def screenshot(self, path):
        """Save what can be seen as a PNG."""
        Path(path).write_bytes(base64.b64decode(self("Page.captureScreenshot", format="png")["data"]))

    @property
    def complaints(self):
        """What the page logged, threw, or wanted to fetch besides itself."""
        self.js("0")
        wrong = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        found = [event["params"] for event in self.events if event["method"] in wrong]
        asked = [event["params"]["request"]["url"] for event in self.events
                 if event["method"] == "Network.requestWillBeSent"]  # fmt: skip
        return found + [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]

    def close(self):
        """End the browser."""
        self("Browser.close")
        self._open.close()
        self._process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if error[0] is None:
            self.close()
        else:  # the page may hang: what failed is told, not that
            self._open.close()
            self._process.terminate()
            self._process.wait(30)


def wait_for(condition, seconds=20.0):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found
