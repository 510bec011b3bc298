"""Solving and deciding in what was written: everything that `explain` says of attempts and decisions.

On rollouts, prompts and engines alone; a study may use them without any folder:

    swap             one response written by two policies         bank            a fixed set of attempts, and how likely one accepts them
    columns          rollouts with their tokens and attempts      coefficients    where each objective would put its coefficients on them
    gradients        how far those reach: logits, parameters      exhibits        which responses the page takes apart

On run folders, what was drawn once being kept beside them:

    rollouts         a run folder's rollouts as records again     folders         which two are compared, and which models drew them
    policies         both models, loaded when asked for           cache           what is kept, and under which names
    square           each policy as sampler and as decider        judged_bank     both policies on one bank
    exchange         square and bank, or why there are none       kept_gradients  gradients, made once
    explain          all of it, in one record (`decided`)
"""
