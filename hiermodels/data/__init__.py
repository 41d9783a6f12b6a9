"""From a data frame or a file to checked columns, labels, rows and a design."""
