"""Rows that start from published files, from the files to the table: whole ones are measured, a bad one stops its row alone."""

import csv
from pathlib import Path

import pytest

from dbot.lineage import receipt as receipts
from dbot.params.load import load
from dbot.plan import Plan
from tests.conftest import PROJECT
from tests.e2e.project import Copy

SCALE = "released-demo"
REMOVED, CUT, SWAPPED = "85.7_clip_base_finetune.pth", "88.0_dbot_huge_448_finetune.pth", "84.6_dbot_large_base_finetune.pth"
ANOTHER = "86.6_dbot_large_finetune.pth"


def table(copy: Copy) -> dict[str, dict[str, str]]:
    """The table's lines by row."""
    copy.run("dbot", "table", "--scale", SCALE)
    with (copy.folder / "results" / SCALE / "table.csv").open() as stream:
        return {line["row"]: line for line in csv.DictReader(stream)}


@pytest.mark.slow
def test_a_bad_file_stops_its_row_and_the_others_go_on(tmp_path: Path) -> None:
    copy = Copy.made(tmp_path / "project")
    every = load(PROJECT / "params.yaml", SCALE).params.build.rows
    copy.change({"build": {"rows": every}, "execution": {"mlflow": False}})
    copy.run("dbot", "imitate", "--scale", SCALE, "--output", "data/imitated")
    made = copy.folder / "data/imitated"
    whole = {name: (made / name).read_bytes() for name in (REMOVED, CUT, SWAPPED, ANOTHER)}
    (made / REMOVED).unlink()
    (made / CUT).write_bytes(whole[CUT][:-1000])
    (made / SWAPPED).write_bytes(whole[ANOTHER])

    column = ("snakemake", "--nocolor", "--cores", "2", "--config", f"scale={SCALE}", "--", "column_cls")
    done = copy.run(*column, status=1)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("fetch/") and " failed: " in line]
    for line, (row, why) in zip(
        sorted(said),
        {
            "B-CLIP": f"{REMOVED}: is neither in data/imitated nor in data/released, and released.download is false",
            "B-L": f"data/imitated/{SWAPPED}: has width 64, where ViT-B (demo) has 48",
            "H448-H": f"data/imitated/{CUT}: is cut off after {len(whole[CUT]) - 1000} bytes; fetch it again",
        }.items(),
        strict=True,
    ):
        assert line.startswith(f"fetch/{row}-finetuned failed: dbot fetch: row {row} stops here: {why}")

    plan = Plan(load(copy.folder / "params.yaml", SCALE))
    lines = table(copy)
    measured = [row for row, line in lines.items() if line["cls_measured"]]
    assert len(lines) == 11
    assert set(lines) - set(measured) == {"B-CLIP", "B-L", "H448-H"}
    assert {lines[row]["cls_status"] for row in measured} == {"measured from released weights"}
    assert {lines[row]["cls_images"] for row in measured} == {"30"}
    assert all(lines[row]["cls_reproduced"] == lines[row]["cls_difference"] == "" for row in measured), "on other data than published"

    for name, content in whole.items():
        (made / name).write_bytes(content)
    copy.run(*column)
    assert all(line["cls_measured"] for line in table(copy).values())
    for job in plan.jobs(plan.cells()):
        found = receipts.read(copy.folder / job.receipt)
        if job.verb == "fetch":
            assert found.results["trusted"] == "on first use"
            assert (copy.folder / job.folder / "first-use.json").is_file()
    copy.run("dbot", "report", "--scale", SCALE)
    # What stands beside the table is measured of both files of a row.
    copy.run(
        "snakemake",
        "--nocolor",
        "--cores",
        "2",
        "--config",
        f"scale={SCALE}",
        "--",
        *(str(plan.job(kind, "B-CLIP", stage).receipt) for kind in ("probe", "analyse") for stage in (1, 2)),
    )
