"""What is delivered: looked through for secrets and tickets, and written down as a bill of materials."""
