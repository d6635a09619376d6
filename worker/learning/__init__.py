"""Fitting, evaluation and transfer: everything that turns labelled rows into a `shared.modeling.Model`.

data.py            task, labels, features of a table
splitting.py       held-out rows and folds
preprocessing.py   fits an Encoder
losses.py, objective.py, optimizers.py     the engine that fits a Network
defaults.py        what `null` parameters stand for
estimators.py      an estimator spec → a fitted Model; networks.py and trees.py do the work
calibration.py     honest probabilities for hinge losses
evaluation.py      metrics; significance.py the gain and its interval
strategies.py      ways to move a source model to a target: heads.py fits them, on rows that encoded.py prepares;
                   restandardizing.py, source_rows.py and class_means.py are what some of them need
tuning.py          one model of all that a strategy allows: selection.py compares, blending.py weighs; report.py tells
shift.py           what differs in the target: domain_classifier.py, feature_shift.py (bins.py, stability.py),
                   label_shift.py
explanation.py     permutation importance of source and fine-tuned model; forgetting.py what was lost of the source
learning_curve.py  how many more labels would pay; power_law.py the curves
sentences.py       what the numbers mean and what to do next (shift_sentences.py, wording.py)
baseline.py        training statistics that drift is measured against
"""
