"""Cascade Mask R-CNN on torchvision's parts, in float32 but for the backbone."""
