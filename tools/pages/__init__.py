"""What tools/update_docs.py makes of the code: the generated parts of the documentation, and its transcripts."""
