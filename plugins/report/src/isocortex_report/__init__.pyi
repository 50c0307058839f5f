from .inter_subject import inter_subject as inter_subject
from .paper.cite import bibtex as bibtex, cite as cite
from .paper.eval_results import import_eval_results as import_eval_results, write_eval_results as write_eval_results
from .paper.export import export as export
from .paper.methods import Methods as Methods, methods as methods, methods_text as methods_text
from .rank_agreement import agreement as agreement
from .rdms import rdm as rdm
from .stage_tables import stages as stages
