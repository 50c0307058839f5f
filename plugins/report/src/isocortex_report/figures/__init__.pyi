from .figure import Figure as Figure
from .kinds import KINDS as KINDS, Kind as Kind, figures_of as figures_of
from .material import Material as Material
