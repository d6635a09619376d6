"""A model as a scikit-learn Pipeline that predicts the same and needs no Graft.

    input     (rows, columns of `schema.inputs`, in that order): float64, or object where there are texts;
              NaN or None is a missing cell, booleans are 0 and 1
    Pipeline  columns (ColumnTransformer: imputing, scaling, one-hot) → estimator

    Network, linear                LogisticRegression, LinearRegression
    Network, hidden layers         MLPClassifier, MLPRegressor
    Network behind a Nyström map   Nystroem, then a linear one
    forest, boosting               itself, with the labels for codes
    Blend                          VotingClassifier, VotingRegressor of such pipelines

Nothing is fitted: the attributes that `fit` would set are set. `<other>` (texts beyond the encoder's cap) has no
counterpart; where the features meet weights it is 1 minus the others and goes into them, trees and kernels cannot be
converted then. Dates have no transformer without code of ours, a Stack none at all.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    LabelBinarizer,
    LabelEncoder,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
)

from shared.errors import InvalidInput
from shared.modeling import Blend, Encoder, Model, Network
from shared.modeling.encoder import BooleanColumn, CategoryColumn, NumericColumn, TimeColumn

Weights = npt.NDArray[np.float64]


class NotConvertible(InvalidInput):
    """There is no plain estimator that says the same."""

    default_code = "not_convertible"


def plain(model: Model) -> Any:
    """The Pipeline. Raises NotConvertible with the reason."""
    names = [item.name for item in model.encoder.columns]
    return _pipeline(model, names, 1.0)


def _pipeline(model: Model, names: Sequence[str], sharper: float) -> Any:
    if isinstance(model.estimator, Blend):
        return _voting(model, names)
    if not isinstance(model.estimator, Network) and not hasattr(model.estimator, "predict"):
        raise NotConvertible("a stack of a linear head on another model has no plain counterpart")
    columns = _Columns(model.encoder, names)
    if isinstance(model.estimator, Network):
        steps = _network(model, model.estimator, columns, sharper)
    elif not columns.are_the_encoders:
        raise NotConvertible(_out_of_order(model.encoder))
    elif sharper != 1.0:
        raise NotConvertible("trees whose probabilities are sharpened have no plain counterpart")
    else:
        # Boosting compares float64, and was fitted on float32: without the cast a value at a threshold changes sides.
        cast = FunctionTransformer(np.float32).fit(np.zeros((1, len(columns.features))))
        steps = [("float32", cast)] if type(model.estimator).__name__.startswith("Hist") else []
        steps.append(("estimator", _trees(model)))
    return Pipeline([("columns", columns.transformer), *steps])


class _Columns:
    """The encoder as a ColumnTransformer, in the encoder's order unless rows are brought to unit length.

    The output lacks `<other>`; where an encoder has one the output has `<missing>` in any case.
    """

    def __init__(self, encoder: Encoder, names: Sequence[str]) -> None:
        if any(isinstance(item, TimeColumn) for item in encoder.columns):
            raise NotConvertible("columns of dates and times have no plain counterpart")
        place = {name: position for position, name in enumerate(names)}
        blocks: list[tuple[str, Any, list[int]]] = []
        self.features: list[str] = []
        for items in _runs(encoder):
            places = [place[item.name] for item in items]
            blocks.append((f"columns_{places[0]}", _block(encoder, items), places))
            self.features += [name for item in items for name in _features(item)]
        self.transformer = _transformer(blocks, len(names))
        self._encoded = encoder.feature_names()
        self._others = [item for item in encoder.columns if isinstance(item, CategoryColumn) and item.other]

    @property
    def are_the_encoders(self) -> bool:
        """Whether they are the same features in the same order."""
        return self.features == self._encoded

    def folded(self, weights: Weights, bias: Weights) -> tuple[Weights, Weights]:
        """(features, outputs) and (outputs,) for the encoder's features → for the pipeline's."""
        at = {name: position for position, name in enumerate(self._encoded)}
        nothing = np.zeros(weights.shape[1])
        out = np.stack([weights[at[name]] if name in at else nothing for name in self.features])
        for item in self._others:
            other = weights[at[f"{item.name}=<other>"]]
            bias = bias + other
            out[[self.features.index(name) for name in _features(item)]] -= other
        return out, bias


def _runs(encoder: Encoder) -> Iterator[list[Any]]:
    """Columns that one transformer can take: neighbours that are numbers; all numbers where lengths are 1."""
    if encoder.numeric == "normalize":
        numbers = [item for item in encoder.columns if isinstance(item, NumericColumn)]
        yield from [numbers] if numbers else []
        yield from ([item] for item in encoder.columns if not isinstance(item, NumericColumn))
        return
    for is_number, run in groupby(encoder.columns, lambda item: isinstance(item, NumericColumn)):
        items = list(run)
        yield from [items] if is_number else ([item] for item in items)


def _features(item: Any) -> list[str]:
    """The pipeline's features of a column, in order."""
    if not isinstance(item, CategoryColumn):
        return list(item.feature_names())
    found = [f"{item.name}={word}" for word in item.categories]
    return found + ([f"{item.name}=<missing>"] if item.missing or item.other else [])


