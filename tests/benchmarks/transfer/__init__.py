"""Does pretraining pay where labels are few? Phantoms with early infarcts; docs/pretraining_evidence.md."""
