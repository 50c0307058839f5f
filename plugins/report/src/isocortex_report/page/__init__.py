"""The page: results as one self-contained HTML file, with every figure, table and citation in a folder beside it."""
