"""Models as files that need no Graft: `.skops` and ONNX. Run in a child of the API's, which computes nothing itself.

plain.py       a Model → an equal scikit-learn Pipeline, or NotConvertible with the reason
samples.py     rows that look like the training rows, and their odd cells
agreement.py   do the two say the same of them?
files.py       the file of a format, once they do
__main__.py    the child: verified bytes in, a file or a reason out
"""
