"""A headless Chromium by its DevTools protocol: enough to load pages, type keys and look."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

_NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next((found for name in _NAMES if (found := shutil.which(name))), None)
_CODES = {"Enter": 13, "Tab": 9}
START_S, ANSWER_S = 60, 60


class Browser:
    """One tab; ``events`` are all that it has told, as (method, parameters)."""

    def __init__(self, address: str):
        self._socket = websocket.create_connection(address, timeout=ANSWER_S, suppress_origin=True)
        self._numbers = itertools.count(1)
        self.events: list[tuple[str, dict[str, Any]]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            if "method" in message:
                self.events.append((message["method"], message["params"]))

    def open(self, page: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Load a page of the disk and wait until it is there."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        deadline = time.monotonic() + ANSWER_S
        while self.run("document.readyState") != "complete":
            assert time.monotonic() < deadline, f"{page} did not load"
            time.sleep(0.02)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Type one key."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": _CODES[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **named, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def pdf(self) -> bytes:
        """The page as printed."""
        return base64.b64decode(self.call("Page.printToPDF")["data"])

    @property
    def complaints(self) -> list[str]:
        """What the console or the page itself has complained about."""
        kinds = {"Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening"}
        found = [f"{method}: {params}" for method, params in self.events if method in kinds]
        return found + [
            f"console: {params}"
            for method, params in self.events
            if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning")
        ]

    @property
    def requests(self) -> list[str]:
        """Everything that was asked for."""
        return [
            params["request"]["url"]
            for method, params in self.events
            if method == "Network.requestWillBeSent"
        ]

    def close(self) -> None:
        self._socket.close()


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start Chromium with a profile in ``folder``."""
    assert PROGRAM is not None
    process = subprocess.Popen(
        [PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield from _connected(folder / "DevToolsActivePort")
    finally:
        process.kill()
        process.wait()


def _connected(port_file: Path) -> Iterator[Browser]:
    from urllib.request import urlopen

    deadline = time.monotonic() + START_S
    while not port_file.exists() or not port_file.read_text().strip():
        assert time.monotonic() < deadline, "Chromium did not start"
        time.sleep(0.05)
    port = port_file.read_text().split()[0]
    with urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        tabs = json.loads(answer.read())
    tab = Browser(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
    try:
        yield tab
    finally:
        tab.close()
