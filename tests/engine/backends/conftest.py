"""Ultralytics patches other libraries when it is imported: what they were is put back for the tests that follow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def pillow_of_its_own() -> Iterator[None]:
    """Pillow's `Image.open`, whose errors the checks of data sets rely on."""
    from PIL import Image

    own = Image.open
    yield
    Image.open = own
