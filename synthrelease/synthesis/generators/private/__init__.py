"""The generators that keep to a budget of differential privacy."""
