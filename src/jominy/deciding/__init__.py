"""Solving and deciding in what was written: from two folders of rollouts to everything that `explain` says of attempts and decisions.

sides      two folders and a reader of attempts -> the rollouts of both, read            stored   rollouts as records again
credit     recipes on rollouts -> where each would put its coefficients                  reach    how far those reach: logits, parameters
square     two policies -> each as sampler and as decider, drawn and kept                swap     one response written by two
bank       a fixed set of attempts -> how likely each policy is to accept them           keeping  what was drawn is not drawn again
exhibits   which responses the page takes apart                                          explain  all of it, in one record (`decided`)
"""