def _block(encoder: Encoder, items: Sequence[Any]) -> Any:
    first = items[0]
    if isinstance(first, NumericColumn):
        return _numeric(encoder, items)
    if isinstance(first, BooleanColumn):
        return _imputer([first.share])
    return _one_hot([*first.categories, *([None] if first.missing or first.other else [])])


def _numeric(encoder: Encoder, items: Sequence[NumericColumn]) -> Any:
    steps: list[tuple[str, Any]] = [("impute", _imputer([item.mean for item in items]))]
    offsets, scales = np.array([item.offset_and_scale(encoder.numeric) for item in items], np.float64).T
    if encoder.numeric == "standardize":
        steps.append(("scale", _standard(offsets, scales)))
    elif encoder.numeric == "minmax":
        scaler = MinMaxScaler()
        scaler.scale_, scaler.min_ = 1 / scales, -offsets / scales
        scaler.data_min_, scaler.data_range_ = offsets, scales
        scaler.data_max_, scaler.n_features_in_, scaler.n_samples_seen_ = (
            offsets + scales,
            len(items),
            encoder.rows,
        )
        steps.append(("scale", scaler))
    elif encoder.numeric == "normalize":
        steps.append(("scale", Normalizer()))
    return Pipeline(steps)


def _standard(mean: Any, scale: Any) -> StandardScaler:
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = np.atleast_1d(mean).astype(float), np.atleast_1d(scale).astype(float)
    scaler.var_, scaler.n_features_in_ = scaler.scale_**2, len(scaler.mean_)
    scaler.n_samples_seen_ = 1
    return scaler


def _imputer(values: Sequence[float]) -> SimpleImputer:
    """`fit` on one row of the values: their means are they."""
    return SimpleImputer(keep_empty_features=True).fit(np.array([values], np.float64))


def _one_hot(categories: Sequence[Any]) -> OneHotEncoder:
    words = np.array(list(categories), object)
    encoder = OneHotEncoder(categories=[words], handle_unknown="ignore", sparse_output=False)
    return encoder.fit(words[:, None])


def _transformer(blocks: Sequence[tuple[str, Any, list[int]]], inputs: int) -> ColumnTransformer:
    """As `fit` would leave it, with the parts as they are."""
    made = ColumnTransformer(list(blocks), sparse_threshold=0.0)
    example: Any = np.zeros((1, inputs), object)
    for _, part, places in blocks:
        if isinstance(part, OneHotEncoder):
            example[0, places] = part.categories_[0][:1]
    made.fit(example)
    fitted = {name: part for name, part, _ in blocks}
    made.transformers_ = [
        (name, fitted.get(name, part) if fitted.get(name) != "passthrough" else part, places)
        for name, part, places in made.transformers_
    ]
    return made


def _network(model: Model, network: Network, columns: _Columns, sharper: float) -> list[tuple[str, Any]]:
    layers = [*network.layers, network.head]
    pairs = [(layer.weights.astype(np.float64), layer.bias.astype(np.float64)) for layer in layers]
    pairs[-1] = _last(model, *pairs[-1], sharper)
    if network.feature_map is not None:
        if not columns.are_the_encoders:
            raise NotConvertible(_out_of_order(model.encoder))
        if network.layers:
            raise NotConvertible("a kernel before hidden layers has no plain counterpart")
        return [("kernel", _kernel(network.feature_map)), ("estimator", _linear(model, *pairs[-1]))]
    pairs[0] = columns.folded(*pairs[0])
    return [("estimator", _deep(model, pairs) if network.layers else _linear(model, *pairs[0]))]


