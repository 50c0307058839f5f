from .cite import bibtex as bibtex
from .methods import Methods as Methods, methods_text as methods_text
