"""The model in service: is what it is asked and what it answers still as it was judged by."""
