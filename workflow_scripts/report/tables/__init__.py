"""The paper's numbers, and tables of results as Markdown and LaTeX."""
