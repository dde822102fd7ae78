"""What the pretraining does on a GPU: `make test-gpu`. On a CPU it runs with tiny sizes, which shows that it runs."""
