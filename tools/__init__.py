"""What the Makefile needs to prepare a machine: the environment and a browser for the tests. Standard library only."""
