"""The whole of params.yaml, with what it includes, as one typed model."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from dbot.base.errors import UserError
from dbot.base.files import filled_in
from dbot.params.datasets import Dataset, titled
from dbot.params.dense import Recipes
from dbot.params.probes import Analysis, FewShot, LinearSegmentation, Probes, Shift, Transfer
from dbot.params.rows import COLUMNS, Column, Row
from dbot.params.scales import Build, ExecutionSettings, Hardware, Normalisation, Resources, Scale, Signatures, Tolerance, Uses
from dbot.params.section import Section
from dbot.params.source import KeyPath, Origin, Tree, dotted, read_yaml, shown
from dbot.params.sweeps import Sweep
from dbot.params.teachers import Architecture, Released, Teacher


class Params(Section):
    """params.yaml: what is to be computed, at every scale."""

    version: Literal[1]
    """Version of this file's format."""
    include: list[str] = Field(default_factory=list)
    """Files that hold more of it, relative to this one. They may share a section, and nothing in it; none includes another."""
    scale: str
    """The scale that a bare command builds."""
    build: Build
    """What a bare `snakemake` builds."""
    uses: Uses
    """Which data set serves which purpose."""
    signatures: Signatures = Field(default_factory=Signatures)
    """Who vouches for results."""
    tolerance: Tolerance
    """When a published number counts as reproduced."""
    normalisation: Normalisation
    """Pixel statistics."""
    datasets: Annotated[dict[str, Dataset], BeforeValidator(titled)]
    """Data sets by name."""
    architectures: dict[str, Architecture]
    """Networks by name."""
    teachers: dict[str, Teacher]
    """First teachers by name."""
    released: Released
    """Weights that others released."""
    recipes: Recipes
    """How things are trained."""
    probes: Probes
    """How frozen features are probed."""
    few_shot: FewShot
    """How frozen features are probed with a few images of each class."""
    linear_segmentation: LinearSegmentation
    """How a linear layer over frozen patch tokens is trained for segmentation."""
    analysis: Analysis
    """How the insides of frozen networks are measured."""
    transfer: Transfer
    """Which sets students are transferred to."""
    shift: Shift
    """On which sets classifiers are measured beside their own."""
    rows: dict[str, Row]
    """Rows of the table by name, in the table's order; those that sweeps make are added to them."""
    sweeps: dict[str, Sweep] = Field(default_factory=dict)
    """Rows varied, by name; `snakemake sweep_<name>` builds one with its figure."""
    resources: dict[str, dict[str, Resources]]
    """What a job asks for: by rule, then by architecture, `any` for all."""
    execution: ExecutionSettings
    """How jobs run."""
    hardware: Hardware
    """What forecasts reckon with."""
    scales: dict[str, Scale] = Field(min_length=1)
    """Scales by name."""

    @property
    def table_rows(self) -> list[str]:
        """Names of the rows that stand in the table: all but those of sweeps."""
        return [name for name, row in self.rows.items() if row.sweep is None]

    def teacher_of(self, row: Row) -> Teacher:
        """The first teacher of a row that has stages."""
        assert row.teacher is not None, f"{row.title} has no teacher"
        return self.teachers[row.teacher]

    def columns(self, row: str) -> tuple[Column, ...]:
        """The columns that a row has.

        Any row can be fine-tuned for classification. It has a dense column if there is a recipe for
        it, and what it starts from is said: a stage, a released student, another row, or nothing.
        """
        declared = self.rows[row]
        return tuple(column for column in COLUMNS if column == "cls" or column in declared.columns_from or self._is_dense(declared, column))

    def control(self, row: str, column: Column) -> str | None:
        """The row that a cell is compared with: the control of the row whose number it is."""
        return self.rows[self.rows[row].columns_from.get(column, row)].control

    def _is_dense(self, row: Row, column: Column) -> bool:
        if row.recipe not in (self.recipes.detect if column == "det" else self.recipes.segment):
            return False
        if row.released is not None:
            published = row.published is not None and getattr(row.published, column) is not None
            file = self.released.files.get(row.released)
            return published and file is not None and not file.is_classifier
        return row.from_scratch or row.from_teacher is not None or (row.stages is not None and getattr(row.stages, column) is not None)


INCLUDE = "include"
"""The key that lists further files, relative to the one that has it."""


def read_parts(file: Path) -> Tree:
    """Read a file of parameters and those that it includes; the origin of each value names the file that it is in.

    Files may share a section, such as `recipes`, and nothing in it.

    Raises:
        UserError: a file is missing, isn't YAML, includes others though it is included itself, or gives what another gives.
    """
    whole = read_yaml(file)
    for place, part in _included(file, whole):
        if not part.is_file():
            raise UserError(
                f"{place}: there is no file {part}, which {file.name} includes: copy it from the project, or take this line out "
                "if all that it holds is given elsewhere"
            )
        whole = _joined(whole, read_yaml(part))
    return whole


def _included(file: Path, whole: Tree) -> list[tuple[str, Path]]:
    """By the place where it is named, every file that is included."""
    names = whole.data.get(INCLUDE, [])
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise UserError(f"{whole.origins[INCLUDE,].place}: {INCLUDE} is {shown(names)}: must be a list of files, relative to {file}")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UserError(f"{whole.origins[INCLUDE, i].place}: {dotted((INCLUDE, i))} is {name!r}: stands there twice; name it once")
    return [(whole.origins[INCLUDE, i].place, file.parent / filled_in(name)) for i, name in enumerate(names)]


def _joined(whole: Tree, part: Tree) -> Tree:
    """One document of two, each with sections of its own or its own part of a section."""
    if INCLUDE in part.data:
        raise UserError(f"{part.origins[INCLUDE,].place}: a file that is included can't include others; name them where this one is named")
    data: dict[str, Any] = dict(whole.data)
    twice: list[KeyPath] = []
    for key, section in part.data.items():
        other = data.get(key)
        if key not in data:
            data[key] = section
        elif isinstance(section, dict) and isinstance(other, dict):
            twice += [(key, name) for name in section if name in other]
            data[key] = {**other, **section}
        else:
            twice.append((key,))
    if twice:
        raise UserError(*(f"{part.origins[path].place}: {dotted(path)} {_stands_at(whole.origins[path])}" for path in twice))
    return Tree(data, {**part.origins, **whole.origins})


def _stands_at(origin: Origin) -> str:
    return f"is given at {origin.place} too; keep one of them"
