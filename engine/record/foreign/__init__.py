"""Records that somebody else wrote: find their placeholders and fill them from an experiment."""

from detui.engine.record.foreign.choices import choose
from detui.engine.record.foreign.document import Filled, fill_file
from detui.engine.record.foreign.filling import Entry, Filling, Options, fill_text

__all__ = ["Entry", "Filled", "Filling", "Options", "choose", "fill_file", "fill_text"]
