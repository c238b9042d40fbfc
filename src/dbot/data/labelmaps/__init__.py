"""Images with label maps, as segmentation reads them."""
