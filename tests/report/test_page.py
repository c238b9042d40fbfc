"""The page: self-contained, escaped, its links leading somewhere, and honest about what is missing."""

import html.parser
import re
from pathlib import Path

import pytest

from dbot.base import durations
from dbot.cli import main
from dbot.forecast.forecast import forecast
from dbot.jobs.distill import METHOD
from dbot.report.page import figure, render
from tests.fabricated import Project

VOID = {"meta", "br", "line", "circle", "polyline", "link", "img", "input"}


class Reader(html.parser.HTMLParser):
    """Reads a page strictly: every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        self.links += [str(given["href"])] if tag == "a" else []
        self.loads += [str(given[key]) for key in ("src", "srcset", "data", "action") if key in given]
        if tag == "link":
            self.loads.append(str(given.get("href")))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A drawing's own elements; nothing to do."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_an_empty_project_has_a_page(project: Project) -> None:
    text = read(render(project.plan)).text
    assert "Nothing has been trained at this scale yet." in text
    assert "There are no receipts yet." in text
    assert "0 of 8 asked for" in text


@pytest.fixture
def ran(project: Project) -> Project:
    """Some rows measured, one of them stale by now, one broken."""
    for row, value in {"B-B": 60.0, "B-scratch": 47.7, "L-L": 55.0, "H-H": 50.0}.items():
        project.pretend(project.plan.evaluate(row, "cls", 0), top1=value, curve=True)
    broken = project.plan.evaluate("H-H", "cls", 0).receipt
    broken.write_text(broken.read_text().replace("50.0", "99.0"))
    return project.reload(("asymmetric-L: {epochs: 20", "asymmetric-L: {epochs: 21"))


def test_it_needs_nothing_from_elsewhere(ran: Project) -> None:
    page = render(ran.plan)
    reader = read(page)
    assert all(address.startswith("data:image/png;base64,") for address in reader.loads)
    assert not re.search(r"@import|url\(", page)
    assert not re.search(r"https?://", page)


def test_its_links_lead_somewhere_and_its_ids_are_single(ran: Project) -> None:
    reader = read(render(ran.plan))
    assert len(reader.links) > 20
    assert all(link.startswith("#") and link[1:] in reader.ids for link in reader.links)
    assert len(set(reader.ids)) == len(reader.ids)


def test_it_says_what_it_shows(ran: Project) -> None:
    text = read(render(ran.plan)).text
    assert "2 of 8 asked for" in text
    assert "say nothing about ImageNet" in text
    assert "B-B beats the same fine-tuning from random weights (B-scratch) by 12.3 points." in text
    assert "digits on photographs · licence: digits CC BY 4.0" in text
    assert "train images 3 000" in text
    assert "recipe.epochs was 20, is now 21" in text
    assert "was changed after it was written (its id doesn't match)" in text
    assert "workbench" in text


def test_broken_numbers_are_nowhere(ran: Project) -> None:
    assert "99.0" not in read(render(ran.plan)).text


def test_every_job_with_a_receipt_is_listed(ran: Project) -> None:
    ids = read(render(ran.plan)).ids
    for job in ran.plan.jobs([ran.plan.evaluate("B-B", "cls", 0)]):
        assert f"job-{job.name.replace('/', '-')}" in ids


def test_what_a_job_took_stands_beside_its_forecast(ran: Project) -> None:
    known = "      title: CPU\n      peak_tflops: {bf16: 0.05, fp16: 0.05, fp32: 0.05}\n      share: {any: 0.5}\n"
    plan = ran.reload(("      title: CPU\n", known)).plan
    job = forecast(plan, [plan.distill("B-B", 1)]).jobs[-1]
    line = render(plan).partition('<tr id="job-distill-B-B-stage1">')[2].partition("</tr>")[0]
    assert job.forecast is not None
    assert [durations.exact(job.execution.seconds), durations.exact(job.forecast)] == re.findall(
        r'<td class="right" data-value="[\d.]+">(.+ .+)</td>', line
    )


def test_curves_are_drawn_over_all_stages_and_beside_the_control(ran: Project) -> None:
    page = render(ran.plan)
    for title in ("Distillation: loss", "Fine-tuning: loss", "Fine-tuning: top-1 in %"):
        assert f"{title}: B-B" in page
    assert "Distillation: loss: B-B stage 1 from 0.5 to 0.2 over 4 epochs; B-B stage 2 from 0.5 to 0.2 over 4 epochs" in page
    assert "Fine-tuning: loss: B-B from 0.5 to 0.2 over 4 epochs; B-scratch from 0.5 to 0.2 over 4 epochs" in page
    assert "B-B stage 3 from" not in page


def test_curves_that_are_not_those_on_the_receipt_are_not_drawn(ran: Project) -> None:
    path = ran.plan.distill("B-B", 1).folder / "metrics.csv"
    path.write_text("epoch,loss\n1,0.001\n")
    page = render(ran.plan)
    assert "B-B stage 1 from" not in page
    assert f"{path}: is not the file on its receipt" in read(page).text


def test_the_figure_says_in_words_what_it_shows(ran: Project) -> None:
    page = render(ran.plan)
    assert (
        "measured against control: B-B 60.0, control B-scratch 47.7, published 84.5; B-L not run, control B-scratch 47.7, published 84.6"
        in page
    )
    assert page.index('id="overview"') < page.index("What these numbers are") < page.index('id="grid-published"')


def test_what_has_not_run_says_which_command_runs_it(ran: Project) -> None:
    reader = read(render(ran.plan))
    command = "snakemake --cores all --config scale=demo --"
    assert f"{command} results/demo/evaluate/B-L/cls/seed0/receipt.json" in reader.text
    assert f"{command} probes" in reader.text
    assert f"{command} sweep_teachers runs what is missing" in reader.text
    assert "gap-B-L-cls" in reader.ids
    assert "gap-B-B-cls" not in reader.ids


def test_a_picture_of_the_method_is_shown_for_the_last_stage_that_left_one(ran: Project) -> None:
    page = render(ran.plan)
    assert "Row B-B, stage 2, one image" in page
    assert "Row B-B, stage 1, one image" not in page
    path = ran.plan.distill("B-B", 2).folder / METHOD
    path.write_bytes(path.read_bytes() + b"more")
    assert "Row B-B, stage 2, one image" not in render(ran.plan)


def test_names_are_escaped(ran: Project) -> None:
    evil = "</script><img src=x onerror=alert(1)>'\\\"&"
    row = "\n    architecture: B\n    recipe: symmetric-B\n"
    ran.reload((f"title: CLIP-B/16{row}", f'title: "{evil}"{row}'), ("title: digits on photographs", f'title: "{evil}"'))
    reader = read(render(ran.plan))
    assert all(address.startswith("data:image/png;base64,") for address in reader.loads)
    assert "</script><img src=x onerror=alert(1)>'\"&" in reader.text


def test_the_same_receipts_give_the_same_page(ran: Project) -> None:
    assert render(ran.plan) == render(ran.plan)


def test_the_verbs_write_where_they_say(ran: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table"]) == 0
    assert main(["report", "--output", "elsewhere/page.html"]) == 0
    said = capsys.readouterr().out
    for name in ("results/demo/table.csv", "results/demo/table.md", "elsewhere/page.html"):
        assert name in said
        assert Path(name).is_file()
    assert "2 of 47 cells measured at scale demo" in said


@pytest.mark.parametrize(
    ("value", "text"), [(1281167, "1\u202f281\u202f167"), (0.123456, "0.1235"), ("ab" * 32, "abababababab"), ("digits", "digits")]
)
def test_figures(value: float | int | str, text: str) -> None:
    assert figure(value) == text
