"""The base of every typed section of params.yaml."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping in params.yaml: unknown keys are errors, types are not coerced, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, allow_inf_nan=False)
