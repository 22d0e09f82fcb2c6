"""Training in native code: what `fit(..., compiled=True)` runs.

An epoch (rows of each batch, forward pass, loss, gradients, accuracy, penalty, clipping, the
optimizer's update) runs on contiguous arrays of doubles; the parameters' Values and the
optimizer's state are brought up to date at the end of each epoch.
"""
