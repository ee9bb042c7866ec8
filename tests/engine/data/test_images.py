"""Image files: what is no image, what has another size, and when a hash may be remembered."""

from __future__ import annotations

import os

import pytest

from detui.engine.data.imagefiles import ImageFiles
from detui.engine.errors import DataError


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda p: p.unlink(), "missing_image"),
        (lambda p: p.write_bytes(b""), "broken_image"),
        (lambda p: p.write_text("no image"), "broken_image"),
        (lambda p: p.write_bytes(p.read_bytes()[:40]), "broken_image"),
        (lambda p: (p.unlink(), p.mkdir()), "missing_image"),
    ],
)
def test_damaged_images(make_site, damage, kind):
    site = make_site()
    entry = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}
    site.coco([], images=[entry])
    damage(site.root / "train/a.png")
    with pytest.raises(DataError) as caught:
        site.open()
    message = caught.value.message
    assert "train/a.png: " in message
    assert f"[{kind}]" in message
    site.define(
        format="coco",
        splits={"train": {"annotations": "train.json", "images": "train"}},
        on_problem={kind: "leave_out"},
    )
    assert site.open().splits["train"].images == ()


def test_a_cut_image_is_found_by_decoding(make_site):
    site = make_site()
    site.voc("")
    path = site.root / "JPEGImages/a.jpg"
    path.write_bytes(path.read_bytes()[:-60])
    assert site.kinds() == {}
    assert site.kinds(decode=True) == {"broken_image": "error"}


def test_another_size_than_stated(make_site):
    site = make_site()
    site.voc("", size=(80, 100))
    with pytest.raises(DataError, match=r"a\.jpg: it is 100×80, but Annotations/a\.xml says 80×100"):
        site.open()
    site.voc("", size=(80, 100), on_problem={"size_differs": "keep"})
    image = site.open().splits["train"].images[0]
    assert (image.width, image.height) == (100, 80)


def test_exif_orientation_turns_the_size(make_site):
    from PIL import Image

    site = make_site()
    site.voc("")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 80)).save(site.root / "JPEGImages/a.jpg", exif=exif)
    with pytest.raises(DataError, match=r"it is 80×100, .* EXIF orientation"):
        site.open()


def test_a_file_this_young_is_not_remembered(make_site):
    """It may still change within the grain of its time stamp."""
    site = make_site()
    site.image("a.png")
    files = ImageFiles(site.root, site.cache)
    files.see("a.png")
    files.save()
    assert not list(site.cache.rglob("*.json"))


@pytest.fixture
def settled(monkeypatch):
    """As if every file had been lying here for a while."""
    monkeypatch.setattr("detui.engine.data.imagefiles.SETTLE_NS", -(10**12))


def test_remembered_means_not_read_again(make_site, settled, monkeypatch):
    site = make_site()
    site.image("a.png")
    files = ImageFiles(site.root, site.cache)
    seen = files.see("a.png")
    files.save()
    monkeypatch.setattr("detui.engine.data.imagefiles.look", lambda *a, **k: pytest.fail("read again"))
    assert ImageFiles(site.root, site.cache).see("a.png") == seen


def test_a_changed_file_is_read_again(make_site, settled):
    """Even when its length and its modification time are those of before."""
    site = make_site()
    path = site.image("a.png")
    files = ImageFiles(site.root, site.cache)
    before, status = files.see("a.png"), path.stat()
    files.save()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert ImageFiles(site.root, site.cache).see("a.png").sha256 != before.sha256


def test_a_damaged_cache_is_no_matter(make_site, settled):
    site = make_site()
    site.image("a.png")
    files = ImageFiles(site.root, site.cache)
    seen = files.see("a.png")
    files.save()
    (cache,) = site.cache.rglob("*.json")
    whole = cache.read_text()
    for text in ("", "{", "[]", '{"root": 5}', whole.replace('"a.png": [', '"a.png": [1,'), whole.replace("[", '"x"')):
        cache.write_text(text)
        assert ImageFiles(site.root, site.cache).see("a.png") == seen
