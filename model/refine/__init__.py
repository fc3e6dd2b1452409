"""Test-time refinement: what a network answers about a photograph is fitted to that photograph."""
