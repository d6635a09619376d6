"""What a fitted model is, and how it predicts: imported by the API and the worker alike.

    rows / Arrow batch ──align──▶ columns by name and type ──Encoder──▶ float32 matrix ──estimator──▶
    Prediction

`predictor` is the same path for many rows at a time, with the scaling folded into the network.

Nothing here fits anything (that is `worker.learning`), and importing it needs numpy, pyarrow and joblib only;
scikit-learn is imported by joblib, and only for a model that contains trees.
"""

from shared.modeling.alignment import Alignment, BadCell, align
from shared.modeling.artifact import dump, load
from shared.modeling.composite import Blend, Stack
from shared.modeling.contents import contents
from shared.modeling.encoder import Encoder
from shared.modeling.model import Model, Prediction
from shared.modeling.network import Network
from shared.modeling.predicting import Predictor, predictor
from shared.modeling.rows import rows_to_batch

__all__ = [
    "Alignment",
    "BadCell",
    "Blend",
    "Encoder",
    "Model",
    "Network",
    "Prediction",
    "Predictor",
    "Stack",
    "align",
    "contents",
    "dump",
    "load",
    "predictor",
    "rows_to_batch",
]
