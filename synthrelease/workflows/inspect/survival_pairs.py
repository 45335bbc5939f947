"""A pair of time and event that a draft offers as a planned analysis.

The offer is a comment: what is planned can hold a release back, so a person must choose it and name its covariates.
"""

from __future__ import annotations


def offer(time: str, event: str, *, says_censored: bool) -> list[str]:
    """Return a commented-out Cox regression.

    Args:
        time: the column of the time, spelled as a TOML text.
        event: that of the event.
        says_censored: whether the event's name speaks of censoring, so that 1 may mean that nothing happened.
    """
    lines = [
        "",
        "# These look like a time and its event. Take off the # if a Cox regression is planned, and name covariates:",
        "# [[analyses]]",
        '# name = "survival"',
        '# model = "cox"',
        f"# outcome = {{ time = {time}, event = {event} }}",
        '# covariates = ["...", "..."]',
    ]
    if says_censored:
        lines.append(f"# Check {event}: 1 must mean that the event happened, not that observation ended before it.")
    return lines
