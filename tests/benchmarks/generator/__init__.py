"""The default generator beside its peers: ``make bench-generator DATA=folder`` (see ``__main__``).

Each system fits in an environment and a process of its own (``fit_ours``, ``fit_peer``), every made table is scored by
the same figures (``scores``), and each result is a line of a CSV file (``cells``) from which the page is written
(``page``). Nothing here is a part of the package, and no peer is a dependency of it.
"""