def _last(model: Model, weights: Weights, bias: Weights, sharper: float) -> tuple[Weights, Weights]:
    """The head with what the model does to its outputs; of two classes one output, their difference."""
    if model.task == "regression":
        return weights[:, :1] * model.target_scale, bias[:1] * model.target_scale + model.target_mean
    weights, bias = weights * model.sharpness * sharper, bias * model.sharpness * sharper
    if len(model.classes) == 2:
        return weights[:, 1:] - weights[:, :1], bias[1:] - bias[:1]
    return weights, bias


def _linear(model: Model, weights: Weights, bias: Weights) -> Any:
    if model.task == "regression":
        line = LinearRegression()
        line.coef_, line.intercept_, line.n_features_in_ = weights[:, 0].copy(), float(bias[0]), len(weights)
        return line
    made = LogisticRegression()
    made.coef_, made.intercept_, made.classes_ = weights.T.copy(), bias.copy(), np.array(model.classes)
    made.n_features_in_, made.n_iter_ = len(weights), np.array([1], np.int32)
    return made


def _deep(model: Model, pairs: Sequence[tuple[Weights, Weights]]) -> Any:
    sizes = tuple(len(bias) for _, bias in pairs[:-1])
    classification = model.task == "classification"
    made = (MLPClassifier if classification else MLPRegressor)(hidden_layer_sizes=sizes, activation="relu")
    made.coefs_, made.intercepts_ = [weights for weights, _ in pairs], [bias for _, bias in pairs]
    made.n_layers_, made.n_outputs_ = len(pairs) + 1, len(pairs[-1][1])
    made.n_features_in_, made.n_iter_, made.t_ = len(pairs[0][0]), 1, 1
    made.out_activation_ = "identity"
    if classification:
        made.out_activation_ = "logistic" if len(model.classes) == 2 else "softmax"
        made.classes_ = np.array(model.classes)
        made._label_binarizer = LabelBinarizer().fit(made.classes_)
    return made


def _kernel(found: Any) -> Nystroem:
    made = Nystroem(kernel="rbf", gamma=float(found.gamma), n_components=len(found.landmarks))
    made.components_ = found.landmarks.astype(np.float64)
    made.normalization_ = found.normalization.astype(np.float64).T  # scikit-learn multiplies by its transpose
    made.component_indices_, made.n_features_in_ = np.arange(len(found.landmarks)), found.landmarks.shape[1]
    return made


def _trees(model: Model) -> Any:
    made = copy.copy(model.estimator)
    if model.task == "classification":
        codes = np.asarray(made.classes_, np.int64)
        if type(made).__name__.startswith("Dummy"):
            raise NotConvertible("the model has seen one class only")
        made.classes_ = np.array(model.classes)[codes]
        return made
    wrapped = TransformedTargetRegressor(
        regressor=made, transformer=_standard(model.target_mean, model.target_scale), check_inverse=False
    )
    wrapped.regressor_, wrapped._training_dim = made, 1
    wrapped.transformer_ = wrapped.transformer
    return wrapped


def _voting(model: Model, names: Sequence[str]) -> Any:
    members, weights = model.estimator.members, [member.weight for member in model.estimator.members]
    for member in members:
        if model.task == "classification" and member.places != tuple(range(len(model.classes))):
            raise NotConvertible("a blend whose members know different labels has no plain counterpart")
        if missing := {item.name for item in member.model.encoder.columns} - set(names):
            raise NotConvertible(
                f"a member of the blend needs columns of its own: {', '.join(sorted(missing))}"
            )
    parts = [(f"member{n}", _pipeline(item.model, names, item.sharpness)) for n, item in enumerate(members)]
    if model.task == "regression":
        made: Any = VotingRegressor(parts, weights=weights)
    else:
        made = VotingClassifier(parts, voting="soft", weights=weights)
        made.le_ = LabelEncoder().fit(np.array(model.classes))
        if list(made.le_.classes_) != list(model.classes):
            raise NotConvertible(
                "a blend whose labels are not in their natural order has no plain counterpart"
            )
        made.classes_ = made.le_.classes_
    made.estimators_ = [part for _, part in parts]
    return made


def _out_of_order(encoder: Encoder) -> str:
    names = [item.name for item in encoder.columns if isinstance(item, CategoryColumn) and item.other]
    if names:
        return (
            f"columns with more categories than were kept have no plain counterpart here: {', '.join(names)}"
        )
    return "rows of unit length with texts or truth values between the numbers have no plain counterpart here"
