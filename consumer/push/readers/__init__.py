"""One reader a family of formats; each turns bytes into rows of text."""
