"""Readers of the layouts in which data sets lie on disk.

A reader is a module with the name of its layout and three functions (`Reader` in
`dbot.data.layouts.reader`): what it looks for, whether that is there, and what there is.
"""
