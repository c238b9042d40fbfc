"""Take the pictures of the docs from a finished demo: its report, MLflow's page of it, and the graph of the rules.

    .venv/bin/python docs/programs/pictures.py [--demo FOLDER] [report] [mlflow] [rules]

Needs Chromium on the PATH, and `dbot sync` done in the folder. Look at what it wrote before you commit it.
"""

import argparse
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from browser import Page, browser, free_port
from grandalf.graphs import Edge, Graph, Vertex
from grandalf.layouts import SugiyamaLayout
from grandalf.routing import EdgeViewer
from PIL import Image

PICTURES = Path(__file__).parents[1] / "pictures"
BIN = Path(sys.executable).parent
COLOURS = 64
WAIT_SECONDS = 90.0


def report(page: Page, demo: Path) -> None:
    """The head of the report."""
    page.open((demo / "results/demo/report.html").as_uri(), 960, 1110)
    _write("report", page.picture())


def mlflow(page: Page, demo: Path) -> None:
    """The table as MLflow's view of the rows, and the run of a measurement."""
    with _served(demo) as address:
        # The assistant opens by itself where nobody has closed it yet.
        page.open(address, 800, 600)
        page.evaluate("for (const [name, value] of [['fab.autoOpenedOnFirstLoad_v1', 'true'], ['panelOpen_v1', 'false']])"
                      " localStorage.setItem('mlflow.assistant.' + name, value)")  # fmt: skip
        with sqlite3.connect(demo / "mlflow.db") as database:
            ((experiment,),) = database.execute("select experiment_id from experiments where name = 'dbot/demo'")
            ((run,),) = database.execute("select run_uuid from runs where name = 'B-B evaluate cls seed0'")
        _show(page, f"{address}#/experiments/{experiment}/runs?viewStateShareKey=dbot", "H448-CLIP", 1500, 760)
        _write("mlflow-table", page.picture())
        _show(page, f"{address}#/experiments/{experiment}/runs/{run}", "Parent run\nB-B", 1500, 860)
        _write("mlflow-run", page.picture())


def _show(page: Page, address: str, said: str, width: int, height: int) -> None:
    page.open("about:blank", width, height)
    page.open(address, width, height)
    page.wait(f"document.body.innerText.includes({json.dumps(said)})")
    time.sleep(3)  # what is shown moves for a moment


@contextmanager
def _served(demo: Path) -> Iterator[str]:
    """MLflow's page of the demo's file."""
    port = free_port()
    command = [BIN / "mlflow", "ui", "--backend-store-uri", "sqlite:///mlflow.db", "--port", str(port), "--workers", "1"]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    started = subprocess.Popen(
        command, cwd=demo, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        end = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise SystemExit("mlflow ui does not start") from None
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/"
    finally:
        os.killpg(started.pid, 15)
        started.wait()


def _write(name: str, picture: bytes) -> None:
    """Few colours are enough for a page, and a fifth of the bytes."""
    path = PICTURES / f"{name}.png"
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"wrote {path}, {path.stat().st_size // 1000} kB")


class Box:
    """How large a rule is drawn; the layout sets ``xy``."""

    def __init__(self, name: str) -> None:
        self.w, self.h = 8.2 * len(name) + 24, 30
        self.xy = (0.0, 0.0)


def rules(demo: Path) -> None:
    """The graph of the rules behind the demo's targets, as an SVG."""
    asked = [
        BIN / "snakemake",
        "--rulegraph",
        "dot",
        "--config",
        "scale=demo",
        "--",
        "table",
        "probes",
        "analyses",
        "column_det",
        "column_seg",
    ]
    said = subprocess.run(asked, cwd=demo, capture_output=True, text=True, check=True).stdout
    names = dict(re.findall(r'^\s*(\d+)\[label = "([^"]+)"', said, re.MULTILINE))
    links = [pair for pair in re.findall(r"^\s*(\d+) -> (\d+)", said, re.MULTILINE) if set(pair) <= names.keys()]
    vertices = {number: Vertex(name) for number, name in names.items()}
    for vertex in vertices.values():
        vertex.view = Box(vertex.data)
    edges = [Edge(vertices[one], vertices[other]) for one, other in links]
    for edge in edges:
        edge.view = EdgeViewer()
    for part in Graph(list(vertices.values()), edges).C:
        layout = SugiyamaLayout(part)
        layout.xspace, layout.yspace = 24, 34
        layout.init_all()
        layout.draw(3)
    path = PICTURES / "rules.svg"
    path.write_text(_svg(list(vertices.values()), edges))
    print(f"wrote {path}, {path.stat().st_size // 1000} kB")


def _svg(vertices: list[Any], edges: list[Any]) -> str:
    left = min(v.view.xy[0] - v.view.w / 2 for v in vertices) - 8
    right = max(v.view.xy[0] + v.view.w / 2 for v in vertices) + 8
    top, bottom = min(v.view.xy[1] for v in vertices) - 24, max(v.view.xy[1] for v in vertices) + 24
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:.0f} {top:.0f} {right - left:.0f} {bottom - top:.0f}" '
        f'width="{right - left:.0f}" font-family="ui-monospace, monospace" font-size="13" text-anchor="middle">',
        '<defs><marker id="end" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#8a8fa3"/></marker></defs>',
    ]
    lines += [_line(edge) for edge in edges]
    for vertex in vertices:
        (x, y), w, h = vertex.view.xy, vertex.view.w, vertex.view.h
        lines.append(f'<rect x="{x - w / 2:.1f}" y="{y - h / 2:.1f}" width="{w:.1f}" height="{h}" rx="6" fill="#e8eaf6" stroke="#3f51b5"/>')
        lines.append(f'<text x="{x:.1f}" y="{y + 4.5:.1f}" fill="#1a1c2b">{escape(vertex.data)}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _line(edge: Any) -> str:
    """From the lower side of a rule to the upper side of the next one, through the points that the layout left for it."""
    (one, other), points = edge.v, list(getattr(edge.view, "_pts", ()))[1:-1]
    way = [(one.view.xy[0], one.view.xy[1] + one.view.h / 2), *points, (other.view.xy[0], other.view.xy[1] - other.view.h / 2)]
    drawn = f"M{way[0][0]:.1f} {way[0][1]:.1f}"
    for (_, y), (to_x, to_y), (x, _) in zip(way, way[1:], way, strict=False):
        half = (y + to_y) / 2
        drawn += f" C{x:.1f} {half:.1f} {to_x:.1f} {half:.1f} {to_x:.1f} {to_y:.1f}"
    return f'<path d="{drawn}" fill="none" stroke="#8a8fa3" marker-end="url(#end)"/>'


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path(), help="where `make demo` was run (default: here)")
    parser.add_argument("which", nargs="*", choices=("report", "mlflow", "rules"), help="default: all")
    args = parser.parse_args()
    wanted = args.which or ("report", "mlflow", "rules")
    if "rules" in wanted:
        rules(args.demo.resolve())
    if {"report", "mlflow"} & set(wanted):
        with browser() as shown:
            for take in (report, mlflow):
                if take.__name__ in wanted:
                    take(shown, args.demo.resolve())
