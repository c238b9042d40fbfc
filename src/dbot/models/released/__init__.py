"""Weights that others released: their files read as data, their tensors renamed to ours, nothing loaded in part."""
