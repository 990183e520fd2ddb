"""The page of a package that was checked on another cohort."""
