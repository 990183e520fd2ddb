"""Simulated cohorts whose truth is known: the demonstration data and the project's test bench.

`cohort.simulate_cohort` draws a complete study to disk: whole-slide images, gene expression, a
clinical table, and the truth behind them. `truth.draw_truth` with `tokens.token_bags` and
`genes.expression` gives the same patients as arrays in memory, without drawing, so that hundreds
of patients cost a second or two.

Why it can serve as a test bench. The hazard is a known function of factors that the modalities
show separately:

- morphology: the share of the tissue that is high grade; only the slides show it;
- programme: a hypoxia programme; only the genes show it;
- shared: immune infiltration; lymphocytes on the slides and T-cell genes both show it;
- interaction: hypoxia harms more, the more tissue is high grade; it takes both modalities;
- clinical: age and stage; only the clinical table shows it.

So each modality is worth something alone, two are worth more than the better one, and no model can
beat the oracle (the true log-hazard) in expectation. A fusion model that does not beat its own
single modalities here is broken, and the distance to the oracle says how much it leaves unused.
Sites differ in stain, expression level and nothing else: what a model gains from them is a leak.

`brains.simulate_brains` draws a memory clinic in the same spirit: volumes of the brain and a
clinical table of patients who convert to dementia or do not, by factors that MRI, PET, both or
neither show. The MRI explains a known share of the PET, so that synthesis has a known limit.
"""
