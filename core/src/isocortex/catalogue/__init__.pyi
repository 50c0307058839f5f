from .rows import Catalogue as Catalogue, Row as Row
