"""A page in a real browser: what axe finds in it, and how much of it a screen shows at once."""

import html
import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AXE = Path(os.environ.get("AXE") or Path(__file__).parents[2] / "var/axe.min.js")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDE, PHONE = (1000, 700), (390, 800)
GRAVE = ("serious", "critical")
# Measured as the page opens; then all is unfolded, as axe passes over what is not shown.
SCRIPT = """
const first = document.querySelector(".decision");
const opened = {
  first: first ? Math.ceil(first.getBoundingClientRect().bottom) : null,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
};
document.querySelectorAll("details").forEach((part) => { part.open = true; });
axe.run(document, {resultTypes: ["violations"]}).then((found) => {
  const unfolded = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  const violations = found.violations.map((one) => ({
    id: one.id, impact: one.impact, help: one.help, where: one.nodes.slice(0, 3).map((node) => node.html),
  }));
  parent.postMessage(JSON.stringify({...opened, unfolded, violations, passes: found.passes.length}), "*");
});
"""
# A browser's window has a least width, a frame has none: the page lies in one of the wanted size.
FRAME = """<!doctype html><title>frame</title><script>
addEventListener("message", (told) => {
  const result = document.createElement("pre");
  result.id = "found";
  result.textContent = told.data;
  document.body.append(result);
});
</script><body><iframe src="page.html" width="%d" height="%d" style="border: 0"></iframe></body>"""


@dataclass(frozen=True)
class Look:
    """What a browser found in a page.

    Attributes:
        first: pixels from the top down to the end of the first screen's part, folds closed.
        sideways: pixels that the page is wider than the window, folds open.
        passes: rules of axe that the page keeps.
        violations: rules that it breaks, with their impact and the elements.
    """

    first: int | None
    sideways: int
    passes: int
    violations: list[dict[str, Any]]

    @property
    def grave(self) -> list[dict[str, Any]]:
        """Those that keep somebody from reading the page."""
        return [one for one in self.violations if one["impact"] in GRAVE]


def browser() -> str | None:
    """A browser of the Chromium family; None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def look(page: Path, size: tuple[int, int]) -> Look:
    """Open a page without a network, run axe in it and measure it.

    Args:
        page: an HTML file.
        size: that the page is shown in, width and height in pixels.
    """
    scripts = f'<script src="{AXE.resolve().as_uri()}"></script><script>{SCRIPT}</script></body>'
    source = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "page.html").write_text(source.replace("</body>", scripts), encoding="utf-8")
        frame = Path(folder, "frame.html")
        frame.write_text(FRAME % size, encoding="utf-8")
        program = browser()
        assert program is not None
        command = [
            program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom",
            f"--user-data-dir={folder}/profile", "--window-size=1200,1000",
            "--virtual-time-budget=60000", "--host-resolver-rules=MAP * ~NOTFOUND", frame.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    told = json.loads(html.unescape(found[1]))
    return Look(told["first"], max(told["overflow"], told["unfolded"]), told["passes"], told["violations"])
