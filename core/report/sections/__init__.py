"""The sections of a report, one a file: from material to sentences, tables, figures and pictures."""
