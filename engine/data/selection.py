"""The part `select` of a COCO definition: the written rule by which a data set is taken out of a larger one.

classes: [chair, couch, bottle, cup]
select:
  objects: {min: 10, max: 100}
  different: {min: 2}
  person: ignore
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from detui.engine.closed import Closed

PERSON = "person"


class Window(Closed):
    """How many there may be; both ends belong to it."""

    min: Annotated[int, Field(ge=0)] | None = None
    max: Annotated[int, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Window:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is larger than max {self.max}: no image has that many.")
        return self

    def holds(self, count: int) -> bool:
        """Whether a count lies in it."""
        return (self.min or 0) <= count and (self.max is None or count <= self.max)


def _own_number(value: dict[str, int]) -> dict[str, int]:
    names: dict[int, str] = {}
    for name, number in value.items():
        if number in names:
            raise ValueError(f"{names[number]} and {name} have the same number {number}.")
        names[number] = name
    return value


class Select(Closed):
    """Annotations of other classes are dropped; images are taken by what is left on them."""

    objects: Window = Window(min=1)
    """Objects of the definition's `classes` an image, counted in the file; crowd regions do not count."""
    different: Window = Window()
    """Different classes among those objects."""
    person: Literal["ignore", "class", "leave_out"] = "ignore"
    """`ignore`: images with persons stay, persons are not annotated. `class`: person is one more class, the last one,
    which does not count in `objects` and `different`. `leave_out`: an image with any person on it is not taken."""
    ids: Annotated[dict[str, Annotated[int, Field(ge=0)]], AfterValidator(_own_number)] = {}
    """The file's number of a class, where the definition states it: a checksum of the names, never a replacement."""
