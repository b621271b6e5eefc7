"""Generate parts of the documentation from the code, and its transcripts, for tools/update_docs.py."""
