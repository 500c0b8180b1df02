"""The report of a study, as a page and as Markdown."""
