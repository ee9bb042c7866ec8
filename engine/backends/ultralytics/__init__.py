"""The adapter to Ultralytics (YOLO and RT-DETR). AGPL-3.0: an extra that users install themselves."""
