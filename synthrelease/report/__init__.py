"""Report: results and facts in; HTML, card, JSON and figures out. Judges nothing."""
