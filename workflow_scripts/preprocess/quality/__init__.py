"""Numbers and flags that tell whether a case was preprocessed well."""
