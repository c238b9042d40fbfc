"""The report in a real browser: nothing complains, everything is visible, links resolve, tables sort, a phone can show it."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dbot.jobs.compare import SIMILARITY
from dbot.jobs.evaluate import GALLERY
from dbot.lineage.receipt import artifact_of
from dbot.report.page import render
from tests.fabricated import Project

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

LOOK = """
<script>
addEventListener("load", () => {
  const seen = (thing) => thing.getBoundingClientRect().height > 0 && thing.getBoundingClientRect().width > 0;
  const column = () => [...document.querySelectorAll("#grid-published tbody tr")].map((row) => row.cells[1].dataset.value);
  const button = document.querySelector("#grid-published th button[data-column='1']");
  button.click();
  const up = column();
  button.click();
  const found = {
    tables: [...document.querySelectorAll("table")].map((table) => [table.id, seen(table)]),
    pictures: [...document.querySelectorAll("img")].map((img) => [img.naturalWidth > 0, seen(img)]),
    drawings: [...document.querySelectorAll("svg")].every(seen),
    broken: [...document.querySelectorAll("a[href^='#']")].map((a) => a.hash).filter((h) => !document.getElementById(h.slice(1))),
    up, down: column(),
    overflow: document.documentElement.scrollWidth - innerWidth,
    requests: performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !name.startsWith("data:")),
  };
  document.body.setAttribute("data-found", JSON.stringify(found));
});
</script>
"""


def look(folder: Path, page: str, size: tuple[int, int]) -> tuple[dict[str, Any], str]:
    """What the page's own script sees at a window size, and what the console says."""
    file = folder / "looked_at.html"
    file.write_text(page.replace("</body>", f"{LOOK}</body>").replace('loading="lazy"', ""))
    return browsed(folder, file, size)


def browsed(folder: Path, file: Path, size: tuple[int, int]) -> tuple[dict[str, Any], str]:
    """What a file's own script leaves at its body, and what the console says."""
    command = [
        *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"),
        *(f"--window-size={size[0]},{size[1]}", f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=4000"),
        *("--dump-dom", file.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    match = re.search(r'data-found="([^"]*)"', done.stdout)
    assert match, done.stderr[-2000:]
    return json.loads(html.unescape(match[1])), "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


WIDTHS = """
<body><script>
const page = %s;
const found = {};
Promise.all(%s.map((width) => new Promise((done) => {
  const frame = document.createElement("iframe");  // a window of a browser without a screen is never as narrow as a phone
  frame.style = `width: ${width}px; height: 900px; border: 0`;
  frame.onload = () => {
    const root = frame.contentDocument.documentElement;
    const regions = [...frame.contentDocument.querySelectorAll("table.results")].map((table) => table.parentElement);
    const sticksOut = (thing) => thing.getBoundingClientRect().right > width + 0.5 && !thing.closest(".scroll");
    found[width] = {
      sticksOut: [...frame.contentDocument.querySelectorAll("body *")].filter(sticksOut).map((thing) => thing.outerHTML.slice(0, 99)),
      page: root.scrollWidth - root.clientWidth,
      tables: regions.map((region) => region.scrollWidth - region.clientWidth),
    };
    done();
  };
  frame.srcdoc = page;
  document.body.append(frame);
}))).then(() => document.body.setAttribute("data-found", JSON.stringify(found)));
</script></body>
"""


def sideways(folder: Path, page: str, *widths: int) -> dict[str, Any]:
    """By width of a window in pixels: how much wider than it the page is, and than their places its tables of results."""
    file = folder / "framed.html"
    # A closing tag inside the string would end the script.
    file.write_text(WIDTHS % (json.dumps(page).replace("</", "<\\/"), json.dumps(widths)))
    return browsed(folder, file, (1400, 900))[0]


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_the_page_never_scrolls_sideways_and_the_table_fits_a_desk(project: Project, tmp_path: Path, scale: str) -> None:
    project.reload(("seeds: [0]", "seeds: [0, 1, 2]"), scale=scale)
    for row in ("B-B", "L-CLIP", "H448-CLIP", "B-scratch", "H448-symmetric-scratch"):
        for column in project.plan.params.columns(row):
            for number, job in enumerate(project.plan.measurements(row, column)):
                for needed in job.inputs.values():
                    if not needed.receipt.exists():
                        project.pretend(needed)
                result = {"cls": "top1", "det": "box_ap", "seg": "miou"}[column]
                project.write(job, {result: 50.0 + 12.0 * number}, "cpu", 12.5, curve=False)
    found = sideways(tmp_path, render(project.plan), 1280, 390)
    for width in ("1280", "390"):
        assert found[width]["sticksOut"] == []
        assert found[width]["page"] <= 0
    assert len(found["1280"]["tables"]) >= 2
    assert all(more <= 0 for more in found["1280"]["tables"])
    assert any(more > 0 for more in found["390"]["tables"]), "on a phone the table scrolls"


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
@pytest.mark.parametrize("size", [(1400, 900), (500, 900)], ids=["desk", "phone"])
def test_a_browser_shows_it(project: Project, tmp_path: Path, size: tuple[int, int]) -> None:
    from PIL import Image

    for row, top1 in (("B-B", 60.0), ("L-L", 70.0), ("B-scratch", 50.0)):
        project.pretend(project.plan.evaluate(row, "cls", 0), top1=top1, curve=True)
    dense = project.plan.evaluate("B-B", "det", 0)
    for needed in dense.inputs.values():
        project.pretend(needed)
    dense.folder.mkdir(parents=True)
    Image.new("RGB", (300, 200), "teal").save(dense.folder / GALLERY)
    project.write(dense, {"box_ap": 31.0, "mask_ap": 25.0}, "cpu", 0.25, curve=False)

    compared = project.plan.compare("B-B", "B-L")
    for needed in compared.inputs.values():
        if not needed.receipt.exists():
            project.pretend(needed)
    shades = compared.folder / SIMILARITY[-1]
    shades.parent.mkdir(parents=True)
    Image.new("RGB", (640, 480), "teal").save(shades)  # as wide as such pictures are drawn
    project.write(compared, {"cka_last_layer": 0.5}, "cpu", 0.1, curve=False, artifacts={shades.name: artifact_of(shades)})

    found, console = look(tmp_path, render(project.plan), size)
    assert console == ""
    assert {"grid-published", "grid-det", "grid-ran", "grid-gaps"} <= {name for name, _ in found["tables"]}
    assert all(seen for _, seen in found["tables"])
    assert found["pictures"] == [[True, True]] * 5  # a gallery, shades, and the method of three rows
    assert found["drawings"]
    assert found["broken"] == []
    measured = [value for value in found["up"] if value]
    assert measured == sorted(measured, key=float)
    assert [value for value in found["down"] if value] == measured[::-1]
    assert found["overflow"] <= 0, "the page itself scrolls sideways"
    assert found["requests"] == []
