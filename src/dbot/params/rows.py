"""Declarations of the rows of the table."""

from typing import Literal

from pydantic import Field, PositiveInt

from dbot.params.section import Section

Column = Literal["cls", "det", "seg"]
COLUMNS: tuple[Column, ...] = ("cls", "det", "seg")


class Published(Section):
    """Numbers that the paper's authors published for a row. They are shown beside ours and never in their place."""

    cls: float | None = None
    """ImageNet-1K top-1 accuracy, %."""
    det: float | None = None
    """COCO box AP, Cascade Mask R-CNN, 1x schedule, %."""
    seg: float | None = None
    """ADE20K mIoU, UperNet, single scale, %."""
    source: str
    """Where the numbers stand."""


class Stages(Section):
    """After how many stages of distillation each column is measured."""

    cls: PositiveInt
    """Stages before fine-tuning for classification."""
    det: PositiveInt | None = None
    """Stages before detection. Null: the row has no such column."""
    seg: PositiveInt | None = None
    """Stages before segmentation. Null: the row has no such column."""


class Row(Section):
    """A row of the table.

    It starts from exactly one of `teacher`, `released`, `finetuned_from`, `from_teacher` and `from_scratch`. A scale that sets a row to
    null, or an entry of its `columns_from`, is without it.
    """

    title: str
    """How the table names the teacher."""
    architecture: str
    """Name of the student's architecture."""
    recipe: str
    """Name of its recipes, one for each thing that is trained: `recipes.pretrain.<name>`, `recipes.finetune.<name>`.

    They are all of one design, so this key decides whether the student is asymmetric or symmetric.
    """
    teacher: str | None = None
    """Name of the first stage's teacher; needs `stages`."""
    stages: Stages | None = None
    """Number of stages by column; needs `teacher`."""
    released: str | None = None
    """Name of a released file that stands in for training: for the distillation, or for the fine-tuning too if it is fine-tuned."""
    finetuned: str | None = None
    """Name of the fine-tuned file that was released beside `released`: column cls measures it, and trains nothing."""
    finetuned_from: str | None = None
    """Fine-tuning starts from another row's fine-tuned checkpoint."""
    from_scratch: bool = False
    """Fine-tuning starts from random weights: a control."""
    from_teacher: str | None = None
    """Name of a teacher (kind `timm`) that is itself fine-tuned: the row has no stages."""
    chain: str | None = None
    """A row with the same distillation and more stages, whose students this row takes. Null: it trains its own."""
    sweep: str | None = None
    """Name of the sweep that made this row; such rows stand in its figure and not in the table."""
    columns_from: dict[Column, str] = Field(default_factory=dict)
    """By column, another row whose number it is, where the column was published from another pre-training."""
    control: str | None = None
    """Row with the same fine-tuning from random weights, to compare with."""
    published: Published | None = Field(default=None)
    """The published numbers, if the row is one of the published table."""

    @property
    def last_stage(self) -> int:
        """Number of stages of the row's whole chain (0: it has none)."""
        if self.stages is None:
            return 0
        return max(filter(None, (self.stages.cls, self.stages.det, self.stages.seg)))
