from .paper.cite import bibtex as bibtex
from .paper.methods import Methods as Methods, methods as methods, methods_text as methods_text
