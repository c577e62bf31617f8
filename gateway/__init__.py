"""The HTTP side: accepts jobs and answers questions about them."""
