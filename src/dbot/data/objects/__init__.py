"""Objects with boxes and masks: from COCO's annotation files to a detector's targets, and from its detections to COCO's scores."""
