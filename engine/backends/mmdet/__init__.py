"""MMDetection: Mask R-CNN, fine-tuned and from scratch, in an environment of its own."""
