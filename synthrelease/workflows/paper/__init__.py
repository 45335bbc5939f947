"""Tanaka & Aranha, "Data Augmentation Using GANs" (2019, arXiv:1904.09135), reproduced beside the published figures.

``published`` holds what the paper printed, ``input_tables`` its tables, ``trials`` what is measured, ``journal`` how
trials are run and kept, ``comparison`` how they are held against the paper, ``page`` how that is shown.
"""
