"""Random ground truth and detections for the tests of the evaluator."""

from __future__ import annotations


def box(draw, side=None):
    side = side or draw.choice((8, 20, 32, 40, 96, 120))
    height = 1024 / side if draw.random() < 0.2 else draw.choice((8, 20, 32, 64, 100))
    return [draw.uniform(0, 300), draw.uniform(0, 300), float(side), float(height)]


def jitter(draw, values, amount):
    return [number + draw.uniform(-amount, amount) * max(values[2:]) for number in values[:2]] + [
        side * draw.uniform(1 - amount, 1 + amount) for side in values[2:]
    ]


def random_case(draw):
    """A random set with ties, crowds, empty images, empty classes, areas of exactly 1024, crowded images."""
    classes = draw.randint(1, 4)
    images = [{"id": n, "width": 640, "height": 480, "file_name": f"{n}.png"} for n in range(1, draw.randint(2, 8))]
    truth, detections = [], []
    for image in images[: -1 if draw.random() < 0.5 else None]:
        for _ in range(draw.choice((0, 1, 5, 12))):
            place = box(draw)
            crowd = int(draw.random() < 0.1)
            category = draw.randint(1, classes)
            area = place[2] * place[3] * (draw.uniform(0.5, 1) if draw.random() < 0.2 else 1)
            truth.append({"id": len(truth) + 1, "image_id": image["id"], "category_id": category, "bbox": place,
                          "area": area, "iscrowd": crowd})  # fmt: skip
            for _ in range(draw.choice((0, 1, 1, 3))):
                detections.append(detection(draw, image, category, jitter(draw, place, draw.choice((0, 0.05, 0.3)))))
        for _ in range(draw.choice((0, 2, 150)) if draw.random() < 0.3 else 2):
            detections.append(detection(draw, image, draw.randint(1, classes + 1), box(draw)))
    categories = [{"id": n, "name": f"class {n}"} for n in range(1, classes + 2)]
    draw.shuffle(detections)
    return {"images": images, "annotations": truth, "categories": categories}, detections


def detection(draw, image, category, place):
    score = draw.choice((0.1, 0.5, 0.5, 0.9, draw.random()))
    return {"image_id": image["id"], "category_id": category, "bbox": place, "score": score}
