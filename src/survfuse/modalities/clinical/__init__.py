"""Clinical covariates of the patient sheet."""
