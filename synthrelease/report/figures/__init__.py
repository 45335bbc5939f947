"""Figures as SVG, with small counts masked."""
