"""The default generator: a row column by column, against a critic."""
