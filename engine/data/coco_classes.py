"""COCO's 80 detection classes: the id, the name and the group of each, as the annotation files of 2017 state them.

The ids reach from 1 to 90 and have gaps, because they number the 91 kinds of things that were planned. Frameworks
count the 80 classes without gaps, from 0 or from 1: three number spaces for the same names.
"""

from __future__ import annotations

from collections.abc import Mapping

_GROUPS: Mapping[str, str] = {
    "person": "1 person",
    "vehicle": "2 bicycle, 3 car, 4 motorcycle, 5 airplane, 6 bus, 7 train, 8 truck, 9 boat",
    "outdoor": "10 traffic light, 11 fire hydrant, 13 stop sign, 14 parking meter, 15 bench",
    "animal": "16 bird, 17 cat, 18 dog, 19 horse, 20 sheep, 21 cow, 22 elephant, 23 bear, 24 zebra, 25 giraffe",
    "accessory": "27 backpack, 28 umbrella, 31 handbag, 32 tie, 33 suitcase",
    "sports": "34 frisbee, 35 skis, 36 snowboard, 37 sports ball, 38 kite, 39 baseball bat, 40 baseball glove, "
    "41 skateboard, 42 surfboard, 43 tennis racket",
    "kitchen": "44 bottle, 46 wine glass, 47 cup, 48 fork, 49 knife, 50 spoon, 51 bowl",
    "food": "52 banana, 53 apple, 54 sandwich, 55 orange, 56 broccoli, 57 carrot, 58 hot dog, 59 pizza, 60 donut, "
    "61 cake",
    "furniture": "62 chair, 63 couch, 64 potted plant, 65 bed, 67 dining table, 70 toilet",
    "electronic": "72 tv, 73 laptop, 74 mouse, 75 remote, 76 keyboard, 77 cell phone",
    "appliance": "78 microwave, 79 oven, 80 toaster, 81 sink, 82 refrigerator",
    "indoor": "84 book, 85 clock, 86 vase, 87 scissors, 88 teddy bear, 89 hair drier, 90 toothbrush",
}
_ROWS = [(*item.split(" ", 1), group) for group, text in _GROUPS.items() for item in text.split(", ")]

IDS: Mapping[str, int] = {name: int(number) for number, name, _ in _ROWS}
"""The id in COCO's files by name, in the order of the ids."""
NAMES: Mapping[int, str] = {number: name for name, number in IDS.items()}
"""The name by the id in COCO's files."""
GROUPS: Mapping[str, str] = {name: group for _, name, group in _ROWS}
"""The supercategory by name."""
_DENSE: Mapping[str, int] = {name: index for index, name in enumerate(IDS)}

SPACES: Mapping[str, Mapping[str, int]] = {
    "COCO's own ids (1 to 90, with gaps)": IDS,
    "the 80 classes counted from 0": _DENSE,
    "the 80 classes counted from 1": {name: index + 1 for name, index in _DENSE.items()},
}
"""By what a message calls it: the number of each name in that space."""
