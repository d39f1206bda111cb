"""One reader and one writer for each format. They meet in the values of domain/values.py and know nothing of each other."""
