"""Images with what is on them and what was found, drawn with Pillow; the same content gives the same bytes."""
