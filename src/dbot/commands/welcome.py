"""What `dbot` alone says: what to do first, given what is built here today."""

from collections.abc import Iterator
from pathlib import Path

from dbot import __version__
from dbot.base.errors import UserError
from dbot.params.load import DEFAULT_FILE, load
from dbot.plan import RESULTS, Plan

ABOUT = "masked autoencoding with bootstrapped teachers, the published table by one command"
PLAN = "snakemake -n"


def lines(file: Path = DEFAULT_FILE) -> Iterator[str]:
    """About ten lines. A receipt that lies there counts as built; `dbot status` is the judge of whether it still holds."""
    yield f"dbot {__version__}: {ABOUT}"
    yield ""
    try:
        plan = Plan(load(file))
        targets = plan.targets()
    except UserError as error:
        yield "Nothing can be planned here:"
        yield from (f"  {problem}" for problem in error.problems)
    else:
        built = sum(job.receipt.exists() for job in targets)
        begun = built or any(job.receipt.exists() for job in plan.jobs(targets))
        yield _state(plan.scale, built, len(targets), bool(begun))
        yield ""
        steps = list(_steps(plan, built == len(targets), bool(begun)))
        wide = max(len(command) for command, _ in steps)
        yield from (f"  {command:{wide}}   {what}" for command, what in steps)
    yield ""
    yield "`dbot --help` lists the verbs, `dbot VERB --help` says more, `dbot params KEY` explains a key of params.yaml."
    yield "README.md has the way in; docs/ the guides, which `make docs` turns into pages."


def _state(scale: str, built: int, results: int, begun: bool) -> str:
    if built == results:
        return f"All {results} results of scale {scale} are built."
    if begun:
        return f"{built} of {results} results of scale {scale} are built."
    return f"Nothing is built yet of scale {scale}, which has {results} results. First:"


def _steps(plan: Plan, done: bool, begun: bool) -> Iterator[tuple[str, str]]:
    """Three commands, and what they are for."""
    going = "make demo" if plan.scale == "demo" else "snakemake --cores all"
    row = plan.params.build.rows[0] if plan.params.build.rows else "ROW"
    cell = f"{row}/{plan.params.build.columns[0]}" if plan.params.build.columns else row
    if done:
        page = RESULTS / plan.scale / "report.html"
        yield (page.as_posix(), "the page: open it in a browser") if page.exists() else ("dbot report", f"writes the page, {page}")
        yield f"dbot lineage {cell}", "where a number came from, down to the images"
        yield "dbot status", "whether all of it still holds"
    elif begun:
        yield going, "goes on where it was"
        yield "dbot status", "what is built, running, failed, stale"
        yield PLAN, "what would run now, and why"
    else:
        yield going, "all of it on this machine's CPU cores; interrupt it as you like" if plan.scale == "demo" else "all of it"
        yield PLAN, "what would run, and why"
        yield f"dbot params --row {row}", "what a row resolves to, and where each value was written"
