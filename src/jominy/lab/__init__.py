"""Language models made to order: small real transformers whose abilities are known, for studies and tests.

build(LabSpec(tasks=("arithmetic:digits=1",), pass_rate=0.5))       -> a transformers folder, trained once and cached
half_able("arithmetic")                                             -> the model that `--model lab` means
"""

from jominy.lab.building import build, half_able
from jominy.lab.spec import LabSpec

__all__ = ["LabSpec", "build", "half_able"]
