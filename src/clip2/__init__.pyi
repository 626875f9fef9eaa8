# The names of __init__.py for type checkers: there they are resolved on first use.
from clip2.label.box_fit import fit_box as fit_box
from clip2.lift import lift_boxes as lift_boxes
from clip2.pretrain.model import Clip2Model as Clip2Model
from clip2.pretrain.model import load as load
from clip2.runtime.errors import InputError as InputError
from clip2.store.readers import Crops as Crops
from clip2.store.readers import Labels as Labels

__version__: str
__all__ = ["Clip2Model", "Crops", "InputError", "Labels", "__version__", "fit_box", "lift_boxes", "load"]
