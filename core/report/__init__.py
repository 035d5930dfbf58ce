"""The report: runs, their evaluation results and their data as a document, in HTML and in LaTeX."""
