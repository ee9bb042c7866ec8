"""One RT-DETR, written once, that two frameworks train: what is compared are the frameworks alone.

Zhao et al., "DETRs Beat YOLOs on Real-time Object Detection", CVPR 2024. Everything random or integer is numpy.
"""
