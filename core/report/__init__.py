"""The report: runs, their scorecards and their data as a document, in HTML and in LaTeX."""
