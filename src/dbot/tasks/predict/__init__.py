"""What a trained detector or segmenter finds on a folder of images."""
